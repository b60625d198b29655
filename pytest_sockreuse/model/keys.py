"""Which states of a machine are one for all that is still to come.

A port that the OS chose, and that nothing tells from another, is anonymous: a key names it by its rank among those of
its kind. A socket that no later step speaks of has lost its name; equal ones that stand side by side count as one.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator
from functools import cache
from operator import attrgetter
from typing import Any

from .machine import Held, Machine
from .outlook import Outlook
from .ports import RARE, PortSpace
from .sock import ESTABLISHED, Sock
from .states import ATOMS, frozen, slots, values

CROWD = 11  # sockets of one port up to which their number may matter to a bind() by number (Linux UDP looks for 10)

_LINKS = frozenset({"port", "shown", "rport", "bound_at", "options", "queue", "peer", "group"})
_PLAIN = tuple(name for name in Sock.__slots__ if name not in _LINKS)
_plain = attrgetter(*_PLAIN)
_BARE = ATOMS - {int}  # what is no port
_PORTS = frozenset({"dest"})  # of a family's sockets: attributes that hold a port
_RX, _ERROR = _PLAIN.index("rx"), _PLAIN.index("error")


@cache
def _more(kind: Any) -> tuple[str, ...]:
    """The attributes that a family's sockets have beside those of all."""
    return tuple(name for name in slots(kind) if name not in Sock.__slots__)


def look(name: str, held: Held | None) -> Hashable:
    """All that is to be seen of a name whose socket no other socket holds on to; by itself where another name does."""
    if held is None or held.sock is None:
        return held is not None and (held.failed, held.unknown, held.port)
    sk = held.sock
    kind: Any = type(sk)
    more = tuple([repr(getattr(sk, name)) for name in _more(kind)])
    more += (name,) if sk.descriptors > 1 else ()
    return held.failed, held.unknown, held.port, sk.shown, _plain(sk), tuple(sorted(sk.options.items())), more


