"""Who asks: the visitor's address, language, and whether a form came from our own page. Pure rules.

1. The address is the peer's. Only if the peer is a trusted proxy does X-Forwarded-For count, read from the right up to
   the first hop that is not trusted: what stands further left, anybody could have written.
2. An IPv6 visitor is known by the /64, since one household holds all of it.
3. Accept-Language (RFC 9110, section 12.5.4) is an order of preference among the site's languages; what cannot be read
   says nothing.
4. A form is ours if the browser says so (Sec-Fetch-Site), else if its Origin is ours. An old browser that says
   neither is let through: there are no cookies, so a stranger's form could only use what its author knows anyway.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

__all__ = ["Networks", "is_own_form", "networks", "preferred_language", "visitor"]

Networks = tuple[IPv4Network | IPv6Network, ...]

_HOPS = 20


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
    found = peer
    while hops and _is_trusted(found, trusted):
        found = hops.pop()
    return _key(found)


def _is_trusted(address: str, trusted: Networks) -> bool:
    try:
        plain = ip_address(address)
    except ValueError:
        return False
    return any(plain in network for network in trusted)


def _key(address: str) -> str:
    try:
        plain = ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(plain, IPv6Address):
        return str(plain.ipv4_mapped or ip_network((plain, 64), strict=False))
    return str(plain)


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
