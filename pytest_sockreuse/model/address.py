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
    """The canonical address, its family (4 for v4-mapped) and its kind, such as any, loopback or other.

    The device of ``fe80::1%lo`` stays only where it tells: at addresses that mean something on one link.
    """
    bare, _, device = host.partition("%")
    address = canonical(bare)
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
    text = str(address)
    return f"{text}%{device}" if device and of_one_link(text) else text, address.version, kind


def of_one_link(address: str) -> bool:
    """Whether a canonical address means something on one link only: link-local, or such a group of IPv6."""
    return address[:2] in ("fe", "ff") and (IPv6Address(address).is_link_local or address[3:4] in ("1", "2"))


def arrives_by(address: str) -> str:
    """The device by which what this host sends to an address of its own arrives."""
    return address.partition("%")[2] or "lo"
