"""What was there, and the call, as a scenario that a model can be asked about."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator, Mapping, Sequence

from ..live.holders import Holder
from ..model import ModelError, StepPrediction, predict
from ..parser import parse
from ..platforms import Platform
from ..scenario import ScenarioError
from .question import NO_IPV6, Address, Asked, at, is_scoped

_V6ONLY, _DEVICE = "IPV6_V6ONLY", "SO_BINDTODEVICE"


def answers(
    asked: Asked, others: Sequence[Holder], platform: Platform, order: str = "", before: Sequence[str] = ()
) -> dict[str, StepPrediction]:
    """What the model says of the new socket's calls, by verb; of a listen that was not asked as `then`. Nothing if it
    does not know of a call, or does not let the others be as they were seen. `before` are lines right before the
    call."""
    try:
        steps = predict(parse("\n".join(lines(asked, others, order, before))), platform).steps
    except (ScenarioError, ModelError):
        return {}
    if any(step.unknown or (step.outcomes != ("ok",) and not step.step.startswith("new.")) for step in steps):
        return {}
    found = {step.step.removeprefix("new."): step for step in steps if step.step.startswith("new.")}
    if asked.verb == "bind" and "listen" in found:
        found["then"] = found.pop("listen")
    return found


def lines(asked: Asked, others: Sequence[Holder], order: str = "", before: Sequence[str] = ()) -> Iterator[str]:
    """The others as they were seen, then the call. In the order ``first`` the new socket binds before the others
    listen; ``taken`` means that no port is left to choose."""
    yield from (f"sysctl {name} = {value}" for name, value in asked.settings)
    devices = dict.fromkeys([asked.device, *(it.device for it in others)])
    yield from (f"device {name}" for name in devices if name not in ("", "lo"))
    hosts = [(other.local[0], other.device) for other in others]
    if asked.foreign:
        hosts.append((asked.foreign[0], asked.device))
    if not asked.elsewhere and asked.errno in ("", "EADDRINUSE", "EACCES"):  # so it is local
        hosts.append((asked.local[0], asked.device))
    hosts = [(host, device if is_scoped(host) else "") for host, device in hosts if not _everywhere(host)]
    yield from (f"address {host}%{device}" if device else f"address {host}" for host, device in dict.fromkeys(hosts))
    if order == "taken":
        yield "ephemeral 40000-40000"
        yield from _made("taken", asked.protocol, asked.local[0], "0", (), asked.family)
    if asked.foreign and not (":" in asked.foreign[0] and NO_IPV6 in asked.settings):
        yield from _made("server", asked.protocol, asked.foreign[0], "D")
        yield from ["server.listen()"] if asked.protocol == "tcp" else []
    users = _users(asked, others)
    others = sorted(others, key=lambda it: it.how != "connect")  # the OS chose the port: it comes first
    port = _port(asked, others)
    listens = []
    for number, other in enumerate(others):
        name = f"other{number}"
        if other.state == "LISTEN" or other.state == "BOUND" or other.protocol == "udp":
            yield from _bound(name, other, port, users)
            listens += [f"{name}.listen()"] if other.state == "LISTEN" else []
        else:
            yield from _connection(name, other, asked.foreign, "P" if number == 0 else port, users)
    new = [
        *_made("new", asked.protocol, asked.local[0], port if asked.local[1] else "0", asked.options, asked.family,
               asked.device, users.get(asked.uid, ""))
    ]  # fmt: skip
    if asked.verb == "connect" and not asked.local[1] and _everywhere_at_all(asked.local[0]):
        del new[1:]
    yield from [*new, *listens] if order == "first" else [*listens, *before, *new]
    if asked.foreign:
        yield f"new.connect({at(asked.foreign[0], 'D')})"
    elif asked.protocol == "tcp":
        yield "new.listen()"


def _port(asked: Asked, others: Sequence[Holder]) -> str:
    """The contested port: a symbol, the one that the OS chose for another, or its number where the number is the
    matter."""
    if others and others[0].how == "connect" and others[0].protocol == "tcp" and not asked.low:
        return "other0.port"
    return str(asked.local[1]) if asked.low else "P"


def _users(asked: Asked, others: Sequence[Holder]) -> Mapping[int | None, str]:
    """The name of each user, if there are several, or if who asks is not root."""
    if asked.uid is None:
        return {}
    uids = [asked.uid, *(it.uid for it in others if it.uid is not None and not it.ended)]
    if not asked.low and len(set(uids)) < 2:
        return {}
    rootless = asked.low and asked.uid == 0  # its user namespace does not own the network
    strangers = [uid for uid in dict.fromkeys(uids) if uid or rootless]
    return {0: "root", **{uid: f"user{min(number, 2)}" for number, uid in enumerate(strangers, 1)}}


def _made(
    name: str,
    protocol: str,
    host: str,
    port: str,
    options: Sequence[str] = (),
    family: int | None = None,
    device: str = "",
    user: str = "",
) -> Iterator[str]:
    """A socket that is bound."""
    six = family == socket.AF_INET6 if family is not None else ":" in host
    given = dict.fromkeys(option for option in options if option not in (_V6ONLY, "IP_BIND_ADDRESS_NO_PORT"))
    if "IP_BIND_ADDRESS_NO_PORT" in options and port == "0":
        given["IP_BIND_ADDRESS_NO_PORT"] = None
    if host == "::":
        given[f"{_V6ONLY}={int(_V6ONLY in options)}"] = None
    if device:
        given[f"{_DEVICE}={device}"] = None
    yield f"{name} = {protocol}{6 if six else 4}({', '.join(given)}){f' as {user}' if user else ''}"
    yield f"{name}.bind({at(host, port)})"


def _bound(name: str, other: Holder, port: str, users: Mapping[int | None, str]) -> Iterator[str]:
    user = "" if other.ended else users.get(other.uid, "")
    yield from _made(name, other.protocol, other.local[0], port, other.options or (), other.family, other.device, user)


def _connection(
    name: str, other: Holder, foreign: Address | None, port: str, users: Mapping[int | None, str]
) -> Iterator[str]:
    """What a TCP socket did until it was seen in its state: it connected, or was accepted, and perhaps was closed."""
    kind = "tcp6" if ":" in other.local[0] else "tcp4"
    same = foreign is not None and other.foreign == foreign
    mine, theirs = name, f"{name}c"
    if other.how == "accept" or (not other.how and other.ended and not same):
        yield from _bound(name, other, port, users)
        yield from (f"{name}.listen()", f"{name}p = {kind}()", f"{name}p.connect({at(other.local[0], port)})")
        yield from (f"{name}c = {name}.accept()", f"{name}.close()")
        mine, theirs = f"{name}c", f"{name}p"
    else:
        peer = foreign[0] if same and foreign else "::1" if kind == "tcp6" else "127.0.0.1"
        server, there = ("server", "D") if same else (f"{name}s", f"Q{name[5:]}")
        if not same:
            yield from (*_made(server, "tcp", peer, there), f"{server}.listen()")
        made = [*_bound(name, other, port, users)]
        yield from made[:1] if other.how == "connect" else made
        yield from (f"{name}.connect({at(peer, there)})", f"{name}c = {server}.accept()")
    if other.ended or other.state == "TIME_WAIT":
        yield f"{mine}.close()"
        yield from (f"{theirs}.eof()", f"{theirs}.close()") if other.state == "TIME_WAIT" else ()
    elif other.state == "CLOSE_WAIT":
        yield f"{theirs}.close()"
    elif other.state == "FIN_WAIT2":
        yield f"{mine}.shutdown(WR)"


def _everywhere(host: str) -> bool:
    """Whether every system has the address: no scenario needs to add it."""
    address = ipaddress.ip_address(host)
    return address.is_loopback or address.is_unspecified or getattr(address, "ipv4_mapped", None) is not None


def _everywhere_at_all(host: str) -> bool:
    return ipaddress.ip_address(host).is_unspecified
