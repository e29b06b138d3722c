"""The second phase: what is at the sources of the photos now."""

from __future__ import annotations

from dataclasses import dataclass

from packsight.indexer.phases.run import Run
from packsight.indexer.phases.wanted import Wanted
from packsight.indexer.photos import fetch_photos
from packsight.indexer.state import resolution
from packsight.indexer.state.database import State
from packsight.indexer.state.schedule import Agenda, draw_up, living


@dataclass(frozen=True, slots=True)
class Resolved:
    """What was looked at of the pictures' sources; the rows that follow, if all of it can be described, are in the state."""

    agenda: Agenda
    downloads: int


def resolve(run: Run, state: State, wanted: Wanted) -> Resolved:
    """Look at the sources of the pictures that are due, bring what is new into object storage, and choose each product's."""
    with state.transaction():
        living(state, [target.described for target in wanted.targets])
        everything = run.request.force or run.request.all_pictures
        due = draw_up(state, run.settings.catalog, run.clock(), everything=everything)
    agenda, downloads = fetch_photos(
        state,
        due,
        feed=run.request.feed,
        extras=run.request.photos,
        settings=run.settings,
        store=run.store,
        clock=run.clock,
        progress=lambda looked: run.progress("photos", looked, due.asked),
    )
    with state.transaction():
        resolution.resolve(state, wanted.plan.parent)
    return Resolved(agenda, downloads)
