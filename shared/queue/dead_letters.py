"""Messages and images that nobody could work on, put aside with their cause until a person decides."""

from __future__ import annotations

import hashlib
import json
import time
from typing import TYPE_CHECKING, Any, cast

from pydantic import BaseModel, ConfigDict, Field

from packsight.shared.contract.errors import ErrorCode, UserError
from packsight.shared.queue.ledger import Ledger
from packsight.shared.settings import Settings

if TYPE_CHECKING:
    from celery import Celery

LIMIT = 10_000
"""Letters kept; beyond it the oldest are dropped and counted."""

# The only keys of packsight without a time to live: a letter waits for a person.
LETTERS = "packsight:dead-letters"
ORDER = "packsight:dead-letters:order"
DROPPED = "packsight:dead-letters:dropped"


class DeadLetter(BaseModel):
    """One message, or one image of a batch, with the reason why it was put aside."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: str = ""
    """Follows from task and image, so that the same letter put twice is one letter."""
    code: ErrorCode
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

    def put(self, letter: DeadLetter) -> str:
        """Put a letter aside and return its id."""
        name = letter.id or _name(letter)
        with self._client.pipeline() as pipe:
            pipe.hset(LETTERS, name, letter.model_copy(update={"id": name}).model_dump_json())
            pipe.zadd(ORDER, {name: letter.at})
            pipe.zcard(ORDER)
            count = int(pipe.execute()[2])
        if count > self._limit:
            self._drop_oldest(count - self._limit)
        return name

    def _drop_oldest(self, count: int) -> None:
        oldest = [name for name, _ in cast("list[tuple[str, float]]", self._client.zpopmin(ORDER, count))]
        with self._client.pipeline() as pipe:
            pipe.hdel(LETTERS, *oldest)
            pipe.incrby(DROPPED, len(oldest))
            pipe.execute()

    def list(self) -> list[DeadLetter]:
        """Return all letters, oldest first."""
        names = cast("list[str]", self._client.zrange(ORDER, 0, -1))
        found = cast("list[str | None]", self._client.hmget(LETTERS, names)) if names else []
        return [DeadLetter.model_validate_json(raw) for raw in found if raw]

    def count(self) -> int:
        """Return how many letters there are."""
        return int(self._client.zcard(ORDER))

    def dropped(self) -> int:
        """Return how many letters were lost because the list was full."""
        return int(cast("str | None", self._client.get(DROPPED)) or 0)

    def get(self, letter_id: str) -> DeadLetter:
        """Return a letter; raises UserError when there is none of this id."""
        raw = cast("str | None", self._client.hget(LETTERS, letter_id))
        if raw is None:
            raise UserError(f"There is no dead letter {letter_id}. See `packsight dead-letters list`.")
        return DeadLetter.model_validate_json(raw)

    def replay(self, app: Celery, letter_id: str, payload: dict[str, Any] | None = None) -> str:
        """Send a letter's message again, with `payload` as its argument if given, and remove the letter.

        An image is sent as a batch of one under a new task id, since its batch has its result; a refused message keeps
        its own. Returns the task id. Raises UserError when there is nothing that could be sent, kombu's
        OperationalError when the broker cannot be reached; then the letter stays.
        """
        letter = self.get(letter_id)
        args, kwargs = _arguments(letter, payload)
        if not letter.task:
            raise UserError(f"Dead letter {letter_id} names no task, so it cannot be sent again. Drop it.")
        task_id = letter.task_id if letter.image is None else f"{letter.task_id}-{letter.id}-{int(time.time())}"
        queue = letter.queue if letter.queue in app.amqp.queues else None
        self._ledger.reopen(task_id)
        sent = app.send_task(letter.task, args=args, kwargs=kwargs, task_id=task_id or None, queue=queue)
        self.drop(letter_id)
        return str(sent.id)

    def drop(self, letter_id: str) -> bool:
        """Remove a letter; False when there was none."""
        with self._client.pipeline() as pipe:
            pipe.zrem(ORDER, letter_id)
            pipe.hdel(LETTERS, letter_id)
            return bool(pipe.execute()[1])

    def close(self) -> None:
        """Close the connections."""
        self._ledger.close()


def _name(letter: DeadLetter) -> str:
    what = letter.image if letter.image is not None else json.dumps(letter.payload, sort_keys=True)
    return hashlib.sha256("\0".join([letter.task, letter.task_id, what]).encode()).hexdigest()[:12]


def _arguments(letter: DeadLetter, payload: dict[str, Any] | None) -> tuple[list[Any], dict[str, Any]]:
    if payload is not None:
        return [payload], {}
    if letter.image is not None:
        return [letter.payload], {}
    if "args" not in letter.payload:
        raise UserError(f"Dead letter {letter.id} is no readable message. Give the corrected payload, or drop it.")
    return list(letter.payload["args"]), dict(letter.payload.get("kwargs") or {})
