"""Waiting: between two looks at the result store, and through an outage of the broker, as long as somebody waits for the call."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

T = TypeVar("T")

UNANSWERED = (OperationalError, RedisError, ConnectionError, TimeoutError)
"""What a broker or result store that is away raises."""


class GivenUpError(Exception):
    """Nobody waits for the call any more."""


class Patience:
    """That of whoever made a call: once it is lost, whatever the call waits for is waited for no more."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lost = threading.Event()
        self._tells: list[Callable[[], None]] = []

    def lose(self) -> None:
        """End the call's waiting, from another thread."""
        with self._lock:
            self._lost.set()
            for tell in self._tells:
                tell()

    def pause(self, seconds: float) -> None:
        """Sleep; raises GivenUpError as soon as patience is lost."""
        if self._lost.wait(seconds):
            raise GivenUpError

    @contextmanager
    def told(self, tell: Callable[[], None]) -> Iterator[None]:
        """Have `tell` called when patience is lost within the block, or was before."""
        with self._lock:
            self._tells.append(tell)
            if self._lost.is_set():
                tell()
        try:
            yield
        finally:
            with self._lock:
                self._tells.remove(tell)


PATIENCE: ContextVar[Patience] = ContextVar("patience", default=Patience())  # noqa: B039 - that of calls that nobody can give up
"""The caller's; a call that can be given up runs in a context with its own."""


class RetryPolicy:
    """Repeats a call through an outage of the broker, so that its restart does not end a long job's command.

    seconds: how long one outage may last before its error is raised.
    """

    def __init__(self, seconds: float, pause: float = 0.5) -> None:
        self._seconds, self._pause = seconds, pause

    def __call__(self, call: Callable[[], T]) -> T:
        """Return the call's result once the broker answers."""
        begun = time.monotonic()
        while True:
            try:
                return call()
            except UNANSWERED:
                if time.monotonic() - begun >= self._seconds:
                    raise
                PATIENCE.get().pause(self._pause)


class Backoff:
    """Waits between looks at the result store: briefly after progress, longer and longer without it.

    `idle` is told the seconds since the last progress, so that a command can say what it waits for.
    """

    def __init__(
        self, idle: Callable[[float], None] | None = None, *, shortest: float = 0.02, longest: float = 0.5
    ) -> None:
        self._idle = idle
        self._shortest, self._longest = shortest, longest
        self._next = shortest
        self._since = time.monotonic()

    def after(self, *, progress: bool) -> None:
        """Wait as a look with or without progress asks for."""
        if progress:
            self._next, self._since = self._shortest, time.monotonic()
        else:
            self._next = min(self._longest, self._next * 1.5)
        if self._idle is not None:
            self._idle(time.monotonic() - self._since)
        PATIENCE.get().pause(self._next)
