"""``sockreuse explain``: a question at a prompt, and what the kernel and the model answer."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..dataclass import dataclass
from ..live.census import census
from ..live.errnos import name_of
from ..live.holders import Holder, holders, served
from ..live.options import apply
from ..live.plain import Plain
from ..live.processes import Process
from ..live.users import this_user, user_name, user_number
from ..model import StepPrediction
from ..parser import parse
from ..platforms import Platform, current
from ..scenario import ScenarioError
from ..text import visible
from . import Diagnosis, addresses, exhaustion, guesses
from .question import Asked, changed_settings, is_local, shown, too_low
from .sight import Explanation, Sight, here, look
from .story import answers
from .words import Row

_DEVICE = "SO_BINDTODEVICE="
_MOST = 1000  # sockets in JSON
ANOTHER = "use another port (`sockreuse hold -- COMMAND {}` finds and holds one)"


class QuestionError(ValueError):
    """A question that is none; the message is one line."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a user asks: an address as typed, options, a destination, a user."""

    place: str = ""
    options: tuple[str, ...] = ()
    udp: bool = False
    connect: str | None = None
    user: str | None = None

    def asked(self) -> list[Asked]:
        """A call for each address that is meant. Raises QuestionError."""
        host, port = _parsed(self.place) if self.place else ("", 0)
        protocol = "udp" if self.udp or addresses.is_udp(self.place) else "tcp"
        options, device = _options(self.options, protocol)
        uid = _uid(self.user)
        platform = current()
        goals = _resolved(*_parsed(self.connect), wild=("127.0.0.1", "::1")) if self.connect is not None else [None]
        calls = []
        for foreign in goals:
            if foreign is not None and not foreign[1]:
                raise QuestionError("nobody can connect to port 0: give the port of the destination")
            for local in _resolved(host, port):
                if foreign is not None and (":" in local[0]) != (":" in foreign[0]):
                    continue
                family = socket.AF_INET6 if ":" in local[0] else socket.AF_INET
                given = options
                if local[0] == "::" and _v6only(family) and not any(it.startswith("IPV6_V6ONLY") for it in options):
                    given = (*options, "IPV6_V6ONLY")
                calls.append(
                    Asked(
                        "connect" if foreign else "bind", "", protocol, family,
                        tuple(it for it in given if it != "IPV6_V6ONLY=0"), local, foreign, uid, device,
                        too_low(port, uid, platform), not is_local(local[0]), changed_settings(platform),
                    )
                )  # fmt: skip
        if not calls:
            raise QuestionError(f"{visible(self.place)} and {visible(self.connect or '')} are of two families")
        return calls


def _parsed(text: str) -> addresses.Named:
    try:
        return addresses.parsed(text)
    except addresses.AddressError as error:
        raise QuestionError(str(error)) from None


def _resolved(host: str, port: int, wild: tuple[str, str] = ("0.0.0.0", "::")) -> list[tuple[str, int]]:
    """All the addresses of a host; of none the wildcards of the families that this system has. Raises QuestionError."""
    if not host:
        return [(it, port) for it in wild if ":" not in it or is_local("::1")]
    if ":" in host or host.replace(".", "").isdigit():
        return [(host, port)]
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise QuestionError(f"{visible(host)!r} has no address: give one, or a name that resolves") from None
    return [*dict.fromkeys((str(entry[4][0]), port) for entry in found)]


def _options(given: Sequence[str], protocol: str) -> tuple[tuple[str, ...], str]:
    """The options in the language's spelling, and the device. Raises QuestionError."""
    names, device = [], ""
    for text in given:
        try:
            step = parse(f"new = {protocol}4({text})").steps[0]
        except ScenarioError:
            why = "is no option: give one such as SO_REUSEADDR (see docs/scenarios.md)"
            raise QuestionError(f"{visible(text)!r} {why}") from None
        for option in step.options:
            if option.name == "SO_BINDTODEVICE":
                device = option.value or ""
            elif option.value in (None, "1") and option.raw is None:
                names.append(option.name)
            else:
                names.append(str(option))
    return tuple(dict.fromkeys(names)), device


def _uid(user: str | None) -> int | None:
    """A user's number. Raises QuestionError."""
    if user is None:
        return this_user()
    if (uid := user_number(user)) is None:
        raise QuestionError(f"no user {visible(user)!r} here: give a name or a number")
    return uid


def _v6only(family: int) -> bool:
    """Whether a new socket of this family has IPV6_V6ONLY set."""
    try:
        with Plain(family, socket.SOCK_STREAM) as sock:
            return bool(sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY))
    except OSError:
        return False


