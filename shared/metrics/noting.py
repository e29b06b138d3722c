"""Where figures are noted, in whatever process of a worker: the parent keeps them, a child tells them to its parent.

So the parent has all of them in one place: a child that is replaced takes none along, and none is counted again. A child sends
datagrams over a socket in the folder that its parent made; where nobody scrapes there is no socket, and nothing is done.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from packsight.shared.metrics.table import Sample

log = logging.getLogger(__name__)

SOCKET = "PACKSIGHT_FIGURES"
"""Variable by which children, which are spawned, are told of the socket."""
_AT_ONCE = 400
"""Samples of a datagram: some 30 KB, a sixth of what the system's buffers take."""
_KEPT = 20_000
"""Samples that a child keeps while its parent does not listen; beyond it the oldest go."""
_PATIENCE = 0.2
"""Seconds for which a parent may be busy: its queue is that of ten datagrams."""
_MOST = 2**20

Take = Callable[[Sequence[Sample]], None]


def note(*samples: Sample) -> None:
    """Add to figures. Raises nothing: they are worth no answer."""
    take = _kept_by[-1] if _kept_by else _told()
    if take is not None:
        take(samples)


_kept_by: list[Take] = []
"""What keeps the figures of this process, where it is a parent."""


def keep(take: Take) -> None:
    """Hand this process's figures, and from now on those of its children, to whoever keeps them."""
    _kept_by.append(take)


@lru_cache(maxsize=1)
def _told() -> Take | None:
    """A child's way to its parent; None where nobody listens."""
    return Teller(Path(os.environ[SOCKET])).tell if SOCKET in os.environ else None


class Teller:
    """Tells a parent, or keeps what could not be said for the next time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._left: deque[Sample] = deque(maxlen=_KEPT)
        self._socket: socket.socket | None = None
        self._lock = threading.Lock()

    def tell(self, samples: Sequence[Sample]) -> None:
        """Say what there is to say, older things first."""
        with self._lock:
            self._left.extend(samples)
            while self._left:
                some = [self._left[place] for place in range(min(_AT_ONCE, len(self._left)))]
                try:
                    self._send(json.dumps([[one.metric, one.labels, one.value] for one in some]).encode())
                except OSError as error:
                    log.warning("the parent does not hear %d figures: %s", len(self._left), error)
                    self.close()
                    return
                for _ in some:
                    self._left.popleft()

    def close(self) -> None:
        """Close the socket, until there is more to say."""
        if self._socket is not None:
            self._socket.close()
        self._socket = None

    def _send(self, data: bytes) -> None:
        if self._socket is None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.settimeout(_PATIENCE)
            self._socket.connect(str(self._path))
        self._socket.send(data)


class Listener(threading.Thread):
    """Hears a parent's children, who find it by the environment; path: of the socket, which is made at once."""

    def __init__(self, path: Path, take: Take) -> None:
        super().__init__(name="figures", daemon=True)
        self._take = take
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        path.unlink(missing_ok=True)
        self._socket.bind(str(path))
        os.environ[SOCKET] = str(path)

    def run(self) -> None:
        """Hear until the process ends."""
        while True:
            try:
                data = self._socket.recv(_MOST)
            except OSError:  # closed
                return
            try:
                self._take([Sample(str(name), tuple(map(str, labels)), float(value)) for name, labels, value in json.loads(data)])
            except (LookupError, TypeError, ValueError):
                log.warning("a child told what is no figure")

    def stop(self) -> None:
        """Hear no more."""
        os.environ.pop(SOCKET, None)
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
