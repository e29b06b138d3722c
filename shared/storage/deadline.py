"""One deadline over everything a thread does on the network, also against a server that sends a byte a second.

Socket timeouts bound one read, not the sum of them. Connections made here look at the deadline of the running thread
before each read, whatever is being read: status line, headers, chunk sizes or body.
"""

from __future__ import annotations

import contextlib
import io
import os
import socket
import time
from collections.abc import Iterator
from contextvars import ContextVar
from http import HTTPStatus
from http.client import HTTPResponse
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

_ends_at: ContextVar[float] = ContextVar("ends_at", default=float("inf"))


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    """Let network reads of this thread inside the block fail with TimeoutError once so many seconds have passed."""
    token = _ends_at.set(min(_ends_at.get(), time.monotonic() + seconds))
    try:
        yield
    finally:
        _ends_at.reset(token)


def remaining() -> float:
    """Seconds left to the running thread; infinite without a deadline, never negative."""
    return max(0.0, _ends_at.get() - time.monotonic())


class _Reader(io.RawIOBase):
    """Reads a socket; each read may take the socket's own timeout, but not longer than what is left."""

    def __init__(self, connected: socket.socket) -> None:
        self._stream = connected.makefile("rb", buffering=0)
        self._socket = connected

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = remaining()
        if left <= 0:
            raise TimeoutError("the deadline has passed")
        patience = self._socket.gettimeout()
        self._socket.settimeout(left if patience is None else min(left, patience))
        try:
            return self._stream.readinto(buffer)
        finally:
            # The stream may have closed the socket at its end.
            with contextlib.suppress(OSError):
                self._socket.settimeout(patience)

    def close(self) -> None:
        self._stream.close()
        super().close()


class _Socket:
    """A connected socket whose file is a `_Reader`; everything else is the socket's own."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)

    def makefile(self, mode: str = "rb", *_: Any, **__: Any) -> io.BufferedReader:
        """Open the socket for reading, as http.client does for each response."""
        if mode != "rb":
            raise ValueError(mode)
        return io.BufferedReader(_Reader(self._socket), 64 * 1024)


class _Response(HTTPResponse):
    """An answer after any number of interim ones (RFC 9110, 15.2), of which Python knows 100 alone to be none."""

    def _read_status(self) -> tuple[str, int, str]:
        version, status, reason = super()._read_status()  # type: ignore[misc]
        interim = status < HTTPStatus.OK and status != HTTPStatus.SWITCHING_PROTOCOLS
        return version, HTTPStatus.CONTINUE if interim else status, reason


class _Watched(HTTPConnection):
    """What both kinds of connections have in common."""

    response_class = _Response
    _process = 0

    def connect(self) -> None:
        """Connect, then watch every read. Connecting has a timeout of its own, as a whole."""
        super().connect()
        self.sock, self._process = _Socket(self.sock), os.getpid()

    @property
    def is_connected(self) -> bool:
        """Whether it can be used; not by a forked child, which would be given its parent's answers."""
        return self._process == os.getpid() and super().is_connected


class PlainConnection(_Watched):
    """HTTP under the thread's deadline."""


class TlsConnection(_Watched, HTTPSConnection):
    """HTTPS under the thread's deadline. CPython bounds the handshake as a whole by the socket's timeout."""


def pool_manager(
    plain: type[PlainConnection] = PlainConnection, tls: type[TlsConnection] = TlsConnection, **options: Any
) -> urllib3.PoolManager:
    """Make a urllib3.PoolManager whose connections obey `within`."""
    manager = urllib3.PoolManager(**options)
    manager.pool_classes_by_scheme = {
        "http": type("PlainPool", (urllib3.HTTPConnectionPool,), {"ConnectionCls": plain}),
        "https": type("TlsPool", (urllib3.HTTPSConnectionPool,), {"ConnectionCls": tls}),
    }
    return manager
