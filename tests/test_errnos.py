"""The names of errnos: one for each number, and POSIX's on Windows too."""

from __future__ import annotations

import errno
import re
from typing import Any

import pytest

from pytest_sockreuse.live import errnos


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (errno.EADDRINUSE, "EADDRINUSE"),
        (errno.EAGAIN, "EAGAIN"),
        (errno.EWOULDBLOCK, "EAGAIN"),
        (errno.EOPNOTSUPP, "EOPNOTSUPP"),
        (errno.EDEADLK, "EDEADLK"),
        (99999, "E99999"),
    ],
)
def test_errno_names(number: int, name: str) -> None:
    assert errnos.name_of(OSError(number, "why")) == name


def test_every_number_has_one_name_of_posix_form() -> None:
    for number in errno.errorcode:
        name = errnos.name_of(OSError(number, "why"))
        assert re.fullmatch(r"E[A-Z0-9]+", name)
        assert not name.startswith("EWSA")


class WindowsError_(OSError):
    """As Windows raises it: `errno` is translated for some, `winerror` never."""

    winerror: Any = None


@pytest.mark.parametrize(
    ("winerror", "translated", "name"),
    [
        (10048, 10048, "EADDRINUSE"),
        (10013, errno.EACCES, "EACCES"),
        (10035, errno.EAGAIN, "EAGAIN"),
        (10049, 10049, "EADDRNOTAVAIL"),
        (None, errno.EINVAL, "EINVAL"),
    ],
)
def test_winsocks_numbers_never_leak(
    monkeypatch: pytest.MonkeyPatch, winerror: int | None, translated: int, name: str
) -> None:
    for wsa, number in (("EADDRINUSE", 10048), ("EACCES", 10013), ("EWOULDBLOCK", 10035), ("EADDRNOTAVAIL", 10049)):
        monkeypatch.setattr(errno, f"WSA{wsa}", number, raising=False)
    monkeypatch.setattr(errno, "EADDRINUSE", 10048)  # as on Windows
    monkeypatch.setattr(errnos, "_NAMES", errnos._table())
    error = WindowsError_(translated, "why")
    error.winerror = winerror
    assert errnos.name_of(error) == name