class Keys:
    """Makes the keys of the states before step `at`."""

    def __init__(self, outlook: Outlook, at: int) -> None:
        self.outlook, self.at, self.crowd = outlook, at, outlook.crowds(at)

    def key(self, m: Machine[Any]) -> tuple[tuple[str, ...], Hashable]:
        """The names that matter, in the order in which they come up again, and all else with those names by number.

        Equal only for states between which nothing that comes can tell. Forgets what of `m` cannot matter.
        """
        outlook, at = self.outlook, self.at
        self.m, self.symbols = m, m.space.symbols
        self.colours: dict[int, list[int]] = {}
        for name in [name for name in m.names if not outlook.alive(name, at)]:
            self._end(m.names.pop(name).sock)
        self._spare()
        chosen = m.space.domain
        m.touched |= {name for name, held in m.names.items() if held.sock is not None and held.sock.shown in chosen}
        names = sorted(m.names.keys() & m.touched, key=lambda name: (outlook.next(name, at), name))
        socks = [(n, name, m.names[name].sock) for n, name in enumerate(names)]
        self.named = {id(sk): n for n, name, sk in socks if sk is not None and outlook.distinct(name, at)}
        self.reads = {id(sk): outlook.left(name, at) for _, name, sk in socks if sk is not None}
        self.kept = {id(sk) for _, _, sk in socks if sk is not None}
        self.accepting = {n for n, name in enumerate(names) if outlook.accepted(name, at)}
        self.looks: dict[int, tuple[Any, ...]] = {}
        self._rank()
        self.met: dict[int, int] = {}
        self.parts: list[Any] = [m.now]
        for name in names:  # the others are as they were in every state
            held = m.names[name]
            self.parts += (held.failed, held.unknown)
            if held.sock is None or id(held.sock) in self.named:
                self.parts.append(self._port(held.port))
                self._emit(held.sock)
            else:
                self._sketch(held.sock)
        self._emit(m.state)
        self._emit(m.tuples)
        self._emit(m.listeners)
        self._emit(m.ports)
        self.parts += [(m.space.domain[port], self._apart(port)) for port in self.order]
        self.parts += sorted(m.space.concrete)
        return tuple(names), tuple(self.parts)

    def _end(self, sk: Sock | None) -> None:
        """Close a datagram socket that lost its name, where no port of so many is short and nobody sends to it."""
        space = self.m.space
        ports = space.domain.get(sk.port, 0) if sk is not None and sk.proto == "udp" else 0
        if (
            sk is None
            or ports.bit_count() <= RARE
            or self.outlook.meets(ports, self.at)
            or self.m.sharing(sk)
            or sk.groups
            or self._told(sk.port)
        ):
            return
        if all(other is sk or sk.port not in (other.port, other.rport) for other in self._sockets()):
            self.m.family.close(self.m, sk)

    def _told(self, port: int) -> bool:
        """Whether a name has told this port, or may: also of a socket that is closed by now."""
        return any(held.port == port for held in self.m.names.values())

    def _spare(self) -> None:
        """Reset connections without name that wait beyond what is accepted, if others like them wait before these.

        Only where the backlog is not short, and no port as in `_end`.
        """
        outlook, at = self.outlook, self.at
        most, more = max(outlook.coming("accept", at), 1), outlook.coming("connect", at)
        if outlook.whole or outlook.coming("listen", at) or not outlook.coming("listen", 0):
            return
        sockets = self._sockets()
        long = [sk for sk in sockets if most < len(sk.queue) <= sk.backlog - more]
        held = {id(held.sock) for held in self.m.names.values()}
        ends = Counter(end for sk in sockets for end in (sk.port, sk.rport)) if long else Counter()
        for sk in long:
            for child in sk.queue[most:]:
                client, ports = child.peer, self.m.space.domain.get(child.rport, 0)
                if (
                    client is not None
                    and id(client) not in held
                    and client.state == child.state == ESTABLISHED
                    and not client.mptcp
                    and ports.bit_count() > RARE
                    and ends[client.port] == 2  # its own, and the child's
                    and not self._told(client.port)
                    and not outlook.meets(ports, at)
                    and any(_alike(child, other) for other in sk.queue[:most])
                ):
                    sk.queue.remove(child)
                    client.linger = 0
                    self.m.family.close(self.m, client)

    def _look(self, sk: Sock) -> tuple[Any, ...]:
        """All that is to be seen of a socket by itself.

        Of the datagrams that it has as many count as calls may read, and of a socket without a name none.
        """
        found = self.looks.get(id(sk))
        if found is None:
            plain = _plain(sk)
            number = self.named.get(id(sk), -1)
            if sk.proto == "udp" and (sk.rx or sk.error):
                rx = min(sk.rx, self.reads.get(id(sk), 0)) if not self.outlook.whole else sk.rx
                plain = (
                    *plain[:_RX],
                    rx,
                    *plain[_RX + 1 : _ERROR],
                    sk.error if rx or number >= 0 else "",
                    *plain[_ERROR + 1 :],
                )
            options = tuple(sorted(sk.options.items())) if sk.options else ()
            found = self.looks[id(sk)] = (number, plain, options)
        return found

    def _rank(self) -> None:
        """Number the anonymous ports by what is known of them; forget those that nobody has."""
        space = self.m.space
        self.ranks: dict[int, int] = {}
        self.order: list[int] = []
        self.colours = {port: [] for port in space.domain}
        if not self.colours:
            space.colours = {}
            return
        colours = self.colours
        self.used = used = set(self.m.ports.values()) | set(space.concrete.values())
        used |= {held.port for held in self.m.names.values()}
        ends, named = [], set()
        sockets = self._sockets()
        waiting = {id(child): place for sk in sockets for child, place in self._waiting(sk)}
        for sk in sockets:
            used |= {sk.port, sk.rport, sk.shown}
            if id(sk) in self.kept:
                named |= {sk.port, sk.rport}
            ends.append((sk.port, sk.rport, sk.shown, hash((self._look(sk), waiting.get(id(sk))))))
        for port in [port for port in colours if port not in used]:
            del colours[port]
            space.forget(port)
        if forget := getattr(self.m.state, "forget", None):
            forget(colours.keys() - named)
        known = {port: hash((may, len(space.apart.get(port, "?")), 1 << 41)) for port, may in space.domain.items()}
        those = [ends_ for ends_ in ends if not colours.keys().isdisjoint(ends_[:3])]
        kinds = 0
        while kinds < len(set(known.values())):  # until no port can be told from another that could not before
            kinds = len(set(known.values()))
            for seen in colours.values():
                seen.clear()
            for ends_ in those:
                for place in (0, 1, 2):
                    if ends_[place] in colours:
                        others = [known[port] if port in known else self._port(port) for port in ends_[:3]]
                        colours[ends_[place]].append(hash((place, ends_[3], *others)))
            known = {
                port: hash((known[port], *sorted(seen if self.crowd else set(seen)))) for port, seen in colours.items()
            }
        space.colours = known
        self.order = sorted(colours, key=lambda port: (space.colours[port], port))
        self.ranks = {port: (1 << 40) + rank for rank, port in enumerate(self.order)}

    def _apart(self, port: int) -> tuple[int, ...] | None:
        """The ports that a loose one is not."""
        others = self.m.space.apart.get(port)
        return None if others is None else tuple(sorted([self.ranks[other] for other in others]))

    def _waiting(self, sk: Sock) -> Iterator[tuple[Sock, tuple[int, int]]]:
        """The connections that wait at a listener, each with where it waits: in which place only if that may matter."""
        number = self.named.get(id(sk), -1)
        for place, child in enumerate(sk.queue):
            yield child, (number, place if number in self.accepting else 0)

    def _sockets(self) -> list[Sock]:
        """Every socket of the machine, once."""
        found: list[Sock] = []
        met: set[int] = set()
        todo: list[Any] = [self.m.state, self.m.tuples, self.m.listeners]
        todo += [held.sock for name, held in self.m.names.items() if name in self.m.touched]
        while todo:
            it = todo.pop()
            kind: Any = type(it)
            if kind in ATOMS or id(it) in met:
                continue
            met.add(id(it))
            if isinstance(it, Sock):
                found.append(it)
                todo += it.queue
                todo += (it.peer, *it.group) if it.group else (it.peer,)
            elif kind is dict:
                todo += it.values()
                if self.colours:
                    self._keyed(it)
            elif kind in (list, tuple):
                todo += it
            elif kind not in (set, Machine, PortSpace) and not frozen(kind) and not callable(it):
                todo += values(kind)(it)
        return found

    def _keyed(self, table: dict[Any, Any]) -> None:
        """Note the ports that a table has an entry of."""
        for key, part in table.items():
            if part or type(part) not in (dict, list):
                self.used.update(key if type(key) is tuple else (key,))

    def _port(self, value: Any) -> Any:
        """An int, or a tuple of them, with anonymous ports and port symbols by another name."""
        if type(value) is int:
            return self.ranks.get(value) or self.symbols.get(value, value)
        if type(value) is tuple:
            return tuple([self._port(part) for part in value])
        return value

    def _emit(self, it: Any) -> None:
        """Append `it` to the key: a socket at its first meeting whole, later by number."""
        kind: Any = type(it)
        parts = self.parts
        if kind in ATOMS or kind is tuple:
            parts.append(self._port(it))
        elif isinstance(it, Sock):
            number = self.met.get(id(it))
            if number is not None:
                parts.append(number)
                return
            self.met[id(it)] = -1 - len(self.met)
            ranks, symbols = self.ranks, self.symbols
            ports: list[Any] = [ranks.get(port) or symbols.get(port, port) for port in (it.port, it.rport, it.shown)]
            parts += (self._look(it), *ports)
            if more := _more(kind):
                self._emit_all([getattr(it, name) for name in more])
            self._queue(it)
            self._emit(it.peer)
            self._emit(it.group)
        elif kind is list:
            number = self.met.get(id(it))
            if number is not None:
                parts.append(number)
                return
            self.met[id(it)] = -1 - len(self.met)
            parts.append("[")
            self._emit_all(self._ordered(it))
            parts.append("]")
        elif kind is dict:
            rows = [(self._port(key), part) for key, part in it.items() if part or type(part) not in (dict, list)]
            parts.append(len(rows))
            rows.sort(key=lambda row: _sortable(row[0]))
            for key, part in rows:
                parts.append(key)
                if type(part) is list and len(part) > 1:
                    self._emit_all(self._ordered(self._few(part)))
                    parts.append("]")
                else:
                    self._emit_all((part,))
        elif kind is set:
            parts.append(frozenset(it))
        elif kind in (Machine, PortSpace) or frozen(kind) or callable(it):
            return
        else:
            self._emit_all(values(kind)(it))

    def _emit_all(self, these: Iterable[Any]) -> None:
        """The same of several, most of which are plain."""
        parts, ranks, symbols = self.parts, self.ranks, self.symbols
        for it in these:
            if type(it) in _BARE:
                parts.append(it)
            elif type(it) is int:
                parts.append(ranks.get(it) or symbols.get(it, it))
            elif type(it) is tuple:
                parts.append(self._port(it))
            else:
                self._emit(it)

    def _sketch(self, sk: Sock) -> None:
        """Of a socket whose port is not asked for any more: what its name and close() may show."""
        kind: Any = type(sk)
        self.parts += (self._look(sk), self.m.space.domain.get(sk.shown, 0) or self._port(sk.shown))
        self.parts += [repr(getattr(sk, name)) for name in _more(kind) if name not in _PORTS]

    def _queue(self, sk: Sock) -> None:
        """Connections that wait to be accepted: in order, unless nobody accepts from here any more."""
        if len(sk.queue) > 1 and self.named.get(id(sk), -1) not in self.accepting:
            for child in sorted(sk.queue, key=lambda child: (self.ranks.get(child.rport, child.rport), child.laddr)):
                self._emit(child)
        else:
            for child in sk.queue:
                self._emit(child)
        self.parts.append(len(sk.queue))

    def _ordered(self, it: list[Any]) -> list[Any]:
        """The list, connections without name at its end in the order of their ports: which came first is forgotten."""
        loose = [sk for sk in it if isinstance(sk, Sock) and sk.raddr and id(sk) not in self.named]
        if len(loose) < 2 or self.outlook.whole:
            return it
        rest = [sk for sk in it if not isinstance(sk, Sock) or not sk.raddr or id(sk) in self.named]
        return rest + sorted(loose, key=lambda sk: _sortable((self._port(sk.rport), self._port(sk.port), sk.laddr)))

    def _few(self, it: list[Any]) -> list[Any]:
        """Of the sockets of a port, of equal ones that nothing tells apart side by side, as many as may matter.

        The others are forgotten, but for those that a name may still close.
        """
        if self.outlook.whole or not isinstance(it[0], Sock):
            return it
        order = sorted(it, key=lambda sk: sk.bound_at)
        place = {id(sk): n for n, sk in enumerate(order)}
        most = CROWD if self.crowd else 1
        kept, run, gone = [it[0]], 1, set()
        for before, sk in itertools.pairwise(it):
            run = run + 1 if abs(place[id(sk)] - place[id(before)]) == 1 and self._same(before, sk) else 1
            if run <= most:
                kept.append(sk)
            elif id(sk) not in self.kept:
                gone.add(id(sk))
        if gone:
            it[:] = [sk for sk in it if id(sk) not in gone]
        if len(kept) > 1:
            self.parts.append(tuple(sorted(range(len(kept)), key=lambda n: kept[n].bound_at)))
        return kept

    def _same(self, one: Sock, two: Sock) -> bool:
        kind: Any = type(one)
        return (
            one.raddr == two.raddr == ""
            and (one.port, one.shown) == (two.port, two.shown)
            and self._look(one) == self._look(two)
            and one.peer is two.peer is None
            and not one.queue
            and not two.queue
            and (id(one) in self.named) is (id(two) in self.named) is False
            and all(getattr(one, name) == getattr(two, name) for name in _more(kind))
        )


def _alike(one: Sock, two: Sock) -> bool:
    """Whether all but the ports of two sockets are equal."""
    kind: Any = type(one)
    more = [name for name in _more(kind) if name not in _PORTS]
    same = _plain(one) == _plain(two) and one.options == two.options
    return same and all(getattr(one, name) == getattr(two, name) for name in more)


def _sortable(key: Any) -> Any:
    """Keys of one table in an order: ports by number or rank, symbols by name."""
    if isinstance(key, tuple):
        return tuple([_sortable(part) for part in key])
    return (1, 0, key) if isinstance(key, str) else (0, key, "")
