"""The lines of strace: calls with their arguments and results, ends of processes. A log is a stranger's file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from ..dataclass import dataclass
from ..text import visible

MAX_LINE = 20_000  # characters
MAX_PROCESSES = 10_000  # with a call that has not returned yet

#: A process by `[pid N]` or N, a time, then what happened.
_HEAD = re.compile(r"(?:\[pid +(\d{1,9})\] |(\d{1,9}) +)?(?:(?:\d+\.\d+|\d\d:\d\d:\d\d(?:\.\d+)?) +)?(.*)", re.DOTALL)
_CALL = re.compile(r"([a-z_][a-z0-9_]{0,40})\(")
_RESUMED = re.compile(r"<\.\.\. ([a-z_][a-z0-9_]{0,40}) resumed>,? ?")
_END = re.compile(r"\+\+\+ (exited with -?\d+|killed by \S+( \(core dumped\))?|superseded by execve in pid \d+) \+\+\+")
_RESULT = re.compile(r"\s*= (-?\d{1,19}|0x[0-9a-f]{1,16}|\?)(?:<([^>]*)>)?(?: (E[A-Z0-9]{1,30}))?(?: .*)?", re.DOTALL)
_CHATTER = re.compile(r"--- .* ---|strace: .*", re.DOTALL)  # signals; what strace says itself
_UNFINISHED = " <unfinished ...>"
_BRACKETS = {"(": ")", "[": "]", "{": "}"}


class LogError(ValueError):
    """A line that strace does not write: `line` counts from 1."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(f"{line}: {what}")
        self.line, self.what = line, what


@dataclass(frozen=True, slots=True)
class Syscall:
    """A call of a process (0 where the log names none) that has returned.

    `result` is None where it never did, or strace could not see what; `errno` is the error's name, `target` what strace
    says of a descriptor that it returned, such as socket:[4711]. It began on the line `begun`.
    """

    pid: int
    name: str
    args: tuple[str, ...]
    result: int | None
    errno: str = ""
    target: str = ""
    line: int = 0
    begun: int = 0


@dataclass(frozen=True, slots=True)
class End:
    """A process, or thread, has ended."""

    pid: int
    line: int


class Log:
    """Reads a log line by line. `cut` is true after a line that a killed strace did not finish."""

    def __init__(self) -> None:
        self._open: dict[int, tuple[str, str, int]] = {}  # the call under way, its text so far, its line
        self.cut = False

    def events(self, lines: Iterable[str]) -> Iterator[Syscall | End]:
        """What the lines say, in their order, a call where it returned. Raises LogError."""
        for number, line in enumerate(lines, 1):
            event = self.event(line, number)
            if event is not None:
                yield event

    def event(self, line: str, number: int) -> Syscall | End | None:
        """What one line says; None where it is a part of a call, a signal, or strace's own word."""
        if len(line) > MAX_LINE:
            raise LogError(number, f"is longer than {MAX_LINE} characters")
        whole = line.endswith("\n")
        text = line.rstrip("\n")
        found = _HEAD.fullmatch(text)
        assert found is not None  # the last group takes anything
        pid, rest = int(found[1] or found[2] or 0), found[3]
        if not rest or _CHATTER.fullmatch(rest):
            return None
        if _END.fullmatch(rest):
            self._open.pop(pid, None)
            return End(pid, number)
        begun = number
        if resumed := _RESUMED.match(rest):
            name, before, begun = self._open.pop(pid, ("", "", 0))
            if name != resumed[1]:
                raise LogError(number, f"'{resumed[1]}' resumes, which process {pid} had not begun")
            rest = before + rest[resumed.end() :]
        call = _CALL.match(rest)
        if call is None:
            self._broken(whole, number, text)
            return None
        if rest.endswith(_UNFINISHED):
            if len(self._open) >= MAX_PROCESSES:
                raise LogError(number, f"more than {MAX_PROCESSES} processes are in a call")
            self._open[pid] = call[1], rest.removesuffix(_UNFINISHED), begun
            return None
        args, end = _arguments(rest, call.end())
        result = _RESULT.fullmatch(rest, end) if end else None
        if result is None:
            self._broken(whole, number, text)
            return None
        value = None if result[1] == "?" else int(result[1], 16 if result[1].startswith("0x") else 10)
        return Syscall(pid, call[1], args, value, result[3] or "", result[2] or "", number, begun)

    def _broken(self, whole: bool, number: int, text: str) -> None:
        """A line that is none: the last of a log that was cut off, or a stranger's."""
        if whole:
            raise LogError(number, f"is no line of strace: '{visible(text, 60)}'")
        self.cut = True


def _arguments(text: str, start: int) -> tuple[tuple[str, ...], int]:
    """The arguments from `start`, just behind the opening bracket, and where the closing one ends; 0 if none does."""
    closing = [")"]
    args: list[str] = []
    at = begin = start
    while at < len(text):
        letter = text[at]
        if letter == '"':
            at = _quoted(text, at)
        elif letter == closing[-1]:
            closing.pop()
            if not closing:
                last = text[begin:at].strip()
                return (*args, *([last] if last or args else [])), at + 1
        elif letter in _BRACKETS:
            closing.append(_BRACKETS[letter])
        elif letter == "," and len(closing) == 1:
            args.append(text[begin:at].strip())
            begin = at + 1
        at += 1
    return (), 0


def _quoted(text: str, at: int) -> int:
    """Where a string that begins at `at` ends."""
    found = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL).match(text, at)
    return found.end() - 1 if found else len(text)
