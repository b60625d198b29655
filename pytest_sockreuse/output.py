"""Files that we write: whole or not at all, where they stand, and never in place of a device or a pipe."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path


def check(path: Path) -> None:
    """Raise OSError, now, if `write` could not write `path`."""
    found, place = _look(path)
    if found is not None and not os.access(path, os.W_OK):
        raise PermissionError(13, os.strerror(13))
    if place is not None:
        draft, descriptor = _draft(place)
        os.close(descriptor)
        draft.unlink()


def write(path: Path, text: str) -> None:
    """Write `text` as UTF-8 to `path`, a file that is replaced as a whole, or stays as it was. Raises OSError.

    A link is followed, a mode and an owner stay. A device, a pipe and a descriptor's name are opened and written to;
    a named pipe that nobody reads is an error, no reason to wait.
    """
    found, place = _look(path)
    data = text.encode("utf-8", "backslashreplace")
    if place is None:
        _through(path, data)
        return
    draft, descriptor = _draft(place)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if found is not None:
                if hasattr(os, "fchown"):
                    with contextlib.suppress(OSError):  # of another user
                        os.fchown(descriptor, found.st_uid, found.st_gid)
                os.chmod(draft, stat.S_IMODE(found.st_mode))
            file.write(data)
        os.replace(draft, place)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def _look(path: Path) -> tuple[os.stat_result | None, Path | None]:
    """What `path` is, if it exists, and the file that a draft can take the place of; none is to be written through."""
    place = Path(os.path.realpath(path))
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None, place
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(21, os.strerror(21))
    if not stat.S_ISREG(found.st_mode) or any(_is_open(descriptor, found) for descriptor in (1, 2)):
        return found, None
    return found, place if place.exists() and os.path.samestat(place.stat(), found) else None


def _is_open(descriptor: int, found: os.stat_result) -> bool:
    with contextlib.suppress(OSError):
        return os.path.samestat(os.fstat(descriptor), found)
    return False


def _draft(place: Path) -> tuple[Path, int]:
    draft = place.with_name(f".sockreuse-{os.urandom(6).hex()}")
    return draft, os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)


def _through(path: Path, data: bytes) -> None:
    """Standard output and error are shared as they are: opened anew, a file would be written over from its start."""
    found = os.stat(path)
    shared = next((number for number in (1, 2) if _is_open(number, found)), None)
    descriptor = os.dup(shared) if shared is not None else os.open(path, os.O_WRONLY | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(descriptor, "wb") as file:
        if shared is None and hasattr(os, "set_blocking"):
            os.set_blocking(descriptor, True)
        file.write(data)
