"""What Python calls the systems, and what its modules have on some of them only. Data."""

from __future__ import annotations

import re

#: os.name, sys.platform, platform.system().
SYSTEMS = {
    "linux": ("posix", "linux", "Linux"),
    "gvisor": ("posix", "linux", "Linux"),
    "macos": ("posix", "darwin", "Darwin"),
    "windows": ("nt", "win32", "Windows"),
    "freebsd": ("posix", "freebsd15", "FreeBSD"),
    "dragonfly": ("posix", "dragonfly6", "DragonFly"),
    "netbsd": ("posix", "netbsd10", "NetBSD"),
    "openbsd": ("posix", "openbsd7", "OpenBSD"),
    "illumos": ("posix", "sunos5", "SunOS"),
    "wine": ("nt", "win32", "Windows"),
}
NT = ("windows", "wine")
POSIX = tuple(name for name in SYSTEMS if name not in NT)
_LINUX = ("linux", "gvisor")
_BSD = ("macos", "freebsd", "dragonfly", "netbsd", "openbsd")

#: The question that a dotted name asks: its place in `SYSTEMS`.
QUESTIONS = {
    "os.name": 0,
    "sys.platform": 1,
    **dict.fromkeys(("platform.system()", "platform.uname().system", "platform.uname()[0]"), 2),
    **dict.fromkeys(("os.uname().sysname", "os.uname()[0]"), 2),
}
#: What is one thing on Windows and another elsewhere, in the order elsewhere, Windows.
BY_NT: dict[str, tuple[object, object]] = {
    **dict.fromkeys(("os.sep", "os.path.sep"), ("/", "\\")),
    **dict.fromkeys(("os.altsep", "os.path.altsep"), (None, "/")),
    **dict.fromkeys(("os.pathsep", "os.path.pathsep"), (":", ";")),
    "os.linesep": ("\n", "\r\n"),
}
#: Questions for the system of which the answer is not known there.
UNREAD = {
    *(f"platform.{name}()" for name in ("platform", "release", "version", "uname", "win32_ver", "mac_ver", "libc_ver")),
    *("os.uname()", "sys.getwindowsversion()", "sysconfig.get_platform()"),
}

#: Names that a module has on some systems only; of one that is not here nothing is known.
HAS: dict[str, tuple[str, ...]] = {
    "socket.SO_REUSEADDR": tuple(SYSTEMS),
    "socket.SO_REUSEPORT": tuple(name for name in POSIX if name != "illumos"),
    "socket.SO_REUSEPORT_LB": ("freebsd",),
    "socket.SO_EXCLUSIVEADDRUSE": NT,
    "socket.SO_BINDTODEVICE": _LINUX,
    "socket.SO_INCOMING_CPU": _LINUX,
    "socket.SO_MARK": _LINUX,
    "socket.SO_DOMAIN": _LINUX,
    "socket.SO_PROTOCOL": _LINUX,
    "socket.IP_BIND_ADDRESS_NO_PORT": _LINUX,
    "socket.IP_TRANSPARENT": _LINUX,
    "socket.IPPROTO_MPTCP": _LINUX,
    "socket.TCP_DEFER_ACCEPT": _LINUX,
    "socket.TCP_QUICKACK": _LINUX,
    "socket.TCP_FASTOPEN": (*_LINUX, "macos", "windows", "freebsd"),
    "socket.IPV6_V6ONLY": tuple(SYSTEMS),
    "socket.IPPROTO_IPV6": tuple(SYSTEMS),
    "socket.AF_INET": tuple(SYSTEMS),
    "socket.AF_INET6": tuple(SYSTEMS),
    "socket.SO_LINGER": tuple(SYSTEMS),
    "socket.SO_BROADCAST": tuple(SYSTEMS),
    "socket.SO_KEEPALIVE": tuple(SYSTEMS),
    "socket.TCP_NODELAY": tuple(SYSTEMS),
    "socket.SOMAXCONN": tuple(SYSTEMS),
    "socket.AF_UNIX": POSIX,
    "socket.AF_NETLINK": _LINUX,
    "socket.AF_VSOCK": _LINUX,
    "socket.SOCK_CLOEXEC": tuple(name for name in POSIX if name != "macos"),
    "socket.SOCK_NONBLOCK": tuple(name for name in POSIX if name != "macos"),
    "socket.SIO_LOOPBACK_FAST_PATH": NT,
    "socket.ioctl": NT,
    "socket.fromfd": tuple(SYSTEMS),
    "socket.sethostname": POSIX,
    "socket.CMSG_LEN": POSIX,
    "socket.send_fds": POSIX,
    "socket.recv_fds": POSIX,
    "socket.has_dualstack_ipv6": tuple(SYSTEMS),
    "os.fork": POSIX,
    "os.getuid": POSIX,
    "os.geteuid": POSIX,
    "os.uname": POSIX,
    "os.sched_getaffinity": (*_LINUX, "freebsd"),
    "os.register_at_fork": POSIX,
    "os.killpg": POSIX,
    "select.epoll": (*_LINUX, "illumos"),
    "select.poll": POSIX,
    "select.kqueue": _BSD,
    "select.devpoll": ("illumos",),
    "signal.SIGUSR1": POSIX,
    "signal.SIGHUP": POSIX,
    "signal.SIGALRM": POSIX,
    "signal.alarm": POSIX,
    "signal.CTRL_C_EVENT": NT,
    "sys.getwindowsversion": NT,
    "asyncio.ProactorEventLoop": NT,
    "asyncio.WindowsProactorEventLoopPolicy": NT,
    "asyncio.WindowsSelectorEventLoopPolicy": NT,
    "ctypes.WinDLL": NT,
    "ctypes.windll": NT,
}
#: Modules that some systems do not have: what imports one at its top is not there.
MODULES = {
    **dict.fromkeys(("fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty"), POSIX),
    **dict.fromkeys(("msvcrt", "nt", "winreg", "winsound", "_winapi", "_overlapped"), NT),
}
#: Names that projects have for it, without underscores, and the systems that they say this is one of.
FLAGS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("win", "win32", "win64", "windows", "nt", "mswindows", "winos", "windowsos"), NT),
    **dict.fromkeys(("mac", "macos", "macosx", "osx", "darwin"), ("macos",)),
    **dict.fromkeys(("sunos", "solaris", "illumos"), ("illumos",)),
    **dict.fromkeys(("posix", "unix"), POSIX),
    **{name: (name,) for name in ("freebsd", "openbsd", "netbsd")},
    "linux": _LINUX,
    "bsd": ("freebsd", "dragonfly", "netbsd", "openbsd"),
    **dict.fromkeys(
        ("hasreuseport", "hassoreuseport", "reuseportavailable", "reuseportsupported"), HAS["socket.SO_REUSEPORT"]
    ),
}
#: A text that may ask for the system.
ASKS = re.compile(
    r"platform|\bos\s*\.\s*name\b|\buname\b|hasattr|win32|windows|darwin|mac_?os|\bosx\b|linux|posix|bsd|cygwin|sunos",
    re.I,
)


def said_by(name: str) -> tuple[str, ...] | None:
    """The systems that a name says this is one of: ``IS_WINDOWS``, ``onLinux``; None where it says nothing of it."""
    word = name.replace("_", "").lower()
    words = (word.removeprefix(prefix) for prefix in ("", "is", "on", "runningon"))
    return next((FLAGS[word] for word in words if word in FLAGS), None)
