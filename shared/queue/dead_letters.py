"""Messages and images that nobody could work on, put aside with their cause until a person decides."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from typing import TYPE_CHECKING, Annotated, Any, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from packsight.shared.contract.errors import ErrorCode, UserError
from packsight.shared.contract.references import plain, shown
from packsight.shared.queue import keys
from packsight.shared.queue.ledger import Ledger
from packsight.shared.settings import Settings

if TYPE_CHECKING:
    from celery import Celery

log = logging.getLogger(__name__)

LIMIT = 10_000
"""Dead letters kept; beyond it the oldest are dropped and counted."""
_BEGINNING = 200
"""Letters of a task's id that stand in that of a photo of it that is sent again; workers take ids of 256."""


class DeadLetter(BaseModel):
    """One message, or one image of a batch, with the reason why it was put aside."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: str = ""
    """Follows from task and image, so that the same dead letter put twice is one."""
    code: Annotated[ErrorCode, BeforeValidator(lambda code: code if code in set(ErrorCode) else ErrorCode.INTERNAL)]
    """INTERNAL where a later release said one that this one does not know: all letters can be read."""
    message: str
    task: str
    """Name of the task; empty when the message names none."""
    task_id: str
    payload: dict[str, Any]
    """What is sent again. For an image the argument of a batch of one; for a refused message `args` and `kwargs`, or
    its text as `body` where it has none."""
    image: str | None = None
    """The reference, when a single image is concerned."""
    queue: str = ""
    """Where the message came from; empty = where its task is routed."""
    at: float = Field(default_factory=time.time)
    """Seconds since 1970."""
    deliveries: int = 1


class DeadLetters:
    """The dead-letter list in the result database. All methods raise redis.RedisError when it cannot be reached."""

    def __init__(self, settings: Settings, *, limit: int = LIMIT) -> None:
        self._ledger = Ledger(settings)
        self._client = self._ledger.client
        self._limit = limit

    def put(self, dead_letter: DeadLetter) -> str:
        """Put a dead letter on the list, say so in the log, and return its id."""
        name = dead_letter.id or _name(dead_letter)
        with self._client.pipeline() as pipe:
            pipe.hset(keys.DEAD_LETTERS, name, dead_letter.model_copy(update={"id": name}).model_dump_json())
            pipe.zadd(keys.DEAD_LETTERS_ORDER, {name: dead_letter.at})
            pipe.zcard(keys.DEAD_LETTERS_ORDER)
            count = int(pipe.execute()[2])
        if count > self._limit:
            self._drop_oldest(count - self._limit)
        what = None if dead_letter.image is None else shown(dead_letter.image)
        details = {"action": "dead_lettered", "dead_letter": name, "image": what}
        details |= {"task_id": dead_letter.task_id, "code": dead_letter.code}
        log.error("%s put aside: %s", what or "message", plain(dead_letter.message), extra=details)
        return name

    def _drop_oldest(self, count: int) -> None:
        oldest = [name for name, _ in cast("list[tuple[str, float]]", self._client.zpopmin(keys.DEAD_LETTERS_ORDER, count))]
        with self._client.pipeline() as pipe:
            pipe.hdel(keys.DEAD_LETTERS, *oldest)
            pipe.incrby(keys.DEAD_LETTERS_DROPPED, len(oldest))
            pipe.execute()

    def list(self) -> list[DeadLetter]:
        """Return all dead letters, oldest first."""
        names = cast("list[str]", self._client.zrange(keys.DEAD_LETTERS_ORDER, 0, -1))
        found = cast("list[str | None]", self._client.hmget(keys.DEAD_LETTERS, names)) if names else []
        return [DeadLetter.model_validate_json(raw) for raw in found if raw]

    def count(self) -> int:
        """Return how many dead letters there are."""
        return int(self._client.zcard(keys.DEAD_LETTERS_ORDER))

    def dropped(self) -> int:
        """Return how many were lost because the list was full."""
        return int(cast("str | None", self._client.get(keys.DEAD_LETTERS_DROPPED)) or 0)

    def get(self, name: str) -> DeadLetter:
        """Return the dead letter of an id; raises UserError when there is none of this id."""
        raw = cast("str | None", self._client.hget(keys.DEAD_LETTERS, name))
        if raw is None:
            raise UserError(f"There is no dead letter {name}. See `packsight dead-letters list`.")
        return DeadLetter.model_validate_json(raw)

    def replay(self, app: Celery, name: str, payload: dict[str, Any] | None = None) -> str:
        """Send the message of a dead letter again, with `payload` as its argument if given, and remove the dead letter.

        An image is sent as a batch of one under a new task id, since its batch has its result; a refused message keeps
        its own. Returns the task id. Raises UserError when there is nothing that could be sent, kombu's
        OperationalError when the broker cannot be reached; then the dead letter stays.
        """
        dead_letter = self.get(name)
        args, kwargs = _arguments(dead_letter, payload)
        if not dead_letter.task:
            raise UserError(f"Dead letter {name} names no task, so it cannot be sent again. Drop it.")
        again = f"{dead_letter.task_id[:_BEGINNING]}-{name}-{int(time.time())}"
        task_id = dead_letter.task_id if dead_letter.image is None else again
        queue = dead_letter.queue if dead_letter.queue in app.amqp.queues else None
        self._ledger.deliveries.reopen(task_id)
        sent = app.send_task(dead_letter.task, args=args, kwargs=kwargs, task_id=task_id or None, queue=queue)
        self.drop(name)
        return str(sent.id)

    def drop(self, name: str) -> bool:
        """Remove a dead letter; False when there was none."""
        with self._client.pipeline() as pipe:
            pipe.zrem(keys.DEAD_LETTERS_ORDER, name)
            pipe.hdel(keys.DEAD_LETTERS, name)
            return bool(pipe.execute()[1])

    def close(self) -> None:
        """Close the connections."""
        self._ledger.close()


def _name(dead: DeadLetter) -> str:
    what = dead.image if dead.image is not None else json.dumps(dead.payload, sort_keys=True)
    return hashlib.sha256("\0".join([dead.task, dead.task_id, what]).encode()).hexdigest()[:12]


def _arguments(dead: DeadLetter, payload: dict[str, Any] | None) -> tuple[list[Any], dict[str, Any]]:
    if payload is not None:
        return [payload], {}
    if dead.image is not None:
        return [dead.payload], {}
    if "args" not in dead.payload:
        raise UserError(f"Dead letter {dead.id} is no readable message. Give the corrected payload, or drop it.")
    return list(dead.payload["args"]), dict(dead.payload.get("kwargs") or {})
