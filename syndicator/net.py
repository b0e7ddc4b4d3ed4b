"""The guarded outgoing client: requests to addresses that strangers gave us.

Rules, in order:

1. Only http and https, to ports that web servers use, without a name or password in the address.
2. Nothing goes to an address that is not public: not to this machine, its network, a cloud's metadata, multicast or
   reserved ranges, nor to such an IPv4 address inside an IPv6 one (mapped, 6to4, NAT64). `allow` names networks that
   are exempt.
3. What is checked is what is connected to: names are judged by the resolver, and every address once more when its
   socket is made. So neither a literal, which passes by resolvers, nor a name that changes in between gets through.
4. No redirect is followed, no proxy of the environment used, no cookie kept, nothing unpacked, no line used twice.
5. Time, the answer's size and the number of lines are bounded, all over and for each host. Waiting for a line is part
   of the time, so that whoever asks more at once than there are lines (`LINES_EACH` for each host) hears of time-outs
   that are nobody's fault: they keep within.
6. A failure says whether anything can have arrived: `Unreachable` no; `TookTooLong` and `Broken` perhaps.
   No message of theirs holds more of the address than its host: the rest may be a secret.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from aiohttp import (
    ClientConnectorError,
    ClientError,
    ClientSession,
    ClientTimeout,
    ConnectionTimeoutError,
    DefaultResolver,
    DummyCookieJar,
    InvalidURL,
    TCPConnector,
)
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

__all__ = [
    "LINES_EACH",
    "Answer",
    "Broken",
    "Forbidden",
    "Networks",
    "Outgoing",
    "TookTooLong",
    "Unreachable",
    "checked",
    "is_public",
    "networks",
]

Address = IPv4Address | IPv6Address
Networks = tuple[IPv4Network | IPv6Network, ...]

LINES = 320
LINES_EACH = 12
# What ipaddress of Python 3.11 takes for global and IANA's registries do not.
_SPECIAL = tuple(
    ip_network(text) for text in ("192.0.0.0/24", "192.88.99.0/24", "fec0::/10", "3fff::/20", "64:ff9b:1::/48")
)
_NAT64 = ip_network("64:ff9b::/96")  # RFC 6052 section 2.1
# Ports above 1023 that browsers refuse (Fetch standard, "port blocking"): protocols that an HTTP request could confuse.
_BAD_PORTS = frozenset(
    (1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080)
)


class Unreachable(OSError):
    """Nothing of the request has arrived: no such host, no answer to the call, or it may not be called."""


class Forbidden(Unreachable):
    """The address is none that this service calls."""


class TookTooLong(OSError):
    """The time was up; the request may have arrived."""


class Broken(OSError):
    """The line broke after the request began to go out; it may have arrived."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the other side said. `body` holds its first bytes, up to what was asked for."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


def is_public(address: Address) -> bool:
    """Whether anybody's machine may stand behind that address, as seen from anywhere."""
    if isinstance(address, IPv6Address):
        inner = _inner(address)
        if inner is not None:
            return is_public(inner)
    special = address.is_multicast or address.is_reserved or any(address in network for network in _SPECIAL)
    return address.is_global and not special