# --- the answer -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Answer:
    """What each call would come to, and how that is `known`: by the ``model``, ``tried``, or by what is ``seen``."""

    asked: Asked
    outcomes: Mapping[str, str]
    known: str
    explanation: Explanation

    @property
    def ok(self) -> bool:
        """Whether every call would succeed."""
        return all(outcome == "ok" for outcome in self.outcomes.values())

    def rows(self) -> Iterator[Row]:
        """What is asked, who is there, the answer, the clause, what helps."""
        user = f", as {user_name(self.asked.uid)}" if self.asked.uid != this_user() else ""
        yield "call", f"{self.asked}{user}"
        explained = list(self.explanation.rows())
        cut = next((n for n, (name, _) in enumerate(explained) if name in ("clause", "fix")), len(explained))
        yield from explained[:cut]
        said = ", ".join(f"{verb} {outcome}" for verb, outcome in self.outcomes.items())
        known = {"tried": "tried here", "seen": "by the ports that are left", "model": f"by the model of {current()}"}
        yield "answer", f"{said} ({known[self.known]})"
        yield from explained[cut:]
        yield from (("unseen", text) for text in unseen(self.explanation.sight.there))

    def to_json(self) -> dict[str, Any]:
        """For programs; every address as ADDRESS:PORT."""
        sight, asked = self.explanation.sight, self.asked
        blocks = {id(it) for it in self.explanation.found.blocking}
        found: dict[str, Any] = {
            "local": shown(asked.local),
            "foreign": shown(asked.foreign) if asked.foreign else None,
            "protocol": asked.protocol,
            "options": [*asked.options] + ([f"{_DEVICE}{asked.device}"] if asked.device else []),
            "user": asked.uid,
            "ok": self.ok,
            "outcomes": dict(self.outcomes),
            "by": self.known,
            "sockets": [_socket_json(it, id(it) in blocks) for it in sight.there[:_MOST]],
            "clauses": [
                {"name": it.name, "sentence": it.sentence, "source": it.source} for it in self.explanation.found.clauses
            ],
            "fixes": [*self.explanation.fixes],
            "unseen": unseen(sight.there),
        }
        if sight.taken is not None:
            found["range"] = exhaustion.to_json(sight.taken)
        return found


def answers_to(question: Question) -> list[Answer]:
    """The answer for each address that is meant. Raises QuestionError."""
    calls = question.asked()
    for call in calls:
        with contextlib.suppress(OSError), _made(call):  # a family that this system does not have
            pass
    places = {(it.local[1], it.protocol) for it in calls if it.local[1]}
    found = {place: holders(*place) for place in places}
    return [answer(it, found.get((it.local[1], it.protocol), [])) for it in calls]


def answer(asked: Asked, there: Sequence[Holder]) -> Answer:
    """Look, ask the model, and, where what can be seen does not decide, try the bind."""
    platform = current()
    scene = replace(here(platform), another=ANOTHER, ask=f"sudo sockreuse explain {asked.local[1]}")
    sight = look(asked, scene, {}, there=there)
    outcomes, known = _outcomes(asked, sight, platform)
    failed = next((verb for verb, outcome in outcomes.items() if outcome != "ok"), "")
    if not failed:
        return Answer(asked, outcomes, known, Explanation(sight, Diagnosis(), ()))
    failing = replace(asked, verb=failed, errno=outcomes[failed].partition("|")[0])
    if failing.errno == "ECONNREFUSED" and asked.foreign:
        start = f"start what is to listen at {shown(asked.foreign)}"
        return Answer(asked, outcomes, known, Explanation(sight, Diagnosis(), (start,)))
    if not asked.local[1]:
        sight = look(failing, scene, {})
    return Answer(asked, outcomes, known, replace(sight, asked=failing).explanation())


def _outcomes(asked: Asked, sight: Sight, platform: Platform) -> tuple[dict[str, str], str]:
    """What bind, and then listen or connect would come to."""
    if not asked.local[1]:
        return _chosen(asked), "seen" if asked.foreign else "tried"
    stories = [answers(asked, others, platform) for others in guesses(sight.there)]
    sure = bool(sight.there) and not asked.elsewhere and all(stories)
    told = _united(stories)
    if not sure or "|" in told.get("bind", "|"):
        tried = _tried(asked) if asked.uid == this_user() else _tried_as(asked)
        if tried:
            likely = [story for story in stories if story and story["bind"].outcomes == (tried,)]
            return _until_failure({**_united(likely), "bind": tried}, asked), "tried"
    return _until_failure(told, asked), "model"


