"""A socket as Python makes it, whatever became of `socket.socket`: pytest-socket forbids it, the recorder and the
explanation watch it, gevent has its own.

For sockets of ours that are no test's: those that hold a port, or ask the kernel.
"""

from __future__ import annotations

import _socket
from typing import Any


class Plain(_socket.socket):
    """A context manager, which closes it."""

    def __enter__(self) -> Plain:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def accept(self) -> tuple[Plain, Any]:
        """A connection and where it comes from. Raises OSError."""
        descriptor, address = self._accept()  # type: ignore[attr-defined]
        return Plain(self.family, self.type, self.proto, descriptor), address
