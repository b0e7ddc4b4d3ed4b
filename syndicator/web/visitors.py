"""Who asks: the visitor's address, language, and whether a form came from our own page. Pure rules.

1. The address is the peer's. Only if the peer is a trusted proxy does X-Forwarded-For count, read from the right up to
   the first hop that is not trusted: what stands further left, anybody could have written. A peer on this machine
   is always trusted: it is the usual proxy in front, and without this all its visitors would count as one. A hop may
   come with its port.
2. An IPv6 visitor is known by the /64, since one household holds all of it; their network is the /48, and the /24 of
   an IPv4 address: what one hand may well hold.
3. Accept-Language (RFC 9110, section 12.5.4) is an order of preference among the site's languages; what cannot be read
   says nothing.
4. A form is ours if the browser says so (Sec-Fetch-Site), else if its Origin is ours. An old browser that says
   neither is let through: there are no cookies, so a stranger's form could only use what its author knows anyway.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

__all__ = ["Networks", "is_own_form", "network", "networks", "preferred_language", "visitor"]

Networks = tuple[IPv4Network | IPv6Network, ...]

_HOPS = 20
_BRACKETED = re.compile(r"^\[([^\]]*)\](?::\d+)?$")
_OWN = (ip_network("127.0.0.0/8"), ip_network("::1"))


def networks(written: Iterable[str]) -> Networks:
    """The trusted proxies as networks.

    Raises:
        ValueError: one is neither an address nor a network.
    """
    found: list[IPv4Network | IPv6Network] = []
    for text in written:
        try:
            found.append(ip_network(text, strict=False))
        except ValueError as error:
            raise ValueError(f"web.trusted_proxies: {text!r} is no address; 10.0.0.1 or 10.0.0.0/8 are") from error
    return tuple(found)


def visitor(peer: str, forwarded: Sequence[str], trusted: Networks) -> str:
    """The key a visitor is counted by; `forwarded` are the X-Forwarded-For headers in order."""
    hops = [hop.strip() for header in forwarded for hop in header.split(",")][-_HOPS:]
    found = _address(peer)
    while hops and found is not None and any(found in network for network in (*_OWN, *trusted)):
        found = _address(hops.pop())
    if found is None:
        return "unknown"
    return str(found if isinstance(found, IPv4Address) else ip_network((found, 64), strict=False))


def network(visitor_key: str) -> str:
    """The network of somebody whom `visitor` has named."""
    try:
        found = ip_network(visitor_key)
    except ValueError:
        return visitor_key
    return str(found.supernet(new_prefix=24 if isinstance(found, IPv4Network) else 48))


def _address(written: str) -> IPv4Address | IPv6Address | None:
    """A hop's address: `192.0.2.1`, `192.0.2.1:5555`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:44`."""
    bare = _BRACKETED.sub(r"\1", written)
    if bare.count(":") == 1:
        bare = bare.partition(":")[0]
    try:
        plain = ip_address(bare.partition("%")[0])
    except ValueError:
        return None
    return (plain.ipv4_mapped or plain) if isinstance(plain, IPv6Address) else plain


def preferred_language(header: str, languages: Sequence[str], default: str) -> str:
    """The site's language that suits an Accept-Language header best."""
    best, weight = default, 0.0
    for part in header[:1000].split(","):
        tag, _, parameter = part.strip().partition(";")
        lang = tag.strip().lower().partition("-")[0]
        quality = _quality(parameter)
        if lang in languages and quality > weight:
            best, weight = lang, quality
    return best


def _quality(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        return min(max(float(value), 0.0), 1.0)
    except ValueError:
        return 0.0


def is_own_form(headers: Mapping[str, str], base_url: str, *, opaque_allowed: bool) -> bool:
    """Whether a POST may have come from our own page.

    With `Referrer-Policy: no-referrer` browsers send `Origin: null` with our own forms too (Fetch, section 3.2.5), so
    pages whose address is a secret pass `opaque_allowed`.
    """
    site = headers.get("Sec-Fetch-Site")
    if site is not None:
        return site in {"same-origin", "none"}
    origin = headers.get("Origin")
    if origin is None:
        return True
    if origin == "null":
        return opaque_allowed
    stated = urlsplit(origin)
    ours = urlsplit(base_url)
    if (stated.scheme, stated.netloc) == (ours.scheme, ours.netloc):
        return True
    return stated.netloc != "" and stated.netloc == headers.get("Host")
