"""How tasks ended, as Celery stores it in the result database."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import redis
from redis.client import NEVER_DECODE

from packsight.shared.contract.errors import ErrorCode
from packsight.shared.pieces import pieces
from packsight.shared.queue import keys

ENDED = frozenset({"SUCCESS", "FAILURE", "REVOKED"})

STATUS_BYTES = 64
"""Celery writes the status first; so much of a result is enough to know whether the task has ended."""

SUCCESS = '"status": "SUCCESS"'
"""What stands in so much of the record of a task that has succeeded."""

COUNTS_BYTES = 512
"""So much is enough to know how its photos have ended, if it was a worker of this release."""

_CHUNK = 500
_STATUS = re.compile(rb'"status": "(\w+)"')
_COUNTS = re.compile(rb'"result": \{"version":1,"ends":(\{[^{}]+\})')
_OURS = "packsight."
_OF_CELERY = {
    "TimeLimitExceeded": ErrorCode.TIME_LIMIT,
    "SoftTimeLimitExceeded": ErrorCode.TIME_LIMIT,
    "WorkerLostError": ErrorCode.WORKER_KILLED,
    "Terminated": ErrorCode.WORKER_KILLED,
}
"""What Celery itself raises in a task's place."""


@dataclass(frozen=True, slots=True)
class TaskEnd:
    """How a task ended: `result` of a SUCCESS, else `error` in one line and its `code`.

    code: INTERNAL for an exception that is neither ours nor of Celery's own; None for a SUCCESS. remedy: where whoever failed
    said one; empty where the code's own is right.
    """

    state: str
    result: dict[str, Any] | None
    error: str
    code: ErrorCode | None = None
    remedy: str = ""


class Results:
    """Reads results without Celery. All methods raise redis.RedisError when the database cannot be reached."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def read(self, task_ids: Sequence[str]) -> dict[str, TaskEnd]:
        """Return how tasks ended; those that have not are left out."""
        found: dict[str, TaskEnd] = {}
        for chunk in pieces(task_ids, _CHUNK):
            records = cast("list[str | None]", self._client.mget(map(keys.task_result, chunk)))
            for name, record in zip(chunk, records, strict=True):
                end = _end_of(record)
                if end is not None:
                    found[name] = end
        return found

    def ended(self, task_ids: Sequence[str]) -> set[str]:
        """Return which of these tasks have ended; much cheaper than reading their results."""
        return {name for name, head in self._heads(task_ids, STATUS_BYTES) if has_ended(head)}

    def counted(self, task_ids: Sequence[str]) -> dict[str, dict[str, int] | None]:
        """Return how many outcomes of each task that has ended have which status; None where only the whole result tells."""
        found: dict[str, dict[str, int] | None] = {}
        for name, head in self._heads(task_ids, COUNTS_BYTES):
            if has_ended(head):
                counts = _COUNTS.search(head)
                found[name] = json.loads(counts[1]) if counts else None
        return found

    def _heads(self, task_ids: Sequence[str], size: int) -> Iterator[tuple[str, bytes]]:
        """The first bytes of each task's record; none of one that there is none of."""
        for chunk in pieces(task_ids, _CHUNK):
            with self._client.pipeline(transaction=False) as pipe:
                for name in chunk:
                    # They stay bytes: they may end in the midst of a letter.
                    pipe.execute_command("GETRANGE", keys.task_result(name), 0, size, **{NEVER_DECODE: True})  # type: ignore[no-untyped-call]
                heads = cast("list[bytes]", pipe.execute())
            yield from zip(chunk, heads, strict=True)

    def forget(self, *task_ids: str) -> None:
        """Remove results that nobody will read again."""
        self._client.delete(*map(keys.task_result, task_ids))


def has_ended(head: bytes) -> bool:
    """Tell from the first STATUS_BYTES of a record whether its task has ended."""
    status = _STATUS.search(head)
    return status is not None and status.group(1).decode() in ENDED


def _end_of(record: str | None) -> TaskEnd | None:
    meta = json.loads(record) if record else {}
    state = meta.get("status")
    if state not in ENDED:
        return None
    result = meta.get("result")
    if state == "SUCCESS":
        return TaskEnd(state, result if isinstance(result, dict) else {"value": result}, "")
    if isinstance(result, dict) and "exc_type" in result:
        return TaskEnd(state, None, *_error_of(result))
    return TaskEnd(state, None, str(result or state), ErrorCode.INTERNAL)


def _error_of(stored: dict[str, Any]) -> tuple[str, ErrorCode, str]:
    """Text, code and remedy of a stored exception: its type's name, its arguments and the module of its type."""
    kind, arguments = str(stored["exc_type"]), stored.get("exc_message", "")
    if not isinstance(arguments, list | tuple):
        arguments = [arguments]
    if str(stored.get("exc_module", "")).startswith(_OURS) and len(arguments) > 1 and arguments[0] in set(ErrorCode):
        code, text, *advice = arguments  # as PacksightError has them; those of earlier releases end here
        return str(text), ErrorCode(code), str(advice[0]) if advice else ""
    return f"{kind}: {' '.join(map(str, arguments))}", _OF_CELERY.get(kind, ErrorCode.INTERNAL), ""
