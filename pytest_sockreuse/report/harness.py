"""What a scenario's Python program makes its calls with: as much of it as the scenario needs."""

from __future__ import annotations

from collections.abc import Iterator

#: A line that ends with `#: WORD …` stands, with what is indented below it, where a scenario needs one of the words;
#: with `!WORD` where it does not need it.
TEMPLATE = '''\
class Socket:
    """A socket that prints what its calls come to. After one that failed it makes no more, but for a few."""

    counts = {}
    over = False

    def __init__(self, name, family, kind, protocol=0, options=(), user="", goes_on=False):
        self.name, self.user, self.failed, self.socket, self.last = name, user, False, None, None
        if kind:
            self.do("socket", lambda: self.make(family, kind, protocol, options), goes_on, ready=True)

    def make(self, family, kind, protocol, options):
        self.socket = socket.socket(family, kind, protocol)
        for option, value in options:
            self.socket.setsockopt(*option, value)

    def do(self, call, action, goes_on=False, ready=None):
        outcome, value = "unreached", ""
        if ready is None:
            ready = self.usable
        if ready and not Socket.over:
            try:
                with acting_as(self.user):  #: as
                    value = action() or ""
                value = action() or ""  #: !as
                outcome = "ok"
            except OSError as error:
                name = errno.errorcode.get(error.errno, f"E{error.errno}").removeprefix("WSA")
                outcome = {"ENOTSUP": "EOPNOTSUPP", "EWOULDBLOCK": "EAGAIN"}.get(name, name)
            except Nothing:  #: accept recv
                outcome = "timeout"
            except TimeUp:  #: blocks
                outcome, Socket.over = "timeout", True
            self.failed = self.failed or (outcome != "ok" and not goes_on)
        label = f"{self.name}.{call}"
        Socket.counts[label] = count = Socket.counts.get(label, 0) + 1
        label = label if count == 1 else f"{label}#{count}"
        print(f"{label}  {outcome}  {value}".rstrip())

    @property
    def usable(self):
        return self.socket is not None and not self.failed

    @property  #: port
    def port(self):  #: port
        """The port that it has, or had when it was closed; None where there is none: who needs it is not reached."""
        if self.socket is not None:
            with contextlib.suppress(OSError):
                self.last = self.socket.getsockname()[1] or None
        return self.last

    def to(self, call, address, *data, goes_on=False):  #: to
        """A call with an address, which may be of another family than the socket."""

        def action():
            family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
            view = socket.socket(family, self.socket.type, self.socket.proto, fileno=self.socket.fileno())
            try:
                getattr(view, call)(*data, address)
            finally:
                view.detach()

        self.do(call, action, goes_on, ready=self.usable and address[1] is not None)

    def bind(self, address, goes_on=False):  #: bind
        self.to("bind", address, goes_on=goes_on)

    def connect(self, address, goes_on=False):  #: connect
        self.to("connect", address, goes_on=goes_on)

    def sendto(self, data, address, goes_on=False):  #: sendto
        self.to("sendto", address, data, goes_on=goes_on)

    def disconnect(self, goes_on=False):  #: disconnect
        """connect() to an address of the family AF_UNSPEC."""
        self.do("disconnect", lambda: library("connect", self.socket, bytes(28), 28), goes_on)

    def listen(self, backlog=8, goes_on=False):  #: listen
        self.do("listen", lambda: library("listen", self.socket, backlog), goes_on)  #: negative
        self.do("listen", lambda: self.socket.listen(backlog), goes_on)  #: !negative

    def accept(self, name, goes_on=False):  #: accept
        child = Socket(name, 0, 0, user=self.user)

        def action():
            child.socket, _ = waiting(self.socket, self.socket.accept)
            child.socket.setblocking(True)

        child.do("accept", action, goes_on, ready=self.usable)
        return child

    def dup(self, name, goes_on=False):  #: dup
        other = Socket(name, 0, 0, user=self.user)

        def action():
            other.socket = self.socket.dup()

        other.do("dup", action, goes_on, ready=self.usable)
        return other

    def shutdown(self, how, goes_on=False):  #: shutdown
        self.do("shutdown", lambda: settled(self.socket.shutdown, how), goes_on)

    def eof(self, goes_on=False):  #: eof
        """Reads until the peer has no more to send."""

        def action():
            while self.socket.recv(65536):
                pass

        self.do("eof", action, goes_on)

    def send(self, data, goes_on=False):  #: send
        self.do("send", lambda: self.socket.send(data) and None, goes_on)

    def recv(self, size, goes_on=False):  #: recv
        self.do("recv", lambda: waiting(self.socket, lambda: self.socket.recv(size)) and None, goes_on)

    def setsockopt(self, option, value, goes_on=False):  #: set
        self.do("set", lambda: self.socket.setsockopt(*option, value), goes_on, ready=self.socket is not None)

    def getsockopt(self, option, size, read, goes_on=False):  #: get
        action = lambda: read(self.socket.getsockopt(*option, size))
        self.do("get", action, goes_on, ready=self.socket is not None)

    def getsockname(self, goes_on=False):  #: name
        def action():
            numbers = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
            host, port = socket.getnameinfo(self.socket.getsockname(), numbers)
            return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

        self.do("name", action, goes_on, ready=self.socket is not None)

    def close(self, goes_on=False):  #: close
        """Its port is remembered."""  #: port
        self.port  #: port
        self.do("close", lambda: settled(self.socket.close), goes_on, ready=self.socket is not None)
        self.socket = None


class Nothing(Exception):  #: accept recv
    """There was nothing to return."""


class TimeUp(BaseException):  #: blocks
    """The time is over."""


def time_up(*_):  #: blocks
    raise TimeUp


def waiting(sock, call):  #: accept recv
    """A call that may have nothing to return: not for longer than 0.2 s."""
    sock.setblocking(False)
    try:
        with contextlib.suppress(BlockingIOError):
            return call()
        if not select.select([sock], [], [], 0.2)[0]:
            raise Nothing
        with contextlib.suppress(BlockingIOError):
            return call()
        if sock.type != socket.SOCK_DGRAM or not select.select([sock], [], [], 0)[0]:
            raise Nothing
        sock.setblocking(True)
        return call()  # of UDP after shutdown(RD): only a call that may wait is told that it need not
    finally:
        sock.setblocking(True)


def settled(call, *arguments):  #: close shutdown
    """A call that may end a connection, and the time until the peer has acknowledged that: 40 ms on Linux."""
    call(*arguments)
    time.sleep(0.1)


def library(name, sock, *arguments):  #: disconnect negative
    """A call with arguments that Python cannot spell."""
    found = ctypes.WinDLL("ws2_32") if sys.platform == "win32" else ctypes.CDLL(None, use_errno=True)
    if getattr(found, name)(sock.fileno(), *arguments):
        raise OSError(found.WSAGetLastError() if sys.platform == "win32" else ctypes.get_errno(), name)


@contextlib.contextmanager  #: as
def acting_as(user):  #: as
    """Makes the calls inside as a user without privileges; this takes root."""
    os.seteuid({"": 0, "root": 0, "user1": 64001, "user2": 64002}[user])
    try:
        yield
    finally:
        os.seteuid(0)


def free_port():  #: symbol
    """A port that is free for TCP and UDP on every address, below those that most systems choose by themselves."""
    while True:
        port = random.randrange(2000, 10000)
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                stack.enter_context(socket.socket(socket.AF_INET, kind)).bind(("", port))
                sock = stack.enter_context(socket.socket(socket.AF_INET6, kind))  #: ipv6
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)  #: ipv6
                sock.bind(("", port))  #: ipv6
            return port
'''


def harness(needs: set[str]) -> str:
    """The lines that are about one of these words, or about none."""
    return "\n".join(_kept(needs))


def _kept(needs: set[str]) -> Iterator[str]:
    """Without the words; no more than two blank lines in a row."""
    deeper, blank = -1, 0
    for line in TEMPLATE.splitlines():
        depth = len(line) - len(line.lstrip())
        if deeper >= 0 and (not line or depth > deeper):
            continue
        deeper = -1
        text, _, words = line.partition("  #: ")
        if words and not any(
            word[1:] not in needs if word.startswith("!") else word in needs for word in words.split()
        ):
            deeper = depth
            continue
        blank = 0 if text else blank + 1
        if blank <= 2:
            yield text
