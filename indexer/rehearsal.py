"""What a sync would do, as far as the feed alone tells: nothing is fetched, described, locked or kept."""

from __future__ import annotations

from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa

from packsight.indexer.extraction import QueueExtractor
from packsight.indexer.fleet import Fleet
from packsight.indexer.phases.run import Run
from packsight.indexer.phases.wanted import want
from packsight.indexer.report import SyncRequest
from packsight.indexer.state import resolution
from packsight.indexer.state.database import opened
from packsight.indexer.undecided import keeps_all_back, undecided
from packsight.indexer.version_report.summary import Summary
from packsight.shared.settings import Settings
from packsight.shared.storage.objects import ObjectStore


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What a sync would do, as far as the feed tells.

    pictures: addresses that the feed and the extra photos name; new: those of them that no photo of the version has.
    """

    summary: Summary
    lists: dict[str, pa.Table]
    pictures: int
    new: int
    notes: tuple[str, ...]
    refusals: tuple[str, ...]
    """Why it would be refused, a sentence each."""


class _NoLease:
    def check(self) -> None:
        """A rehearsal publishes nothing."""


def rehearse(request: SyncRequest, settings: Settings) -> Rehearsal:
    """Say what a sync would do, with a state of its own that is thrown away; raises as `run_sync` does."""
    with ExitStack() as stack:
        store = stack.enter_context(closing(ObjectStore(settings.s3)))
        fleet = stack.enter_context(closing(Fleet(settings)))
        folder = stack.enter_context(TemporaryDirectory())
        state = stack.enter_context(opened(Path(folder) / "rehearsal.db"))
        run = Run(request, settings, store, fleet, QueueExtractor(settings, fleet), _NoLease())
        wanted = want(run, state)
        parent = wanted.targets[0].parent
        with state.transaction():
            products, pictured = resolution.offered(state), resolution.pictured(state)
        summary, lists = run.gate.of_feed(products, parent.manifest if parent is not None else None, pictured)
        current, recipes = wanted.current, [target.recipe for target in wanted.targets]
        waits = undecided(request.catalog, current)
        refusals = [reason.text for reason in summary.reasons]
        if waits is not None and current is not None and keeps_all_back(waits, current, recipes):
            refusals.append(str(waits))
        notes = (*wanted.notes, *wanted.harvest.pending())
        return Rehearsal(summary, lists, *resolution.pictures(state, wanted.plan.parent), notes, tuple(refusals))
