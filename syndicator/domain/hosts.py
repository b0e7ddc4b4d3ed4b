"""Whose machine an address names: what bounds for each host count by. Pure rules.

Rules, in order:

1. A host is one however it is spelled: in lower case, without the root's dot, an address in its normal form, an IPv4
   address inside an IPv6 one as itself. An IPv6 address stands for its /64: one household or server holds all of it.
   A port is no part of it.
2. A domain is what its owner registered, as far as can be told without a list of registries: the last two labels; three
   where the last has two letters and the one before it at most three, or is one of the usual kinds (`gov.az`,
   `co.uk`). Where that errs, strangers share one domain's bounds, or one owner has more than one.
"""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address, ip_network

__all__ = ["domain_of", "host_of"]


def host_of(written: str) -> str:
    """The host as it is counted, from an address's host as it was written."""
    plain = written.rstrip(".").lower()
    try:
        address = ip_address(plain.strip("[]").partition("%")[0])
    except ValueError:
        return plain
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is None:
            return str(ip_network((address, 64), strict=False))
        return str(address.ipv4_mapped)
    return str(address)


def domain_of(host: str) -> str:
    """The domain that a host, as `host_of` gives it, belongs to; an address is its own."""
    labels = host.split(".")
    if ":" in host or labels[-1].isdigit():
        return host
    national = len(labels[-1]) == 2 and len(labels) > 2 and (len(labels[-2]) <= 3 or labels[-2] in {"info", "name"})
    return ".".join(labels[-3:] if national else labels[-2:])
