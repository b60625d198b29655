"""Files of strangers: read up to a bound, and never waited for."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path


def read(path: str | Path, most: int) -> bytes:
    """What a file holds, at most `most + 1` bytes of it. Raises OSError, also for an empty pipe."""
    try:
        with open(path, "rb", opener=_at_once) as file:
            data = file.read(most + 1)
            if not data and stat.S_ISFIFO(os.fstat(file.fileno()).st_mode):
                raise OSError(errno.EPIPE, "nobody writes to this pipe: start first what does")
    except ValueError:  # a NUL, or half of a surrogate pair
        raise OSError(errno.EINVAL, "no file has such a name") from None
    return data


def _at_once(path: str, flags: int) -> int:
    """Opens a file, also a FIFO that nobody writes to: that is empty."""
    opened = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    if hasattr(os, "set_blocking"):
        os.set_blocking(opened, True)
    return opened
