"""The TOML files of `conformance/` read and looked at: whatever is wrong with one is named by file and line."""

from __future__ import annotations

import re
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .text import few, visible

MAX_FILE = 4 * 1024 * 1024  # bytes
LONGEST = 1_000  # characters of a complaint
MAX_COMPLAINTS = 10  # of one message

_DEEP, _LONG = r"[\[{]{50}", r"[0-9]{1000}"


class DataError(Exception):
    """What is wrong with the data, one line a mistake: ``file:line: what; remedy``, foreign words made visible.

    Of many the first, and how many more there are.
    """

    def __init__(self, lines: str) -> None:
        super().__init__(few(lines, MAX_COMPLAINTS, LONGEST))


def read(path: Path) -> tuple[dict[str, Any], str]:
    """What a TOML file says, and its text. Raises DataError."""
    name = visible(path.name)
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise DataError(f"{name}:1: is no regular file")
        with open(path, "rb") as file:
            data = file.read(MAX_FILE + 1)
        if len(data) > MAX_FILE:
            raise DataError(f"{name}:1: should have at most {MAX_FILE} bytes")
        text = data.decode("utf-8").replace("\r\n", "\n")
        return tomllib.loads(text), text
    except OSError as error:
        raise DataError(f"{name}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(f"{name}:{line}: not UTF-8 (byte {error.start} of the file)") from None
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"\(at line (\d+), column (\d+)\)", str(error))
        where = f"{found[1]}:{found[2]}" if found else str(len(text.splitlines()))
        raise DataError(f"{name}:{where}: {str(error).partition(' (at')[0]}") from None
    except RecursionError:
        raise DataError(f"{name}:{_line(_DEEP, text)}: brackets in brackets, too deep to be read") from None
    except ValueError:
        raise DataError(f"{name}:{_line(_LONG, text)}: a number too long to be read") from None


def _line(pattern: str, text: str) -> int:
    """The line on which a pattern is found first, else 1."""
    found = re.search(pattern, text, re.M)
    return text.count("\n", 0, found.end()) + 1 if found else 1


def line_of(key: str, text: str) -> int:
    """The line of a file on which its table, or key, of this name begins."""
    return _line(rf"^\s*(\[\s*)?([\"']?){re.escape(key)}\2(?![\w-])", text)


def fits(value: Any, form: Any) -> bool:
    """Whether a value has a form: a type, [form] for a list, {"": form} for a table, a tuple of the texts it may be."""
    if isinstance(form, list):
        return isinstance(value, list) and all(fits(entry, form[0]) for entry in value)
    if isinstance(form, dict):
        return isinstance(value, dict) and all(fits(entry, form[""]) for entry in value.values())
    if isinstance(form, tuple):
        return isinstance(value, str) and value in form
    return isinstance(value, form) and (form is not int or not isinstance(value, bool))


def called(form: Any) -> str:
    """A form in words."""
    if isinstance(form, list):
        return f"list of {called(form[0])}"
    if isinstance(form, dict):
        return f"table of {called(form[''])}"
    return f"text of these: {', '.join(form)}" if isinstance(form, tuple) else f"{form.__name__}"


def complaints(entry: Any, needed: Mapping[str, Any], optional: Mapping[str, Any], what: str) -> list[str]:
    """What is wrong with the keys of a table, and with the forms of their values."""
    if not isinstance(entry, dict):
        return [f"{what} should be a table with {' and '.join(needed)}"]
    allowed = {**needed, **optional}
    known = ", ".join(sorted(allowed))
    wrong = [f"{visible(repr(key))} is no key of {what} (it has {known})" for key in entry if key not in allowed]
    wrong += [f"{what} needs {key!r}" for key in needed if key not in entry]
    wrong += [
        f"{key!r} of {what} should be a {called(form)}"
        for key, form in allowed.items()
        if key in entry and not fits(entry[key], form)
    ]
    return wrong


def records(
    path: Path, needed: Mapping[str, Any], optional: Mapping[str, Any], *, empty: bool = False
) -> dict[str, dict[str, Any]]:
    """The tables of a file that all have these keys, by name; it may be `empty`. Raises DataError."""
    data, text = read(path)
    wrong = [f"{visible(path.name)}:1: should have a table, at least"] * (not data and not empty)
    wrong += [
        f"{visible(path.name)}:{line_of(id_, text)}: {complaint}"
        for id_, entry in data.items()
        for complaint in complaints(entry, needed, optional, visible(id_))
    ]
    if wrong:
        raise DataError("\n".join(wrong))
    return data
