"""Literals as the kernels keep them."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address


def canonical(host: str) -> IPv4Address | IPv6Address:
    """The address of a literal; of one that is v4-mapped the IPv4 address."""
    address = ip_address(host)
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


@lru_cache(4096)
def parsed(host: str) -> tuple[str, int, str]:
    """The canonical address, its family (4 for v4-mapped) and its kind, such as any, loopback or other."""
    address = canonical(host)
    kind = "other"
    if address.is_unspecified:
        kind = "any"
    elif address.is_loopback:
        kind = "loopback"
    elif address.is_multicast:
        kind = "multicast"
    elif str(address) == "255.255.255.255":
        kind = "broadcast"
    elif address.is_link_local:
        kind = "linklocal"
    return str(address), address.version, kind