def _united(stories: Sequence[Mapping[str, StepPrediction]]) -> dict[str, str]:
    """What each call may come to, in one story or another."""
    found: dict[str, set[str]] = {}
    for story in stories:
        for verb, step in story.items():
            found.setdefault("listen" if verb == "then" else verb, set()).update(step.outcomes)
    return {verb: "|".join(sorted(outcomes)) for verb, outcomes in found.items()}


def _chosen(asked: Asked) -> dict[str, str]:
    """What a call comes to that has the OS choose a port: bind is tried; connect has the ports that nobody is at."""
    if asked.foreign is None:
        return {"bind": _tried(asked)}
    taken = census(asked.protocol).of_family(asked.family)
    if len(taken.ports()) < taken.size:
        return _until_failure({"connect": "ok"}, asked)
    barred = {s.local[1] for s in taken.seats if s.foreign == asked.foreign or s.state in ("LISTEN", "BOUND")}
    errno = exhaustion.none_left(asked.protocol, current())
    return {"connect": errno if asked.protocol == "udp" or len(barred) >= taken.size else f"{errno}|ok"}


def _until_failure(outcomes: Mapping[str, str], asked: Asked) -> dict[str, str]:
    """The outcomes up to the first call that does not succeed; of a connect to this host, whether somebody listens."""
    kept: dict[str, str] = {}
    for verb in ("bind", "listen", "connect"):
        outcome = outcomes.get(verb, "unreached")
        if verb == "connect" and outcome == "ok" and asked.foreign and nobody_listens(asked):
            outcome = "ECONNREFUSED"
        if outcome != "unreached":
            kept[verb] = outcome
            if outcome != "ok":
                break
    return kept or {asked.verb: "unknown"}


def nobody_listens(asked: Asked) -> bool:
    """Whether the destination is on this host, and nobody serves it."""
    if asked.protocol != "tcp" or asked.foreign is None or not is_local(asked.foreign[0]):
        return False
    return not served(asked.foreign[1]) & {"0.0.0.0", "::", asked.foreign[0]}


def _tried(asked: Asked) -> str:
    """What bind comes to, in fact: the socket is closed again at once, and never listens."""
    try:
        with _made(asked) as sock:
            sock.bind(asked.local)
    except OSError as error:
        return name_of(error)
    return "ok"


def _made(asked: Asked) -> Plain:
    """A socket as it is asked about, not bound yet. Raises QuestionError where an option cannot be set here."""
    sock = Plain(asked.family, socket.SOCK_DGRAM if asked.protocol == "udp" else socket.SOCK_STREAM)
    text = ""
    try:
        for text in (*asked.options, *([f"{_DEVICE}{asked.device}"] if asked.device else [])):
            apply(sock, parse(f"new = tcp4({text})").steps[0].options[0])
    except OSError as error:
        sock.close()
        raise QuestionError(f"{visible(text)} cannot be set here ({name_of(error)})") from None
    return sock


def _tried_as(asked: Asked) -> str:
    """The same by another user, in a child; empty where this one may not become that."""
    if sys.platform == "win32" or os.geteuid() != 0 or asked.uid is None:
        return ""
    ours, its = os.pipe()
    with open(its, "wb", 0) as said:  # a file closes at once, where os.close() is gevent's and does not
        child = os.fork()
        if not child:
            try:
                os.setgroups([])
                os.setuid(asked.uid)
                said.write(_tried(asked).encode())
            finally:
                os._exit(0)
    with open(ours, "rb") as answer:
        told = answer.read(100).decode()
    os.waitpid(child, 0)
    return told


def unseen(there: Sequence[Holder]) -> list[str]:
    """What this user cannot see."""
    hidden = [it for it in there if it.hidden]
    lines = []
    if hidden:
        lines.append(
            f"the processes of {sum(1 + it.more for it in hidden)} of these sockets: ask as root, or as their user"
        )
    blind = [it for it in there if it.options is None and it.processes and not it.ended]
    if blind or hidden:
        lines.append("the sharing options of sockets of other users: the model was asked about each possibility")
    return lines


def _socket_json(holder: Holder, blocks: bool) -> dict[str, Any]:
    return {
        "state": holder.state,
        "local": shown(holder.local),
        "foreign": shown(holder.foreign) if holder.foreign else None,
        "options": None if holder.options is None else [*holder.options],
        "device": holder.device or None,
        "user": holder.uid,
        "processes": [_process_json(it) for it in holder.processes],
        "ended": holder.ended,
        "seconds": holder.seconds,
        "hidden": holder.hidden,
        "in_the_way": blocks,
        "more": holder.more,
    }


def _process_json(process: Process) -> dict[str, Any]:
    return {
        "pid": process.pid,
        "name": process.name,
        "descriptor": process.fd,
        "inheritable": process.passes_on,
        "origin": process.origin or None,
        "from": process.parent or None,
    }
