"""What strangers give: scenario files, names and arguments, results and answers, the suite's data; a table for each."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cache, partial
from itertools import repeat
from pathlib import Path
from typing import Any

if sys.platform == "win32":
    raise SystemExit("attacks are made on POSIX")

from confined import limit
from promises import Attack, Place

import pytest_sockreuse
from pytest_sockreuse.loader import load

PACKAGE = Path(pytest_sockreuse.__file__).parent
SCENARIO = b"A = tcp4()\nA.bind(127.0.0.1:P)\nA.name()\n"
HOSTILE = {  # texts that a file may hold wherever it holds a text
    "escape": "\x1b[2J\x1b]0;title\x07",
    "c1": "\x9b2J",
    "delete": "\x7f\b",
    "lines": "a\nsockreuse: all is well\r",
    "bidi": "\u202eevil\u2066",
    "separator": "\u2028",
    "nul": "\0",
    "half": "\ud800",
    "long": "x" * 5_000_000,
    "path": "../../../etc/passwd",
    "format": "{0} %s $(id) `id`",
    "empty": "",
}


def _many(text: bytes, times: int, before: bytes = b"") -> Place:
    """A text so many times; written when it is wanted: what we hold, our children seem to take too."""

    def write(path: Path) -> None:
        with open(path, "wb") as file:
            file.write(before)
            file.writelines(repeat(text, times))

    return write


# --- scenario files ---------------------------------------------------------------------------------------------------

TEXTS = {
    "nothing": b"",
    "comment": b"# x",
    "mark": b"\xef\xbb\xbf" + SCENARIO,
    "marks": b"\xef\xbb\xbf" * 2 + SCENARIO,
    "utf-16": SCENARIO.decode().encode("utf-16"),
    "no-utf-8": b"# \xe9\n" + SCENARIO,
    "surrogate": b"# \xed\xa0\x80\n",
    "nul": SCENARIO + b"\0",
    "returns": SCENARIO.replace(b"\n", b"\r"),
    "escape": b"--- \x1b[31m\n" + SCENARIO,
    "title": "--- \u202edlrow\n".encode() + SCENARIO,
    "c1": "# \x9b31m\n".encode() + SCENARIO,
    "separator": "A = tcp4()\u2028A.listen()".encode(),
    "no-ascii-digit": "A = tcp4()\nA.listen(\u0663)".encode(),
    "no-ascii-name": "\u0410 = tcp4()".encode(),
    "long-line": b"A" * 10_000_000,
    "deep": b"A = tcp4" + b"(" * 1900,
    "long-number": b"A = tcp4(SO_REUSEADDR=" + b"9" * 1900 + b")",
    "option": b"A = tcp4(SO_\x7f)",
    "unknown-call": b"A = tcp4()\nA.__class__()",
    "unmade": b"A.bind(127.0.0.1:P)",
    "twice": b"A = tcp4()\nA = tcp4()",
    "port": b"A = tcp4()\nA.bind(127.0.0.1:65536)",
    "scope": b"A = tcp6()\nA.bind([fe80::1%lo]:P)",
    "raw": b"A = tcp4(SO_LINGER=raw:ff, IP_LOCAL_PORT_RANGE=raw:ffff, SO_REUSEADDR=raw:)\n",
    "every-limit": b"A = tcp4(SO_SNDBUF=2147483647, SO_RCVBUF=-2147483648, SO_PRIORITY=-1, SO_MARK=-1)\nA.listen(-1)",
    "not-sent": b"A = udp4()\nA.recv()\nA.sendto(127.0.0.1:P)\nA.eof()",
    "self": b"A = tcp4()\nA.bind(127.0.0.1:P)\nA.connect(127.0.0.1:A.port)\nB = A.accept()\nA.shutdown(RDWR)\nA.eof()",
    "way-out": b"sysctl net.ipv4/../../kernel/hostname = evil\nA = tcp4()",
    "kernel": b"sysctl kernel.core_pattern = |/bin/sh\nA = tcp4()",
    "route": b"sysctl net.ipv4.route.flush = 1\nA = tcp4()",
    "settings": b"sysctl net.core.somaxconn = 7\nsysctl net.ipv6.conf.all.disable_ipv6 = 1\nA = tcp4()\n"
    b"A.bind(0.0.0.0:P)\nA.listen()",
    "device": b"device ../../x\nA = tcp4()",
    "devices": b"".join(b"device d%d\n" % number for number in range(200)) + SCENARIO,
    "foreign": b"A = udp4()\nA.sendto(192.0.2.1:9)\nB = tcp4()\nB.connect(224.0.0.1:9)\nA.bind(255.255.255.255:P)",
    "low-port": b"A = tcp4() as user1\nA.bind(127.0.0.1:1)",
    "no-port": b"ephemeral 1-65535\nA = tcp4()\nA.bind(127.0.0.1:P)",
    "two-ports": b"ephemeral 40000-40001\nS[1-40] = tcp4()\nS[1-40].bind(127.0.0.1:0)?",
    "wait": b"wait 1800\nwait 1801",
    "titles": b"--- x\n" * 3 + b"--- \n---\n",
}
LARGE: dict[str, bytes | Place] = {  # little text, much to do
    "range": b"S[1-999999999] = tcp4()",
    "sections": b"".join(b"--- %d\nS[1-10000] = tcp4()\n" % number for number in range(400)),
    "lines": _many(b"# x\n" * 1000, 4000),
    "bytes": _many(b"#" * 1024, 65 << 10),
    "names": b"S[1-3000] = tcp4()\nS[1-3000].bind(127.0.0.1:0)\nS[1-3000].name()",
    "few-ports": b"ephemeral 40000-40005\nS[1-7] = tcp6(IP_LOCAL_PORT_RANGE=40002-40005)\n"
    b"S[1-7].bind([::1]:0)?\nS[1-7].name()",
    "options": f"--- x\nS[1-5000] = tcp4({', '.join(['SO_REUSEADDR'] * 120)})\n".encode() * 40,
    "long-names": f"--- x\n{'S' * 1900}[1-9999] = tcp4()\n".encode() * 30,
    "again": b"A = tcp4()\n" + b"A.connect(127.0.0.1:P)\nA.disconnect()\n" * 4900,
    "crowd": b"S[1-4999] = tcp4(SO_REUSEADDR)\nS[1-4999].bind(127.0.0.1:P)",
    "listeners": b"S[1-1000] = tcp4(SO_REUSEPORT)\nS[1-1000].bind(127.0.0.1:P)\nS[1-1000].listen()\nC[1-500] = tcp4()\n"
    b"C[1-500].connect(127.0.0.1:P)\nD[1-500] = S1.accept()",
}
READERS = (
    "sockreuse run {}",
    "sockreuse predict {} --on linux-6.18 --why",
    "sockreuse compare {} --on linux-6.6,windows-11,freebsd-14.0",
)


def scenarios() -> Iterator[Attack]:
    """Scenario files and standard input."""
    for reader in READERS:
        for name, text in {**TEXTS, **LARGE}.items():
            if (reader, name) != (READERS[1], "listeners"):  # which the next predicts for three
                yield _of(reader, name, {"given": text})
        yield Attack(f"{reader.split()[1]} - nothing", reader.format("-").split())
        yield Attack(f"{reader.split()[1]} - many", reader.format("-").split(), stdin=SCENARIO * 1000)
    for name in ("few-ports", "names"):
        yield _of("sockreuse compare {}", f"{name} everywhere", {"given": LARGE[name]})


def logs() -> Iterator[Attack]:
    """Logs of strace."""
    socket = b"1 socket(AF_INET, SOCK_STREAM, 0) = %d\n"
    large: dict[str, bytes | Place] = {
        "bytes": _many(b"#" * 1024, 65 << 10),
        "calls": _many(b"1 listen(3, 9) = 0\n" * 1000, 3000),
        "one line": _many(b"[" * 1024, 60 << 10, b"1 read(3, "),
        "forks": b"".join(b"%d fork() = %d\n" % (n, n + 1) for n in range(1, 90_000)),
        "inheritance": b"".join(socket % n for n in range(3, 9000))
        + b"".join(b"1 fork() = %d\n" % n for n in range(2, 90_000)),
        "unfinished": b"".join(b"%d read(3 <unfinished ...>\n" % n for n in range(90_000)),
        "threads": b"".join(b"1 clone({flags=CLONE_FILES}) = %d\n" % n for n in range(2, 50_000))
        + b"".join(b"%d +++ exited with 0 +++\n" % n for n in range(2, 50_000)),
        "terminal": b"1 \x1b[2J\n",
        "nothing": b"",
    }
    for name, text in large.items():
        yield _of("sockreuse trace --read {}", name, {"given": text})


# --- what stands where a file should ----------------------------------------------------------------------------------


def _link(to: str) -> Place:
    return lambda path: path.symlink_to(to)


def _closed(path: Path) -> None:
    path.write_bytes(SCENARIO)
    path.chmod(0)


PLACES: dict[str, Place] = {
    "absent": lambda _: None,
    "directory": Path.mkdir,
    "pipe": os.mkfifo,
    "loop": _link("given"),
    "dangling": _link("nowhere"),
    "endless": _link("/dev/zero"),
    "null": _link("/dev/null"),
    "memory": _link("/proc/self/mem"),
    "closed": _closed,
}
NAMES = ("\x1b[31mx", "a\nsockreuse: all is well", "\u202ex", "x" * 255, "-x", "\udcff", "a b'\"")
FILES = (*READERS, *(f"sockreuse results {verb} {{}}" for verb in ("check", "apply", "import", "compact")))
FILES += ("sockreuse report {}", "sockreuse diff {} {}", "sockreuse trace --read {}")
OUTPUTS = (
    "sockreuse export {}",
    "pytest --sockreuse=lost-ports --sockreuse-only --sockreuse-report {} -k ip4 -p no:cacheprovider",
)


def places() -> Iterator[Attack]:
    """What stands where a file should, to read and to write; and its name."""
    for reader in (*FILES, "sockreuse explore --exhaustive 1 --processes 1 --resume {}"):
        for name, place in PLACES.items():
            made = {"absent": "given", "dangling": "nowhere"}.get(name, "")
            yield _of(reader, name, {"given": place}, makes=frozenset([made]))
        for name in NAMES:
            words = [name if word == "{}" else word for word in reader.split()]
            yield Attack(f"{' '.join(words[:3])} called {name[:20]!a}", words, {os.path.join(".", name): SCENARIO})
    for writer in OUTPUTS:
        for name, place in PLACES.items():
            makes = {"directory": set(), "pipe": set(), "loop": set()}.get(name, {"given", "nowhere"})
            yield _of(writer, f"to {name}", {"given": place}, status=(0, 1, 2, 4), makes=frozenset(makes))
    yield _of(OUTPUTS[0], "beyond its limit", {"given": b"old"}, status=(2,), before=limit("FSIZE", 100))


# --- arguments --------------------------------------------------------------------------------------------------------

WORDS = (*(text for text in HOSTILE.values() if len(text) < 1000 and text.isprintable()), "-1", "1e9", "nan", "\u0661",
         "9" * 5000, "linux-", "linux-6.18,windows-11", "linux-99999999999", "\x1b[31m", "a\nb")  # fmt: skip
WORDED = ("sockreuse {}", "sockreuse predict given --on {}", "sockreuse compare given --on {}", "sockreuse check {}",
          "sockreuse clauses {}", "sockreuse explore --count {} --on linux-6.18", "sockreuse explore --on {} --count 1",
          "sockreuse explore --seconds {}", "sockreuse explore --exhaustive 1 --processes {}",
          "sockreuse distinguish {} linux-6.18",
          "sockreuse audit --on {}", "sockreuse results {}", "pytest --sockreuse={}", "pytest --sockreuse-explore={}",
          "pytest --sockreuse-record={}", "pytest --sockreuse=lost-ports --sockreuse-report={}",
          "pytest -o sockreuse_require={}", "pytest -o sockreuse_timeout={}")  # fmt: skip


MEANT = {("sockreuse distinguish {} linux-6.18", "-1"), ("sockreuse explore --seconds {}", "1e9")}


def arguments() -> Iterator[Attack]:
    """Arguments that mean nothing."""
    for command in WORDED:
        for word in WORDS:
            words = [part.format(word) for part in command.split(" ")]
            quick = ["-p", "no:cacheprovider", "--collect-only", "-q"] if words[0] == "pytest" else []
            status = (0, 1, 2, 4, 5) if quick else (0, 1, 2)
            if (command, word) not in MEANT:
                yield Attack(
                    f"{command} {word[:30]!a}", words + quick, {"given": SCENARIO}, status, makes=frozenset({word})
                )


# --- results files and the answers of a runner ------------------------------------------------------------------------

HEADER: dict[str, object] = {"sockreuse": 2, "platform": "linux-6.18.44", "suite": "0123456789ab"}
FOOTER: dict[str, object] = {"footer": True, "results": 1}
VALUES: dict[str, object] = {
    "none": None,
    "yes": True,
    "number": -1,
    "real": 1e999,
    "list": [],
    "object": {},
    "port": "127.0.0.1:\u0662",
}


@cache
def _real() -> tuple[dict[str, object], dict[str, object]]:
    """A line of results and an answer of a runner to which nothing is odd but what was observed."""
    plain = (v for v in load(rules=["addresses"]).variants if not {"name", "get"} & {s.verb for s in v.scenario.steps})
    asked = next(plain)
    shown: dict[str, object] = {asked.labels[-1]: "EACCES"}
    line: dict[str, object] = {"id": asked.id, "content": asked.content, "verdict": "match", "outcome": shown}
    steps = [{"step": label, "outcome": "ok", "value": None} for label in asked.labels]
    return (
        line | {"reason": "x", "basis": "measured", "claims": {"A-1": True}},
        {"platform": HEADER["platform"], "title": asked.id, "steps": steps},
    )


def odd_results() -> Iterator[tuple[str, str, list[object]]]:
    """Files of results, or of answers, each text and each value replaced in turn: a command, a name, the lines."""
    line, answer = _real()
    whole = [HEADER, line, FOOTER]
    for name, value in ({f"hostile {key}": text for key, text in HOSTILE.items()} | VALUES).items():
        for number, entry in enumerate(whole):
            for key in entry:
                changed: list[object] = [*whole]
                changed[number] = entry | {key: value}
                yield "check" if len(key) % 2 else "apply", f"{key} {name}", changed
        yield "check", f"outcome {name}", [HEADER, line | {"outcome": {"A.name": value}}, FOOTER]
        for key in (*answer, "not_run"):
            yield "import", f"{key} {name}", [answer | {key: value}, answer]
            yield "import", f"{key} later {name}", [answer, answer | {key: value}]
        for key in ("step", "outcome", "value"):
            steps = [{"step": "A.name", "outcome": "ok", "value": "127.0.0.1:1"} | {key: value}]
            yield "import", f"{key} {name}", [answer | {"steps": steps}]
        yield "compact", f"id {name}", [HEADER, line | {"id": value}, FOOTER]


def values() -> Iterator[Attack]:
    """Those, as files of commands; the target `reader` is given all of them in one process."""
    for verb, name, entries in odd_results():
        yield _results(verb, name, entries)


def results() -> Iterator[Attack]:
    """Results files that are odd as a whole, and facts of reports."""
    for name, value in [*HOSTILE.items(), *VALUES.items()][::4]:
        facts = (HEADER | {"build": value, "knobs": {"x": value}}, _real()[0], FOOTER)
        yield _of("sockreuse report {} --keep-going", f"fact {name}", {"given": partial(_lines, entries=facts)})
    odd = {
        "deep": b"[" * 100_000,
        "digits": b"9" * 100_000,
        "nan": b"NaN",
        "twice": b'{"sockreuse": 2, "sockreuse": 2}',
    }
    odd["folds"] = json.dumps({**_real()[0], "id": "x/y[" + "{a,b}" * 100 + "]"}).encode()
    yield _of("sockreuse results check {}", "one line", {"given": _many(b"[]," * 1000, 20_000, b"[")})
    many = {f"{number}.jsonl": b"x" for number in range(400)}
    for words in (["report", *many], ["diff", ".", "."]):
        yield Attack(f"{words[0]} of many", ["sockreuse", *words], many, lines=11)
    for name, text in odd.items():
        for verb in ("check", "import"):
            yield _of(f"sockreuse results {verb} {{}}", name, {"given": json.dumps(HEADER).encode() + b"\n" + text})


def _results(verb: str, name: str, entries: list[object]) -> Attack:
    makes = frozenset({"given"} if verb == "compact" else ())
    return _of(f"sockreuse results {verb} {{}}", name, {"given": partial(_lines, entries=entries)}, makes=makes)


def _lines(path: Path, entries: Iterable[object]) -> None:
    """Written when it is wanted, as `_many` is."""
    path.write_bytes(text_of(entries))


def text_of(entries: Iterable[object]) -> bytes:
    """A line of JSON for each."""
    return "".join(json.dumps(entry) + "\n" for entry in entries).encode()


# --- the suite's data -------------------------------------------------------------------------------------------------

BROKEN: dict[str, Callable[[str], str]] = {
    "empty": lambda _: "",
    "cut": lambda text: text[: len(text) // 2],
    "flat": lambda text: "x = 5\n" + text,
    "deep": lambda text: f"x = {'[' * 5000}\n" + text,
    "digits": lambda text: f"x = {'9' * 5000}\n" + text,
    "escape": lambda text: f'["{chr(92)}u001b[31m"]\nx = "{chr(92)}u001b"\n' + text,
    "texts": lambda text: re.sub(r'^( *\w+) = ".*"$', r"\1 = 5", text, flags=re.M),
    "numbers": lambda text: re.sub(r"^( *\w+) = \[.*\]$", r"\1 = [5]", text, flags=re.M),
    "keys": lambda text: re.sub(r"^( *)(\w+) =", r"\1x\2 =", text, count=3, flags=re.M),
}
DATA = (
    "rules/lost-ports.toml",
    "claims.toml",
    "evidence.toml",
    "axes.toml",
    "guards.toml",
    "platforms.toml",
    "options.toml",
    "settings.toml",
)
DATA_READERS = ("sockreuse rules", "sockreuse export", "sockreuse check ordering-quirk",
                "sockreuse predict given --on linux-6.18",
                "pytest --sockreuse --collect-only -q -p no:cacheprovider")  # fmt: skip


def data() -> Iterator[Attack]:
    """A copy of the package whose data is wrong."""
    for file in DATA:
        text = (PACKAGE / "conformance" / file).read_text(encoding="utf-8")
        for name, change in BROKEN.items():
            for reader in DATA_READERS:
                copy: dict[str, bytes | Place] = {
                    "pytest_sockreuse": partial(_copy, file=file, text=change(text)),
                    "given": SCENARIO,
                }
                status = (0, 1, 2, 4, 5)
                made = frozenset({"pytest_sockreuse"})  # a worker writes its byte code there
                yield Attack(f"{reader[:20]} {file} {name}", reader.split(), copy, status, makes=made)


def _copy(path: Path, file: str, text: str) -> None:
    shutil.copytree(PACKAGE, path, ignore=shutil.ignore_patterns("results", "lab"))
    (path / "conformance" / file).write_text(text, encoding="utf-8")


def _of(command: str, name: str, files: dict[str, bytes | Place], **more: Any) -> Attack:
    words = [word.replace("{}", "given") for word in command.split()]
    return Attack(f"{' '.join(words[:3])}: {name}", words, files, **more)
