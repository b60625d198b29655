"""Two NATs and an Internet between them, out of network namespaces that end with the process which made them.

host a 10.0.0.2 -- 10.0.0.1 NAT a 198.51.100.2 -- .1 internet .5 -- 198.51.100.6 NAT b 10.0.0.1 -- 10.0.0.2 host b
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence

SERVER = "198.51.100.1"
ENVIRONMENT = {**os.environ, "PATH": f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"}
TOOLS = ("ip", "nft", "nsenter", "setpriv", "unshare")

#: What a NAT does with the source port: keeps it, where it can, or draws another one for every connection.
KEEPS, DRAWS = "masquerade", "masquerade fully-random"
FORWARDS = "echo 1 > /proc/sys/net/ipv4/ip_forward"
NAT = """
table ip nat {{
    chain out {{
        type nat hook postrouting priority srcnat
        oifname "outside" {masquerade}
    }}
    chain in {{
        type nat hook prerouting priority dstnat
        {forward}
    }}
    counter syns {{
    }}
    chain through {{
        type filter hook forward priority filter
        iifname "outside" tcp flags & (syn | ack) == syn counter name syns
    }}
    chain unasked {{
        type filter hook input priority filter
        iifname "outside" ct state != {{ established, related }} drop
    }}
}}
"""


def absent() -> str:
    """Why there can be no lab on this machine; else empty."""
    if sys.platform != "linux":
        return "needs the network namespaces of Linux"
    if missing := [tool for tool in TOOLS if not shutil.which(tool, path=ENVIRONMENT["PATH"])]:
        return f"needs {', '.join(missing)} (apt-get install nftables iproute2 util-linux)"
    command = [*_unshare(), "sh", "-c", f"{FORWARDS} && nft -f -"]
    rules = NAT.format(masquerade=DRAWS, forward="")
    tried = subprocess.run(command, env=ENVIRONMENT, input=rules, capture_output=True, text=True, check=False)
    return f"needs network namespaces with NAT: {' '.join(tried.stderr.split())}" if tried.returncode else ""


def _unshare() -> list[str]:
    return ["unshare", "--net", *([] if _root() else ["--user", "--map-root-user"])]


def _root() -> bool:
    return sys.platform != "win32" and os.geteuid() == 0


class Lab:
    """The five namespaces. A context manager: at its end they are gone, with what runs in them."""

    def __init__(self, a: str = KEEPS, b: str = KEEPS, forward_to_b: int = 0) -> None:
        self.holders: dict[str, subprocess.Popen[str]] = {}
        self.running: list[subprocess.Popen[str]] = []
        self.nats = {"a": (a, 0), "b": (b, forward_to_b)}

    def __enter__(self) -> Lab:
        try:
            self._hold("internet", _unshare())
            self._forwards("internet")
            for side, first in (("a", 1), ("b", 5)):
                self._side(side, f"198.51.100.{first}", f"198.51.100.{first + 1}", *self.nats[side])
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in (*self.running, *self.holders.values()):
            with process:  # which waits, and closes its pipes
                process.kill()

    def start(self, place: str, *command: str) -> subprocess.Popen[str]:
        """Start a command at ``internet``, ``host-a``, …, to read what it prints; it does not outlive us."""
        mortal = ["setpriv", "--pdeathsig", "KILL", *command]
        process = subprocess.Popen([*self._enter(place), *mortal], env=ENVIRONMENT, stdout=subprocess.PIPE, text=True)
        self.running.append(process)
        return process

    def run(self, place: str, *command: str, text: str | None = None) -> str:
        """What a command there prints, run to its end."""
        entered = [*self._enter(place), *command]
        done = subprocess.run(entered, env=ENVIRONMENT, input=text, text=True, check=True, stdout=subprocess.PIPE)
        return done.stdout

    def syns_let_in(self, side: str) -> int:
        """How many connections from outside the NAT of a side has let through, as far as their first packet."""
        return int(
            self.run(f"nat-{side}", "nft", "list", "counter", "ip", "nat", "syns").split("packets")[1].split()[0]
        )

    def _enter(self, place: str) -> list[str]:
        user = [] if _root() else ["--user", "--preserve-credentials"]
        return ["nsenter", "--target", str(self.holders[place].pid), *user, "--net"]

    def _hold(self, place: str, command: Sequence[str]) -> None:
        """A namespace lives as long as a process in it, which here reads from us: it ends when we do."""
        hold = [*command, "sh", "-c", "echo; exec cat"]
        pipe = subprocess.PIPE
        holder = self.holders[place] = subprocess.Popen(hold, env=ENVIRONMENT, stdin=pipe, stdout=pipe, text=True)
        assert holder.stdout is not None
        assert holder.stdout.readline() == "\n"
        self.run(place, "ip", "link", "set", "lo", "up")

    def _side(self, side: str, router: str, outside: str, masquerade: str, forward: int) -> None:
        nat, host = f"nat-{side}", f"host-{side}"
        for place in (nat, host):
            self._hold(place, [*self._enter("internet"), "unshare", "--net"])
        self._link("internet", f"to-{side}", f"{router}/30", nat, "outside", f"{outside}/30")
        self._link(nat, "inside", "10.0.0.1/24", host, "eth0", "10.0.0.2/24")
        self.run(nat, "ip", "route", "add", "default", "via", router)
        self.run(host, "ip", "route", "add", "default", "via", "10.0.0.1")
        self._forwards(nat)
        rule = f'iifname "outside" tcp dport {forward} dnat to 10.0.0.2' if forward else ""
        self.run(nat, "nft", "-f", "-", text=NAT.format(masquerade=masquerade, forward=rule))

    def _link(self, here: str, device: str, address: str, there: str, peer: str, other: str) -> None:
        pid = str(self.holders[there].pid)
        self.run(here, "ip", "link", "add", device, "type", "veth", "peer", "name", peer, "netns", pid)
        for place, name, own in ((here, device, address), (there, peer, other)):
            self.run(place, "ip", "address", "add", own, "dev", name)
            self.run(place, "ip", "link", "set", name, "up")

    def _forwards(self, place: str) -> None:
        self.run(place, "sh", "-c", FORWARDS)
