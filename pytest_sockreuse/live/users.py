"""Users of this host, by number and by name; Windows has none that decide on ports."""

from __future__ import annotations

import os
import sys

from ..text import visible

if sys.platform != "win32":
    import pwd


def this_user() -> int | None:
    """The user whose rights this process has; None where users are no matter of ports."""
    if sys.platform == "win32":
        return None
    return os.geteuid()


def user_name(uid: int | None) -> str:
    """A user's name, and the number where there is more to know."""
    if uid == 0:
        return "root"
    if sys.platform != "win32" and uid is not None:
        try:
            return f"{visible(pwd.getpwuid(uid).pw_name)} ({uid})"
        except (KeyError, OverflowError):
            pass
    return str(uid)


def user_number(name: str) -> int | None:
    """The number of a user by name or number; None if there is no such user."""
    if name.isascii() and name.isdigit() and len(name) < 10:
        return int(name)
    if sys.platform != "win32":
        try:
            return pwd.getpwnam(name).pw_uid
        except (KeyError, ValueError):
            pass
    return None
