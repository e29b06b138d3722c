"""Ask the workers to describe photos: batches over the queue, a bounded number of them on their way."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import Protocol

from pydantic import ValidationError

from packsight.indexer.fleet import NO_WORKERS, Fleet
from packsight.shared.catalog.recipe import Recipe
from packsight.shared.catalog.versions import new_version
from packsight.shared.contract.errors import ErrorCode, UserError
from packsight.shared.contract.messages import DESCRIBE, DESCRIBE_QUEUE, DescribeRequest
from packsight.shared.contract.outcomes import Described, DescribeResult, Failure
from packsight.shared.queue.app import make_app
from packsight.shared.queue.broker import open_broker
from packsight.shared.queue.ledger import Ledger
from packsight.shared.queue.results import TaskEnd
from packsight.shared.settings import Settings

Progress = Callable[[str, int, int], None]
"""Called with the name of a step, how much of it is done, and how much there is."""

IN_FLIGHT = 8
"""Batches on their way: enough to keep a handful of workers busy, few enough that a customer's job waits for little."""
_POLL = 0.2
_PATIENCE = 90.0
"""Seconds without any worker before giving up; longer than a registration lives."""
_ASK = 10.0
"""Seconds between two looks at the registry of workers."""


class Describer(Protocol):
    """Whatever puts the features of photos into the feature store."""

    def describe(self, references: Sequence[str]) -> Iterator[DescribeResult]:
        """Describe photos in batches; each result's features are durable when it is yielded."""


class QueueDescriber:
    """Describes photos by the tasks `packsight.describe` of running workers."""

    def __init__(self, settings: Settings, fleet: Fleet, models: Recipe) -> None:
        self._settings, self._fleet, self._models = settings, fleet, models
        self._app = make_app("packsight.indexer", settings, sends_only=True)

    def describe(self, references: Sequence[str]) -> Iterator[DescribeResult]:
        """Send all photos and yield results as they end; raises UserError when workers are gone or have other models."""
        size = self._settings.catalog.describe_batch
        # Names are new in each run: a pack, once written, must never change its content.
        run = new_version()
        batches = (
            (f"describe-{run}-{start // size:06d}", list(references[start : start + size]))
            for start in range(0, len(references), size)
        )
        watch = _Watch(self._settings, self._fleet)
        flying: dict[str, list[str]] = {}
        with closing(Ledger(self._settings)) as ledger:
            while True:
                while len(flying) < IN_FLIGHT and (following := next(batches, None)) is not None:
                    self._send(*following)
                    flying[following[0]] = following[1]
                if not flying:
                    return
                ended = ledger.results.read(list(flying))
                for task, end in ended.items():
                    yield self._take(task, flying.pop(task), end)
                    ledger.results.forget(task)
                if watch.lost(heard=bool(ended)):
                    # The same task under the same name writes the same pack, so sending it again is safe.
                    for following in flying.items():
                        self._send(*following)
                if not ended:
                    time.sleep(_POLL)

    def _send(self, task: str, images: list[str]) -> None:
        request = DescribeRequest(images=images)
        self._app.send_task(DESCRIBE, args=[request.model_dump(mode="json")], task_id=task, queue=DESCRIBE_QUEUE)

    def _take(self, task: str, images: list[str], end: TaskEnd) -> DescribeResult:
        wanted = {"embedder": self._models.embedder, "spotter": self._models.spotter}
        if end.result is None:
            failure = Failure.of_code(end.code or ErrorCode.INTERNAL, f"task {task}: {end.state}: {end.error}")
            return DescribeResult(models=wanted, photos=[Described.failed(image, failure) for image in images])
        try:
            result = DescribeResult.model_validate(end.result)
        except ValidationError:
            raise UserError(
                f"The workers answer in a form that this indexer does not read (task {task}). "
                "Run the same release on both."
            ) from None
        if result.models != wanted:
            raise UserError(
                f"A worker changed its models during the sync, from {wanted} to {result.models}. "
                "Run the sync again when all workers run the same."
            )
        return result


class _Watch:
    """Notices that describing has come to a standstill."""

    def __init__(self, settings: Settings, fleet: Fleet) -> None:
        self._settings, self._fleet = settings, fleet
        self._silence = 2.0 * settings.worker.time_limit + 60
        self._heard = self._worker_seen = self._asked = time.monotonic()

    def lost(self, *, heard: bool) -> bool:
        """Tell whether messages must be lost (an emptied broker): workers are up, nothing is queued, nothing ends.

        `heard`: whether a batch has just ended. Raises UserError when there has been no worker for a while.
        """
        now = time.monotonic()
        if heard:
            self._heard = self._worker_seen = now
        if now - self._asked > _ASK:
            self._asked = now
            if self._fleet.children():
                self._worker_seen = now
        if now - self._worker_seen > _PATIENCE:
            raise UserError(f"{NO_WORKERS} What is described so far is kept.")
        if now - self._heard > self._silence and self._queue_is_empty():
            self._heard = now
            return True
        return False

    def _queue_is_empty(self) -> bool:
        with closing(open_broker(self._settings)) as broker:
            return broker.backlog([DESCRIBE_QUEUE]).empty
