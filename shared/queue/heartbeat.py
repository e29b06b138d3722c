"""The heartbeat of a worker's parent process: what its event loop says at each beat, for whoever judges from another thread.

A loop that hangs says nothing, and what it said last grows old.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from celery.worker import state

PERIOD = 1.0
"""Seconds between two beats."""


@dataclass(frozen=True, slots=True)
class InWork:
    """A task that a child has begun."""

    task: str
    """Name and id."""
    since: float
    limit: float | None
    """Seconds after which its child is killed."""


@dataclass(frozen=True, slots=True)
class Beat:
    """What the loop saw. Times are of time.monotonic."""

    at: float
    connected: bool = False
    """Whether it is past connecting to the broker, which it tries as long as that is away."""
    takes: bool = False
    """Whether the broker lets it take messages: one that is full or only reads does not."""
    queues: tuple[str, ...] = ()
    """Those that it was started for."""
    begun: int = 0
    """Tasks that children have begun since the start."""
    in_work: tuple[InWork, ...] = ()
    children: tuple[int, ...] = ()
    """Process ids."""


class Heartbeat:
    """The last beat of this process."""

    def __init__(self) -> None:
        self.last = Beat(time.monotonic())
        self._queues: tuple[str, ...] = ()

    def connecting(self) -> None:
        """Beat while the broker is away."""
        self.last = Beat(time.monotonic(), queues=self._queues, begun=_begun())

    def beat(self, consumer: Any) -> None:
        """Beat; called by the event loop with Celery's consumer."""
        if consumer.task_consumer is None:  # between two connections
            return
        # Remembered from the start: a consumer that was told from afar to leave a queue would know of it no more.
        self._queues = self._queues or tuple(queue.name for queue in consumer.task_consumer.queues)
        pool = consumer.pool._pool
        self.last = Beat(
            time.monotonic(),
            connected=True,
            takes=not consumer.task_consumer.channel.refusing,
            queues=self._queues,
            begun=_begun(),
            in_work=tuple(found for request in tuple(state.active_requests) if (found := _in_work(request)) is not None),
            children=tuple(process.pid for process in pool._pool) if pool is not None else (),
        )


@lru_cache(maxsize=1)
def heartbeat() -> Heartbeat:
    """The heartbeat of this process."""
    return Heartbeat()


def _begun() -> int:
    return int(state.all_total_count[0])


def _in_work(request: Any) -> InWork | None:
    job = request._apply_result() if request._apply_result is not None else None  # Celery keeps a weak reference
    if job is None or job._time_accepted is None or job.ready():
        return None
    return InWork(f"{request.name}[{request.id}]", job._time_accepted, job._timeout)
