"""What the options of all families have in common: the int of a value, SO_LINGER."""

from __future__ import annotations

from ..scenario import Option
from .clause import Declared, Errno, Unknown
from .sock import Sock


def number(option: Option, too_short: Declared) -> int:
    """The int that a kernel reads. Raises Errno EINVAL by the clause `too_short`."""
    raw = option.raw
    if raw is None:
        return int(option.value or "1")
    if len(raw) < 4:
        raise Errno("EINVAL", too_short)
    return int.from_bytes(raw[:4], "little", signed=True)


def set_linger(sk: Sock, option: Option) -> None:
    """SO_LINGER, in seconds, or off. Raises Unknown."""
    if option.raw is not None:
        raise Unknown("raw SO_LINGER")
    sk.linger = -1 if option.value == "off" else int(option.value or "1")


def linger(sk: Sock) -> str:
    """SO_LINGER as getsockopt tells it."""
    return "off" if sk.linger < 0 else str(sk.linger)
