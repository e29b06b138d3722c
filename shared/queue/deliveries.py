"""The book of one message's way through the workers: how often it came, and what is done of a batch that came back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import redis

from packsight.shared.contract.errors import ErrorCode
from packsight.shared.queue import keys
from packsight.shared.queue.results import STATUS_BYTES, has_ended


@dataclass(frozen=True, slots=True)
class Delivery:
    """What is known when a message arrives.

    count: how often it has, this time included; ended: whether its task has; resumed: whether a part of it is done.
    """

    count: int
    ended: bool
    resumed: bool = False


@dataclass(frozen=True, slots=True)
class Partial:
    """A batch run image by image: what is done, how often each image was begun, and what last ended the child."""

    done: dict[int, str]
    begun: dict[int, int]
    crashes: int
    cause: ErrorCode


class Deliveries:
    """Deliveries of tasks that have not ended. All methods raise redis.RedisError when the database cannot be reached.

    expires: seconds for which a task that nobody touches is remembered.
    """

    def __init__(self, client: redis.Redis, expires: int) -> None:
        self._client, self._expires = client, expires

    def begin(self, task_id: str) -> Delivery:
        """Count a delivery and tell whether the task has already ended, in one round trip."""
        with self._client.pipeline(transaction=False) as pipe:
            pipe.incr(keys.deliveries(task_id))
            pipe.expire(keys.deliveries(task_id), self._expires)
            pipe.getrange(keys.task_result(task_id), 0, STATUS_BYTES)
            pipe.exists(keys.partial(task_id))
            count, _, head, resumed = pipe.execute()
        return Delivery(int(count), has_ended(head), bool(resumed))

    def hand_back(self, task_id: str, begun: int | None = None) -> None:
        """Count a delivery no more that came to no end through no fault of the batch; begun: its image in work alone."""
        with self._client.pipeline() as pipe:
            pipe.decr(keys.deliveries(task_id))
            pipe.expire(keys.deliveries(task_id), self._expires)
            if begun is not None:
                pipe.hincrby(keys.partial(task_id), f"begun:{begun}", -1)
            pipe.execute()

    def count(self, task_id: str) -> int:
        """Return how often a task that has not ended was begun."""
        return int(cast("str | None", self._client.get(keys.deliveries(task_id))) or 0)

    def end(self, task_id: str) -> None:
        """Forget the deliveries and the partial outcomes of a task whose result is stored."""
        self._client.delete(keys.deliveries(task_id), keys.partial(task_id))

    def reopen(self, task_id: str) -> None:
        """Forget that a task has ended, so that it can be sent again under its own id; without this it would be skipped."""
        self._client.delete(keys.task_result(task_id), keys.deliveries(task_id), keys.partial(task_id))

    def partial(self, task_id: str) -> Partial:
        """Return how far a batch got that is run image by image."""
        fields = cast("dict[str, str]", self._client.hgetall(keys.partial(task_id)))
        return Partial(
            done={int(key[5:]): value for key, value in fields.items() if key.startswith("done:")},
            begun={int(key[6:]): int(value) for key, value in fields.items() if key.startswith("begun:")},
            crashes=int(fields.get("crashes", 0)),
            cause=ErrorCode(fields.get("cause", ErrorCode.WORKER_KILLED)),
        )

    def begin_image(self, task_id: str, index: int) -> None:
        """Note that an image is in work, before anything is done with it."""
        with self._client.pipeline() as pipe:
            pipe.hincrby(keys.partial(task_id), f"begun:{index}", 1)
            pipe.expire(keys.partial(task_id), self._expires)
            pipe.execute()

    def end_image(self, task_id: str, index: int, outcome: str) -> None:
        """Keep the outcome of one image until the whole batch has its result."""
        with self._client.pipeline() as pipe:
            pipe.hset(keys.partial(task_id), f"done:{index}", outcome)
            pipe.expire(keys.partial(task_id), self._expires)
            pipe.execute()

    def record_crash(self, task_id: str, cause: ErrorCode) -> int:
        """Note what ended the child that worked on a task; returns how many children it has cost."""
        with self._client.pipeline() as pipe:
            pipe.hset(keys.partial(task_id), "cause", cause.value)
            pipe.hincrby(keys.partial(task_id), "crashes", 1)
            pipe.expire(keys.partial(task_id), self._expires)
            return int(pipe.execute()[1])
