"""From ended tasks to rows: every image of every batch gets exactly one outcome, however its task ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from pydantic import ValidationError

from packsight.producer.broker import Patience
from packsight.producer.rows import Batch, Row
from packsight.shared.contract.errors import ErrorCode
from packsight.shared.contract.outcomes import RecognizeResult
from packsight.shared.queue.ledger import Ledger
from packsight.shared.queue.results import TaskEnd

if TYPE_CHECKING:
    from packsight.producer.submit import Sender

T = TypeVar("T")

AT_ONCE = 32
"""Results read in one round trip: about a megabyte at sixteen images each."""


def chunks(values: Sequence[T], size: int = AT_ONCE) -> Iterator[Sequence[T]]:
    """Cut a sequence into pieces of at most `size`."""
    for start in range(0, len(values), size):
        yield values[start : start + size]


class Pause:
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
        time.sleep(self._next)


def rows_of(batch: Batch, end: TaskEnd) -> list[Row]:
    """One row per image of an ended batch."""
    if end.state != "SUCCESS":
        return batch.failed(
            end.code or ErrorCode.INTERNAL, f"The task of this photo ended as {end.state}: {end.error or 'no reason given'}"
        )
    try:
        return batch.rows(RecognizeResult.model_validate(end.result).outcomes)
    except (ValidationError, ValueError):
        return batch.failed(
            ErrorCode.INTERNAL, "The worker's result does not follow the contract; it may be of another release"
        )


def outcomes(
    ledger: Ledger,
    batches: Sequence[Batch],
    *,
    sender: Sender | None = None,
    bound: int = 64,
    wait: bool = True,
    idle: Callable[[float], None] | None = None,
    patience: Patience,
) -> Iterator[Row]:
    """Yield the rows of these batches as their tasks end; with `wait` until all have.

    With a `sender`, its unsent batches are sent on the way, so that never more than `bound` wait for a worker.
    """
    unsent = {batch.task_id for batch in sender.unsent} if sender else set()
    waiting = {batch.task_id: batch for batch in batches if batch.task_id not in unsent}
    pause = Pause(idle)
    while waiting or (sender and sender.unsent):
        progress = False
        for part in chunks(list(waiting)):
            for task_id, end in patience(partial(ledger.results.read, part)).items():
                progress = True
                yield from rows_of(waiting.pop(task_id), end)
        while sender and sender.unsent and len(waiting) < bound:
            batch = patience(sender.send)
            waiting[batch.task_id] = batch
        if not wait:
            return
        if waiting:
            pause.after(progress=progress)
