"""The last phase: versions are uploaded, pointed at and announced, and what is no longer needed is cleared away."""

from __future__ import annotations

import shutil
from dataclasses import dataclass

from packsight.indexer.collection.sweep import sweep_parts
from packsight.indexer.parent import keep_built
from packsight.indexer.phases.built import Built, Version
from packsight.indexer.phases.run import Run
from packsight.indexer.phases.wanted import Wanted
from packsight.indexer.publish import prune, resume
from packsight.indexer.publish import publish as upload
from packsight.indexer.refused import prune_refused
from packsight.indexer.state import copy, resolution
from packsight.indexer.state.database import State
from packsight.indexer.state.published import adopt, forget
from packsight.indexer.state.resolution import NO_VERSION, Summary
from packsight.shared.storage import layout


@dataclass(frozen=True, slots=True)
class Published:
    """What workers serve now; None when nothing was ever published. canary: whether a share of the messages is answered anew."""

    version: str | None
    canary: bool = False


def publish(run: Run, state: State, wanted: Wanted, built: Built, summary: Summary) -> Published:
    """Upload what was built, let the pointer name it, tell the workers, and clear away what is no longer needed."""
    for made in built.versions:
        share = run.request.canary if made.tried else 0.0
        upload(
            run.catalogs, made.folder, made.manifest, wanted.current, run.lease.check,
            anew=run.request.force, share=share,
        )  # fmt: skip
        keep_built(made.folder, made.manifest, run.parents)
    if built.versions:
        run.fleet.announce(run.request.catalog)
    if built.versions or wanted.current is not None:
        _take_back_deletion(run)
    if run.request.force and not run.request.canary:
        resume(run.catalogs)  # also for recipes that no worker has any more
    # Also when nothing is new: the sync before may have been interrupted here. Whoever has the lock, if it was lost, may have
    # uploaded a version that no pointer names yet.
    run.lease.check()
    prune(
        run.catalogs,
        run.settings.catalog.keep_versions,
        [*run.fleet.recipes(), *run.fleet.former_recipes()],
    )
    rules = run.gate
    prune_refused(run.catalogs, rules.reports, rules.limits.keep_refused, rules.parameters.refused_age)
    sweep_parts(run.catalogs, run.lease.check)
    with state.transaction():
        _settle(run, state, wanted, built, summary)
    if built.versions or wanted.plan.parent == NO_VERSION:
        state.set("uncopied", True)
    if state.get("uncopied") and copy.keep(state, run.store, run.request.catalog, run.clock()):
        state.set("uncopied", False)
    shutil.rmtree(run.folder, ignore_errors=True)
    current = run.catalogs.current() if built.versions else wanted.current
    tried = {canary.version for canary in current.canaries.values()} if current is not None else set()
    canary = any(made.manifest.version in tried for made in built.versions)
    served = wanted.parent.manifest.version if wanted.parent is not None else ""
    wanted.harvest.settle(state, built.versions[-1].manifest.version if built.versions else served, canary=canary)
    return Published(current.version if current is not None else None, canary)


def _take_back_deletion(run: Run) -> None:
    """Remove the word that the catalog was deleted, which it is not any more: without the pointer it would count again."""
    if run.store.exists(word := layout.deletion(run.request.catalog)):
        run.lease.check()
        run.store.remove(word)


def _settle(run: Run, state: State, wanted: Wanted, built: Built, summary: Summary) -> None:
    """Note that every version that is served holds what is resolved: the next sync works out what changes from here."""
    now = resolution.refused(state)
    served = {id(made.target): made.manifest.version for made in built.versions}
    for made in built.versions:
        if made.refused == now:
            _adopt(state, wanted, made)
    names = {served.get(id(target)) or target.version for target in wanted.targets}
    if built.versions:
        names.add(built.versions[-1].manifest.version)
    elif wanted.parent is not None:
        names.add(wanted.parent.manifest.version)
    if built.versions:
        forget(state, names)
    if set(built.refused) == {now}:
        state.set("settled", sorted(names))
        state.set("summary", [summary.products, summary.photos, summary.kept_old, summary.notes])
        state.run("DELETE FROM touched")
    else:
        state.set("settled", None)


def _adopt(state: State, wanted: Wanted, made: Version) -> None:
    parent = made.target.parent
    alone = made.target.is_own and sum(target.parent == parent for target in wanted.targets) == 1
    adopt(state, parent.number if parent is not None else None, made.manifest.version, alone=alone)
