"""Errno names: POSIX spelling, the same on every OS."""

from __future__ import annotations

import errno


def _table() -> dict[int, str]:
    names: dict[int, str] = {}
    for name in sorted(dir(errno)):
        if name.startswith("E") and name.isupper():
            names.setdefault(getattr(errno, name), name)
    # Of names that share a number these are the ones the language knows.
    for name in ("EAGAIN", "EOPNOTSUPP", "EDEADLK"):
        names[getattr(errno, name)] = name
    # Winsock's numbers come last: on Windows errno.EADDRINUSE is one of them already, errno.EACCES is not.
    for name in dir(errno):
        if name.startswith("WSAE"):
            names[getattr(errno, name)] = "EAGAIN" if name == "WSAEWOULDBLOCK" else name[3:]
    return names


_NAMES = _table()


def name_of(error: OSError) -> str:
    """The errno name of an exception: by `winerror` where Windows set it: its `errno` is translated for some."""
    return number_name(getattr(error, "winerror", None) or error.errno or 0)


def number_name(number: int) -> str:
    """The name of an errno, or of one of Winsock's."""
    return _NAMES.get(number, f"E{number}")