def _inner(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that a gateway would send this one on to."""
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour


def networks(written: Iterable[str]) -> Networks:
    """Networks as configured (`outgoing.allow`).

    Raises:
        ValueError: one is no network.
    """
    return tuple(ip_network(text) for text in written)


def checked(address: str, allow: Networks = ()) -> URL:
    """The address as it will be called, byte for byte, if it may be; names are judged when they are resolved.

    Raises:
        Forbidden: one clear line.
    """
    if not address.isascii() or not address.isprintable() or set(address) & set(' "<>\\^`{|}'):
        raise Forbidden("an address is written in ASCII, everything else percent-encoded (RFC 3986)")
    if "#" in address:
        raise Forbidden("an address without a fragment is called")
    try:
        url = URL(address, encoded=True)
        host, port = url.host or "", url.port or 0
    except ValueError:
        raise Forbidden("this is no address") from None
    if url.scheme not in {"http", "https"} or not host:
        raise Forbidden("only http:// and https:// addresses with a host are called")
    if url.user is not None or url.password is not None:
        raise Forbidden("an address with a name or password in it is not called")
    if port not in {80, 443} and (port < 1024 or port in _BAD_PORTS):
        raise Forbidden(f"port {port} is not called; 80, 443 and most above 1023 are")
    literal = _literal(host)
    if literal is not None and not _permitted(literal, allow):
        raise Forbidden(f"{host} is not a public address")
    return url


def _literal(host: str) -> Address | None:
    """The address that a host spells out, None for a name; old spellings (`127.1`, `0x7f000001`) are refused."""
    try:
        return ip_address(host.partition("%")[0])
    except ValueError:
        last = host.rstrip(".").rpartition(".")[2].lower()
        if last.isdigit() or last.startswith("0x"):
            raise Forbidden(f"{host} is neither a name nor an address as it is written today") from None
        return None


def _permitted(address: Address, allow: Networks) -> bool:
    plain = (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address
    return is_public(address) or any(plain in network for network in allow)


class _Resolver(AbstractResolver):
    """Another resolver's answers, without those that may not be called. It is made for the first name that comes."""

    def __init__(self, inner: AbstractResolver | None, allow: Networks) -> None:
        self._inner, self._allow = inner, allow

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        if self._inner is None:
            self._inner = DefaultResolver()
        found = await self._inner.resolve(host, port, family)
        fit = [one for one in found if _permitted(ip_address(one["host"].partition("%")[0]), self._allow)]
        if not fit:
            raise Forbidden(f"{host} has no public address")
        return fit

    async def close(self) -> None:
        if self._inner is not None:
            await self._inner.close()


class Outgoing:
    """The client. Times are in seconds; `allow` are networks that are exempt. Opens nothing before the first call."""

    def __init__(
        self,
        allow: Sequence[str] = (),
        *,
        agent: str,
        connect: float = 5.0,
        total: float = 10.0,
        resolver: AbstractResolver | None = None,
    ) -> None:
        self.allow = networks(allow)
        self._agent = agent
        self._connect, self._total = connect, total
        self._given = resolver
        self._session: ClientSession | None = None

    async def ask(
        self,
        method: str,
        address: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        limit: int = 0,
        total: float | None = None,
    ) -> Answer:
        """Send one request; the answer comes with at most `limit` bytes of its body, within `total` seconds.

        Raises:
            Unreachable: nothing has arrived. `Forbidden`, if the address may not be called.
            TookTooLong, Broken: something may have arrived.
        """
        url = checked(address, self.allow)
        most = min(total or self._total, self._total)
        timeout = ClientTimeout(total=most, connect=most, sock_connect=min(self._connect, most))
        sent = {"User-Agent": self._agent, "Accept-Encoding": "identity"} | dict(headers or {})
        try:
            async with self._open().request(
                method, url, data=body, headers=sent, allow_redirects=False, raise_for_status=False, timeout=timeout
            ) as response:
                said = await _first(response, limit) if limit else b""
                return Answer(response.status, said, dict(response.headers))
        except Forbidden:
            raise
        except (ClientConnectorError, ConnectionTimeoutError, InvalidURL) as error:
            raise _unreachable(error, url.host or "") from None
        except TimeoutError:
            raise TookTooLong(f"{url.host} gave no answer in time") from None
        except (ClientError, OSError) as error:
            raise Broken(f"{url.host}: the line broke ({type(error).__name__})") from None

    async def close(self) -> None:
        """Let go of every line; safe to call twice."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _open(self) -> ClientSession:
        if self._session is None:
            connector = TCPConnector(
                resolver=_Resolver(self._given, self.allow),
                socket_factory=self._socket,
                limit=LINES,
                limit_per_host=LINES_EACH,
                force_close=True,
            )
            self._session = ClientSession(
                connector=connector,
                cookie_jar=DummyCookieJar(),
                trust_env=False,
                auto_decompress=False,
            )
        return self._session

    def _socket(self, info: tuple[Any, ...]) -> socket.socket:
        """A socket for an address that is about to be called: the last word on whether it may be."""
        family, kind, protocol, _, where = info
        if not _permitted(ip_address(str(where[0]).partition("%")[0]), self.allow):
            raise Forbidden(f"{where[0]} is not a public address")
        return socket.socket(family, kind, protocol)


async def _first(response: Any, limit: int) -> bytes:
    """The first bytes of an answer, whatever its length says."""
    found = bytearray()
    async for chunk in response.content.iter_any():
        found += chunk
        if len(found) >= limit:
            break
    return bytes(found[:limit])


def _unreachable(error: Exception, host: str) -> Unreachable:
    """What the connector's error means; what the guard said itself stays as it was said."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, Forbidden):
            return cause
        cause = getattr(cause, "os_error", None) or cause.__cause__
        if cause is error:
            break
    if isinstance(error, ConnectionTimeoutError):
        return Unreachable(f"{host} did not take the call in time")
    return Unreachable(f"{host} cannot be reached ({type(error).__name__})")
