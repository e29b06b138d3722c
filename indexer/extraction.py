"""Have running workers put the features of photos into the feature store."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Protocol

from packsight.indexer.fleet import NO_WORKERS, Fleet
from packsight.shared.catalog.manifest import new_version
from packsight.shared.catalog.recipe import Recipe
from packsight.shared.contract.errors import UserError
from packsight.shared.contract.messages import DESCRIBE_QUEUE, Part
from packsight.shared.contract.outcomes import DescribeResult
from packsight.shared.queue.app import make_app
from packsight.shared.queue.broker import open_broker
from packsight.shared.queue.describing import describe
from packsight.shared.queue.ledger import Ledger
from packsight.shared.settings import Settings

_POLL = 0.2
_PATIENCE = 90.0
"""Seconds without any worker before giving up; longer than a registration lives."""
_ASK = 10.0
"""Seconds between two looks at the registry of workers."""


class UndescribedError(UserError):
    """No worker of a recipe describes photos."""


class Extractor(Protocol):
    """Whatever puts features of photos, made as a recipe says, into the feature store."""

    def extract(self, recipe: Recipe, references: Sequence[str], parts: Sequence[Part]) -> Iterator[DescribeResult]:
        """Make these parts of photos in batches; each result's features are durable when it is yielded."""


class QueueExtractor:
    """Makes features by the tasks `packsight.describe` of running workers."""

    def __init__(self, settings: Settings, fleet: Fleet, remark: Callable[[str], None] = lambda _: None) -> None:
        """remark: hears now and then what keeps the workers from it, and "" when nothing does."""
        self._settings, self._fleet, self._remark = settings, fleet, remark
        self._app = make_app("packsight.indexer", settings, sends_only=True)

    def extract(self, recipe: Recipe, references: Sequence[str], parts: Sequence[Part]) -> Iterator[DescribeResult]:
        """Send all photos and yield results as they end.

        Raises UndescribedError when no worker of the recipe is left, or when none of them takes work for long.
        """
        watch = _Watch(self._settings, self._fleet, recipe, self._remark)
        with closing(Ledger(self._settings)) as ledger:
            batches = describe(
                references,
                recipe.parts,
                parts=parts,
                run=f"describe-{new_version()}",
                size=self._settings.catalog.describe_batch,
                app=self._app,
                ledger=ledger,
                wait=watch,
                foreign=watch.foreign,
            )
            yield from (result for _, result in batches)


class _Watch:
    """Waits between two looks at the results, and notices that describing has come to a standstill."""

    def __init__(
        self, settings: Settings, fleet: Fleet, recipe: Recipe, remark: Callable[[str], None] = lambda _: None
    ) -> None:
        self._settings, self._fleet, self._recipe, self._remark = settings, fleet, recipe, remark
        self._silence = 2.0 * settings.worker.seconds_for(settings.catalog.describe_batch) + 60
        self._heard = self._worker_seen = self._working = self._asked = time.monotonic()
        self._idle = ""

    def __call__(self, *, progress: bool) -> bool:
        """Tell whether messages must be lost (an emptied broker): workers are up, nothing is queued, nothing ends.

        `progress`: whether a batch has just ended. Raises UndescribedError when no worker of the recipe was up for a while, or
        when nothing ends while what they cannot do without is away.
        """
        if not progress:
            time.sleep(_POLL)
        now = time.monotonic()
        if progress:
            self._heard = self._worker_seen = self._working = now
        if now - self._asked > _ASK:
            self._asked = now
            is_up = self._is_up()
            if is_up:
                self._worker_seen = now
            self._idle = self._fleet.idle(self._recipe)
            if not self._idle:
                self._working = now
            why = f"No worker takes work: {self._idle}" if self._idle else ""
            self._remark(why if is_up else "No worker is up that could describe photos; `packsight worker` starts one")
        if now - self._worker_seen > _PATIENCE:
            raise UndescribedError(f"{NO_WORKERS} What is described so far is kept.")
        if now - self._heard <= self._silence:
            return False
        if self._queue_is_empty():
            self._heard = now
            return True
        if now - self._working > self._silence:
            text = f"No worker takes work that could describe photos, for {self._silence / 60:.0f} minutes"
            raise UndescribedError(f"{text}: {self._idle}. Mend that, then sync again; what is described so far is kept.")
        return False

    def foreign(self, models: Mapping[str, str]) -> None:
        """Hear that a worker of another recipe took a batch; raises UndescribedError when no worker of this one is up."""
        if not self._is_up():
            raise UndescribedError(
                f"The workers changed during the sync: they describe photos with {', '.join(models.values())} now. "
                "Run the sync again; what is described so far is kept."
            )

    def _is_up(self) -> bool:
        # Whoever matches in another way describes alike.
        return any(Recipe.of(child).parts == self._recipe.parts for child in self._fleet.children())

    def _queue_is_empty(self) -> bool:
        with closing(open_broker(self._settings)) as broker:
            return broker.backlog([DESCRIBE_QUEUE]).empty
