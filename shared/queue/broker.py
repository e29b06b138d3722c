"""What the program asks of its broker beside sending and taking messages. Another broker would implement these two ports."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, cast

from packsight.shared.queue.connection import open_redis
from packsight.shared.queue.transport.contract import STEPS, UNACKED, UNACKED_INDEX, lists
from packsight.shared.settings import Settings

_STAMPING = 2
"""Seconds within which a lease may be stamped between the question for the time and the count."""
_PAGE = 200
"""Messages that the server reads in one step: a few milliseconds."""
_OLDEST = (Path(__file__).parent / "transport" / "oldest.lua").read_text()
_QUEUED_IDS = (Path(__file__).parent / "transport" / "queued_ids.lua").read_text()
_UNACKED_IDS = (Path(__file__).parent / "transport" / "unacked_ids.lua").read_text()


@dataclass(frozen=True, slots=True)
class Backlog:
    """Messages at one moment: those that wait, by queue, those that workers of any queue hold, those that wait for their time."""

    waiting: dict[str, int]
    unacked: int
    parked: int = 0

    @property
    def empty(self) -> bool:
        """Whether nothing waits for a worker and nothing is being worked on. What waits for its time says nothing of either."""
        return not self.unacked and not any(self.waiting.values())


@dataclass(frozen=True, slots=True)
class Waiting:
    """The message that is next in a list.

    tag: tells it from the one that is next later; since: when it began to wait, in seconds since 1970; None: it does not say.
    """

    tag: str
    since: float | None


class Broker(Protocol):
    """Looks at the broker from outside. The methods raise redis.RedisError when it cannot be reached."""

    def backlog(self, queues: Sequence[str]) -> Backlog:
        """Count messages, all at the same moment."""

    def task_ids(self, queues: Sequence[str]) -> set[str]:
        """Return the ids of all tasks that have a message, in one of these queues or with a worker.

        One that moves from a queue to a worker meanwhile is among them.
        """

    def next_in(self, queues: Sequence[str]) -> dict[str, list[Waiting]]:
        """Return of each queue the messages that are next in its lists, one for each priority of which some wait."""

    def close(self) -> None:
        """Close the connections."""


class Leases(Protocol):
    """What a consumer holds: `qos` of its channel."""

    def unacked_tags(self) -> list[str]:
        """Return the delivery tags of the messages that are neither acknowledged nor rejected."""

    def adopt(self, message: Any) -> None:
        """Hold a message that was taken over a connection which is gone, and acknowledge it over this one."""

    def forget(self, tag: str) -> None:
        """Hold a message no longer, without a word to the broker."""

    def park(self, tag: str, due: float) -> bool:
        """Hold a message no longer and leave it with the broker until a time, in seconds since 1970; False when it has come."""

    def put_off(self, tag: str, seconds: float) -> None:
        """Hold a message no longer and leave it with the broker for so long, by the broker's clock."""

    def renew(self) -> None:
        """Tell the broker that what is held is still being worked on."""


def open_broker(settings: Settings) -> Broker:
    """Open the broker that the settings name, at the first question."""
    return _RedisBroker(settings)


class _RedisBroker:
    def __init__(self, settings: Settings) -> None:
        self._client = open_redis(settings.broker, timeout=settings.queue.socket_timeout)
        self._oldest = self._client.register_script(_OLDEST)
        self._queued_ids = self._client.register_script(_QUEUED_IDS)
        self._unacked_ids = self._client.register_script(_UNACKED_IDS)

    def backlog(self, queues: Sequence[str]) -> Backlog:
        seconds, _ = self._client.time()
        with self._client.pipeline(transaction=True) as pipe:
            for queue in queues:
                for key in lists(queue):
                    pipe.llen(key)
            pipe.hlen(UNACKED)
            # What is held was stamped in the past; what waits for its time is stamped so that it is overdue then.
            pipe.zcount(UNACKED_INDEX, seconds + _STAMPING, "+inf")
            *lengths, unacked, parked = cast("list[int]", pipe.execute())
        each = len(STEPS)
        waiting = {queue: sum(lengths[place * each : (place + 1) * each]) for place, queue in enumerate(queues)}
        return Backlog(waiting, unacked - parked, parked)

    def task_ids(self, queues: Sequence[str]) -> set[str]:
        # Queues first: a message moves from there to the unacknowledged ones, so it is met at least once.
        return {name for queue in queues for key in lists(queue) for name in self._queued(key)} | set(self._unacked())

    def _queued(self, key: str) -> Iterator[str]:
        # From the left, where new messages come in: what shifts under the reader is met twice rather than never.
        start = 0
        while names := cast("list[str]", self._queued_ids(keys=[key], args=[start, start + _PAGE - 1])):
            yield from names
            start += _PAGE

    def _unacked(self) -> Iterator[str]:
        cursor = "0"
        while True:
            cursor, names = cast("tuple[str, list[str]]", self._unacked_ids(keys=[UNACKED], args=[cursor, _PAGE]))
            yield from names
            if cursor == "0":
                return

    def next_in(self, queues: Sequence[str]) -> dict[str, list[Waiting]]:
        keys = [key for queue in queues for key in lists(queue)]
        told = [Waiting(tag, _since(sent_at, eta)) for tag, sent_at, eta in cast("list[list[str]]", self._oldest(keys=keys))]
        size = len(STEPS)
        return {queue: [one for one in told[place * size :][:size] if one.tag] for place, queue in enumerate(queues)}

    def close(self) -> None:
        self._client.close()


def _since(sent_at: str, eta: str) -> float | None:
    """Since when a message has been waiting, by what its sender wrote; one that was to wait has done so since then."""
    times = []
    with suppress(ValueError):
        times.append(float(sent_at))
    with suppress(ValueError):
        times.append(datetime.fromisoformat(eta).timestamp())
    return max(filter(math.isfinite, times), default=None)
