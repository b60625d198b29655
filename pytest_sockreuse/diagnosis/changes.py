"""What could be done about a conflict: each change is made to what was there, and the model is asked again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from ..dataclass import dataclass
from ..live.holders import Holder
from ..platforms import Platform
from .question import SHARING, Asked, wild
from .story import answers

Others = Sequence[Holder]
_Sock = TypeVar("_Sock", Asked, Holder)
_OVERRIDES = ("windows", "wine", "wsl1")  # where SO_REUSEADDR takes a port away from who has it
_EVERY = ("0.0.0.0", "::")
NO_SERVER = " (to connect out; it cannot listen)"


@dataclass(frozen=True, slots=True)
class Change:
    """What could be done: an option for the new socket (`mine`) and for the others (`theirs`), the order of the calls
    (`first`), a setting, or anything else (`edit`). `where` says whether that is a change to what is there; `beyond`
    names the change that is less, and enough where it helps too."""

    sentence: str
    mine: str = ""
    theirs: str = ""
    first: bool = False
    edit: Callable[[Asked], Asked] | None = None
    where: Callable[[Asked, Others], bool] = lambda *_: True
    beyond: tuple[str, ...] = ()
    others: Callable[[Asked, Holder], Holder] | None = None

    def made(self, asked: Asked, others: Others) -> tuple[Asked, Others]:
        """The call and the others after it."""
        asked = self.edit(asked) if self.edit else asked
        others = [self.others(asked, it) for it in others] if self.others else others
        return _with(asked, self.mine), [_with(it, self.theirs) for it in others]


def helpful(asked: Asked, explained: Sequence[Others], platform: Platform) -> tuple[str, ...]:
    """The changes that help whichever of these is what is there; those that leave something to be desired come last."""
    clean: dict[str, str] = {}  # by the change's own sentence
    partly = []
    for change in CHANGES:
        if clean.keys() & {*change.beyond} or (
            platform.stack in _OVERRIDES and {change.mine, change.theirs} & {*SHARING}
        ):
            continue
        after = [_after(change, asked, others, platform) for others in explained]
        if None in after:
            continue
        sentence = _worded(change, explained[0])
        if any(after):
            partly.append(sentence + max(filter(None, after)))
        else:
            clean[change.sentence] = sentence
    return (*clean.values(), *partly)


def _after(change: Change, asked: Asked, others: Others, platform: Platform) -> str | None:
    """What is to be said of the call after a change: nothing if all is well, None if it does not help."""
    if not others or not change.where(asked, others):
        return None
    answer = answers(*change.made(asked, others), platform, "first" if change.first else "")
    if not answer or any(step.outcomes != ("ok",) for verb, step in answer.items() if verb != "then"):
        return None
    return "" if "then" not in answer or answer["then"].outcomes == ("ok",) else NO_SERVER


def _with(it: _Sock, option: str) -> _Sock:
    if option.startswith("SO_BINDTODEVICE="):
        return replace(it, device=option.partition("=")[2])
    return replace(it, options=((it.options or ()) + (option,))) if option else it


def _worded(change: Change, others: Others) -> str:
    """The sentence; of a socket whose port the OS chose it does not say that it binds."""
    if change.mine and change.theirs and any(it.how == "connect" for it in others):
        return f"set {change.mine} on both sockets: on this one before it binds, on the other before it connects"
    return change.sentence


# --- when a change is one ---------------------------------------------------------------------------------------------


def _to_be_shared(asked: Asked, others: Others) -> bool:
    """Whether both may be servers: a child that only inherited the port would get connections and serve none."""
    return asked.foreign is None and all(it.keeps and not it.inherited for it in others)


def _dual(local: str, options: tuple[str, ...] | None) -> bool:
    return local == "::" and "IPV6_V6ONLY" not in (options or ())


def _meets_another_address(asked: Asked, others: Others) -> bool:
    return asked.local[0] in _EVERY and all(it.local[0] not in _EVERY for it in others)


def _one_address(asked: Asked) -> Asked:
    return replace(asked, local=("2001:db8::7" if ":" in asked.local[0] else "192.0.2.7", asked.local[1]))


def _unbound(asked: Asked) -> Asked:
    return replace(asked, verb="connect", local=(wild(asked.local[0]), 0))


def _of_one_user(asked: Asked, holder: Holder) -> Holder:
    return replace(holder, uid=asked.uid)


_ALONE = "set SO_REUSEADDR on this socket before it binds"
_BOTH = "set SO_REUSEADDR on both sockets before they bind"
_PORT = "set SO_REUSEPORT on both sockets before they bind, if both are to serve the port"
CHANGES = (
    Change(
        "set IPV6_V6ONLY on this socket before it binds, if IPv4 is not meant",
        "IPV6_V6ONLY",
        where=lambda asked, others: _dual(asked.local[0], asked.options) and any(":" not in o.local[0] for o in others),
    ),
    Change(
        "set IPV6_V6ONLY on the other socket before it binds, if it is not to serve IPv4",
        theirs="IPV6_V6ONLY",
        where=lambda asked, others: ":" not in asked.local[0] and all(_dual(o.local[0], o.options) for o in others),
    ),
    Change(_ALONE, "SO_REUSEADDR"),
    Change(
        _BOTH,
        "SO_REUSEADDR",
        "SO_REUSEADDR",
        beyond=(_ALONE,),
    ),
    Change(
        _PORT,
        "SO_REUSEPORT",
        "SO_REUSEPORT",
        where=_to_be_shared,
        beyond=(_ALONE,),
    ),
    Change(
        "run both as one user, with SO_REUSEPORT on both sockets, if both are to serve the port",
        "SO_REUSEPORT",
        "SO_REUSEPORT",
        where=lambda asked, others: (
            _to_be_shared(asked, others) and any(it.uid not in (None, asked.uid) for it in others)
        ),
        beyond=(_PORT,),
        others=_of_one_user,
    ),
    Change(
        "bind one address that the other socket does not have, in place of all addresses",
        edit=_one_address,
        where=_meets_another_address,
    ),
    Change(
        "set SO_BINDTODEVICE on both sockets, to two interfaces",
        "SO_BINDTODEVICE=other0",
        where=lambda asked, others: bool(asked.device) or any(it.device for it in others),
    ),
    Change(
        "do not bind before connect: the OS then chooses a port that is free for this destination",
        edit=_unbound,
        where=lambda asked, _: asked.foreign is not None,
    ),
    Change(
        "set SO_REUSEADDR on both sockets, and bind this one before the other listens",
        "SO_REUSEADDR",
        "SO_REUSEADDR",
        first=True,
        beyond=(_ALONE, _BOTH),
    ),
)
