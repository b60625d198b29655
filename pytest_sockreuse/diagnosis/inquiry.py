"""``sockreuse explain``: a question at a prompt, and what the kernel and the model answer."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..dataclass import dataclass
from ..live.holders import Holder, holders
from ..live.options import numbers
from ..live.plain import Plain
from ..live.processes import Process, can_be_looked_for
from ..live.users import this_user, user_name, user_number
from ..model import StepPrediction
from ..parser import parse
from ..platforms import Platform, current
from ..scenario import ScenarioError
from ..text import visible
from . import Diagnosis, addresses, exhaustion, guesses
from .question import Asked, changed_settings, family_of, is_local, shown, too_low, wild
from .sight import Explanation, Sight, here, look
from .story import answers
from .trial import QuestionError, made, nobody_listens, route, tried, tried_as
from .words import Row

_DEVICE = "SO_BINDTODEVICE="
_MOST = 1000  # sockets in JSON
_NO_ROUTE = "no route leads there: bring an interface up, or add a route, for"
_MEANS = {"ECONNREFUSED": "start what is to listen at", "ENETUNREACH": _NO_ROUTE, "EHOSTUNREACH": _NO_ROUTE}
ANOTHER = "use another port (`sockreuse hold -- COMMAND {}` finds and holds one)"


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
        host, port, zone = _parsed(self.place) if self.place else ("", 0, "")
        protocol = "udp" if self.udp or addresses.is_udp(self.place) else "tcp"
        options, device = _options(self.options, protocol)
        uid = _uid(self.user)
        platform = current()
        goals: Sequence[tuple[str, int] | None] = [None]
        if self.connect is not None:
            goal, its, zone_there = _parsed(self.connect)
            goals, zone = _resolved(goal, its, every=("127.0.0.1", "::1")), zone or zone_there
        device = device or (zone if "SO_BINDTODEVICE" in numbers() else "")
        of_six = next((it for it in options if it.startswith("IPV6_")), "")
        calls = []
        for foreign in goals:
            if foreign is not None and not foreign[1]:
                raise QuestionError("nobody can connect to port 0: give the port of the destination")
            places = [(wild(foreign[0]), port)] if foreign and not host else _resolved(host, port)
            for local in places:
                if foreign is not None and (":" in local[0]) != (":" in foreign[0]):
                    continue
                if of_six and ":" not in local[0]:
                    continue
                family = family_of(local[0])
                given = options
                if local[0] == "::" and _v6only(family) and not any(it.startswith("IPV6_V6ONLY") for it in options):
                    given = (*options, "IPV6_V6ONLY")
                calls.append(
                    Asked(
                        "connect" if foreign else "bind", "", protocol, family,
                        tuple(it for it in given if it != "IPV6_V6ONLY=0"), local, foreign, uid, device,
                        too_low(port, uid, platform), not is_local(local[0], device), changed_settings(platform),
                    )
                )  # fmt: skip
        if not calls and of_six:
            raise QuestionError(f"{of_six} is an option of IPv6: give an address such as [::]:{port}")
        if not calls:
            raise QuestionError(f"{visible(self.place)} and {visible(self.connect or '')} are of two families")
        return calls


def _parsed(text: str) -> tuple[str, int, str]:
    """Host, port and zone. Raises QuestionError."""
    try:
        host, port = addresses.parsed(text)
        return host.partition("%")[0], port, host.partition("%")[2]
    except addresses.AddressError as error:
        raise QuestionError(str(error)) from None


def _resolved(host: str, port: int, every: tuple[str, str] = ("0.0.0.0", "::")) -> list[tuple[str, int]]:
    """All the addresses of a host; of none the wildcards of the families that this system has. Raises QuestionError."""
    if not host:
        return [(it, port) for it in every if ":" not in it or is_local("::1")]
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
    """What each call would come to, and how that is `known`: by the ``model``, ``tried``, by what is ``seen``, by
    ``routes``."""

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
        known = {
            "tried": "tried here",
            "seen": "by the sockets that can be seen",
            "routes": "by the routes of this system",
            "model": f"by the model of {current()}",
        }
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
        with contextlib.suppress(OSError), made(call):  # a family that this system does not have
            pass
    places = {(it.local[1], it.protocol) for it in calls if it.local[1]}
    found = {place: holders(*place) for place in places}
    return [answer(it, found.get((it.local[1], it.protocol), [])) for it in calls]


def answer(asked: Asked, there: Sequence[Holder]) -> Answer:
    """Look, ask the model, and, where what can be seen does not decide, try the bind."""
    platform = current()
    again = f"sudo sockreuse explain {asked.local[1]}" + (" --udp" if asked.protocol == "udp" else "")
    scene = replace(here(platform), another=ANOTHER, ask=again if can_be_looked_for() else "")
    sight = look(asked, scene, {}, there=there)
    outcomes, known = _outcomes(asked, sight, platform)
    failed = next((verb for verb, outcome in outcomes.items() if outcome != "ok"), "")
    if not failed:
        return Answer(asked, outcomes, known, Explanation(sight, Diagnosis(), ()))
    failing = replace(asked, verb=failed, errno=outcomes[failed].partition("|")[0])
    if asked.foreign and failing.errno in _MEANS:
        known = known if failing.errno == "ECONNREFUSED" else "routes"
        means = f"{_MEANS[failing.errno]} {shown(asked.foreign)}"
        return Answer(asked, outcomes, known, Explanation(sight, Diagnosis(), (means,)))
    if not asked.local[1]:
        sight = look(failing, scene, {})
    return Answer(asked, outcomes, known, replace(sight, asked=failing).explanation())


def _outcomes(asked: Asked, sight: Sight, platform: Platform) -> tuple[dict[str, str], str]:
    """What bind, and then listen or connect would come to."""
    if not asked.local[1]:
        return _chosen(asked)
    stories = [answers(asked, others, platform) for others in guesses(sight.there)]
    sure = bool(sight.there) and not asked.elsewhere and all(stories)
    told = _united(stories)
    if not sure or "|" in told.get("bind", "|"):
        if came := tried(asked) if asked.uid == this_user() else tried_as(asked):
            likely = [story for story in stories if story and story["bind"].outcomes == (came,)]
            return _until_failure({**_united(likely), "bind": came}, asked), "tried"
    return _until_failure(told, asked), "model"


def _united(stories: Sequence[Mapping[str, StepPrediction]]) -> dict[str, str]:
    """What each call may come to, in one story or another."""
    found: dict[str, set[str]] = {}
    for story in stories:
        for verb, step in story.items():
            found.setdefault("listen" if verb == "then" else verb, set()).update(step.outcomes)
    return {verb: "|".join(sorted(outcomes)) for verb, outcomes in found.items()}


def _chosen(asked: Asked) -> tuple[dict[str, str], str]:
    """What calls come to that have the OS choose a port, and how that is known: bind is tried; connect has the ports
    that nobody is at, if bind has not chosen one."""
    bound = asked.foreign is None or not ipaddress.ip_address(asked.local[0]).is_unspecified
    if bound and ((came := tried(asked)) != "ok" or asked.foreign is None):
        return {"bind": came}, "tried"
    if bound and "IP_BIND_ADDRESS_NO_PORT" not in asked.options:
        return _until_failure({"connect": "ok"}, asked), "seen"
    taken = exhaustion.reach(asked)
    if len(taken.ports()) < taken.size:
        return _until_failure({"connect": "ok"}, asked), "seen"
    tuples = (asked.local[0] if bound else route(asked)[1], asked.foreign)
    seats = [s for s in taken.seats if (s.local[0], s.foreign) == tuples or s.state in ("LISTEN", "BOUND")]
    barred = {seat.local[1] for seat in seats}
    errno = exhaustion.none_left(asked.protocol, current())
    sure = asked.protocol == "udp" or len(barred) >= taken.size
    return {"connect": errno if sure else f"{errno}|ok"}, "seen"


def _until_failure(outcomes: Mapping[str, str], asked: Asked) -> dict[str, str]:
    """The outcomes up to the first call that does not succeed; of a connect to this host, whether somebody listens."""
    kept: dict[str, str] = {}
    for verb in ("bind", "listen", "connect"):
        outcome = outcomes.get(verb, "unreached")
        if verb == "connect" and outcome == "ok":
            outcome = route(asked)[0] or ("ECONNREFUSED" if nobody_listens(asked) else "ok")
        if outcome != "unreached":
            kept[verb] = outcome
            if outcome != "ok":
                break
    return kept or {asked.verb: "unknown"}


def unseen(there: Sequence[Holder]) -> list[str]:
    """What this user cannot see."""
    hidden = [it for it in there if it.hidden]
    lines = []
    if hidden:
        who = "ask as root, or as their user" if can_be_looked_for() else "there is no /proc to look into"
        lines.append(f"the processes of {sum(1 + it.more for it in hidden)} of these sockets: {who}")
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
