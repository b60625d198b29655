"""Literals as the kernels keep them."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address


def canonical(host: str) -> IPv4Address | IPv6Address:
    """The address of a literal; of one that is v4-mapped the IPv4 address."""
    address = ip_address(host)
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
