"""Plots: scenes, with the settings and ranges in which they tell something."""

from __future__ import annotations

from typing import NamedTuple

from .scenes import AGAIN, CONNECTION, CROWD, DEAF, EVERYBODY, HEIRS, MAIL, SHARED
from .values import REUSE


class Plot(NamedTuple):
    """How a scenario may begin: a scene, with the setting and the size of the range where it tells something."""

    scene: str
    setting: str = ""
    sizes: tuple[int, ...] = ()
    common: tuple[str, ...] | None = None  # options of all sockets, where they matter


_RA = REUSE[:1]
#: By the system that has the setting; those of none are for all.
PLOTS = {
    "": (Plot(SHARED, "", (1, 1, 2), _RA), Plot(AGAIN, "", (1, 2)), Plot(CROWD, "", (2, 3, 4))),
    "linux": (
        Plot(CROWD, "net.ipv4.ip_autobind_reuse = 1", (2, 3), _RA),
        Plot(AGAIN, "net.ipv4.tcp_tw_reuse = 0", (1, 1, 2), _RA),
        Plot(AGAIN, "net.ipv4.tcp_tw_reuse = 1", (1, 1, 2), _RA),
        Plot(AGAIN, "net.ipv4.tcp_tw_reuse_delay = 20", (1, 1, 2), _RA),
        Plot(AGAIN, "net.ipv4.tcp_timestamps = 0"),
        Plot(CROWD, "net.ipv4.ip_local_reserved_ports = 40001", (2, 3, 4)),
        Plot(DEAF, "net.ipv6.bindv6only = 1"),
        Plot(EVERYBODY, "net.ipv4.ip_nonlocal_bind = 1"),
        Plot(EVERYBODY, "net.ipv6.ip_nonlocal_bind = 1"),
        Plot(MAIL, "net.ipv6.conf.all.disable_ipv6 = 1"),
        Plot(MAIL, "net.ipv6.conf.lo.disable_ipv6 = 1"),
        Plot(AGAIN, "net.ipv4.tcp_max_tw_buckets = 0"),
        Plot(AGAIN, "net.ipv4.tcp_max_tw_buckets = 1"),
        Plot(HEIRS, "net.ipv4.tcp_migrate_req = 1"),
        Plot(CONNECTION, "net.core.somaxconn = 0"),
        Plot(CONNECTION, "net.core.somaxconn = 1"),
        Plot(AGAIN, "net.ipv4.tcp_fin_timeout = 90"),
        Plot(CONNECTION, "net.ipv4.tcp_abort_on_overflow = 1"),
        Plot(CONNECTION, "net.ipv4.ip_unprivileged_port_start = 80"),
        Plot(CONNECTION, "net.mptcp.enabled = 0"),
        Plot(CONNECTION, "net.ipv4.tcp_syncookies = 2"),
        Plot(AGAIN, "net.ipv4.tcp_rfc1337 = 1"),
    ),
    "freebsd": (
        Plot(DEAF, "net.inet6.ip6.v6only = 0"),
        Plot(AGAIN, "net.inet.tcp.nolocaltimewait = 0"),
        Plot(CROWD, "net.inet.tcp.require_unique_port = 1"),
        Plot(CONNECTION, "net.inet.ip.connect_inaddr_wild = 1"),
        Plot(CROWD, "net.inet.ip.portrange.randomized = 0"),
        Plot(CONNECTION, "net.inet.ip.portrange.reservedhigh = 0"),
        Plot(CROWD, "net.inet.ip.portrange.hilast = 49153"),
    ),
    "netbsd": (Plot(DEAF, "net.inet6.ip6.v6only = 0"),),
}
