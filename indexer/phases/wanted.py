"""The first phase: what the shop wants of the catalog, and how far that is from what is published."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from packsight.indexer.feed.extra_photos import extra_photos
from packsight.indexer.feed.source import open_feed, reader_of
from packsight.indexer.fleet import NO_WORKERS, Fleet
from packsight.indexer.parent import Parent, Target, read_parent
from packsight.indexer.phases.run import Run
from packsight.indexer.plan import Plan, plan
from packsight.indexer.reviewed.following import follow
from packsight.indexer.reviewed.harvest import Harvest
from packsight.indexer.state import copy, resolution
from packsight.indexer.state.database import State
from packsight.indexer.state.intake import take_in, take_in_extras
from packsight.indexer.state.published import touch_all
from packsight.indexer.state.resolution import NO_VERSION
from packsight.indexer.undecided import HeldError, UndecidedError, keeps_all_back, undecided
from packsight.shared.catalog.pointer import Current
from packsight.shared.catalog.recipe import Recipe
from packsight.shared.contract.errors import CatalogError, UserError
from packsight.shared.contract.references import printable
from packsight.shared.matching.fingerprint import matching_fingerprint


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the shop wants of the catalog, and for whom it is to be built."""

    plan: Plan
    current: Current | None
    parent: Parent | None
    targets: tuple[Target, ...]
    notes: tuple[str, ...]
    harvest: Harvest
    """What people said of answers."""


def want(run: Run, state: State) -> Wanted:
    """Read what is published, and the feed unless it is what was read last; raises UserError when it has lost too much."""
    request = run.request
    if state.get("begun") is None and not request.dry_run:
        copy.restore(state, run.store, request.catalog, request.feed)
        state.set("begun", True)
    current = run.catalogs.overwritable() if request.force else run.catalogs.current()
    waits = undecided(request.catalog, current) if not request.dry_run else None
    parent = _parent(run, state, current.version) if current is not None and current.version else None
    held = _held(run, current, parent, waits)
    parent = _of_others(run, state, current, parent, held)
    skipped: Counter[str] = Counter()
    harvest = Harvest(run.store, request.catalog, run.settings, run.clock(), again=request.force)
    with state.transaction():
        resolution.take_back_refusals(state, all_of_them=request.force)
        _read_feed(run, state)
        take_in_extras(state, extra_photos(request.photos, run.store, skipped) if request.photos else (), request.photos)
        follow(harvest, state, run.catalogs, parent)
        if not request.dry_run:
            harvest.keep(state)
        harvest.take_in(state)
        wanted = plan(state, parent.number if parent is not None else NO_VERSION)
        if not request.force and not request.dry_run:
            # Before a photo is fetched for nothing; what photos are lost is known when the rest of them has been seen.
            before = parent.manifest if parent is not None else None
            run.gate.require_feed(wanted.offered, wanted.removed, before, lambda: resolution.offered(state))
    recipes, notes = _recipes(run.fleet, parent)
    recipes = [recipe for recipe in recipes if recipe.key not in held]
    if skipped:
        left_out = ", ".join(f"{printable(kind)} {count}" for kind, count in skipped.most_common(10))
        notes = (*notes, f"left out of the extra photos: {left_out}")
    notes = (*notes, *_despite(run, waits))
    targets = tuple(_target(run, state, recipe, current, parent) for recipe in recipes)
    if request.force or state.get("settled") != _names(parent, targets):
        with state.transaction():
            touch_all(state)
    return Wanted(wanted, current, parent, targets, notes, harvest)


def _held(run: Run, current: Current | None, parent: Parent | None, waits: UndecidedError | None) -> frozenset[str]:
    """Keys of the recipes that stay as they are while a person has to decide; raises UndecidedError when no other is left."""
    if waits is None or current is None or run.request.force:
        return frozenset()
    if not isinstance(waits, HeldError) or keeps_all_back(waits, current, _recipes(run.fleet, parent)[0]):
        raise waits
    return frozenset(current.holds)


def _of_others(run: Run, state: State, current: Current | None, parent: Parent | None, held: frozenset[str]) -> Parent | None:
    """What the shop is compared with: where recipes are held, what another has, since the held ones stay behind on purpose."""
    if current is None or not held:
        return parent
    others = [recipe for recipe in _recipes(run.fleet, parent)[0] if recipe.key not in held]
    own = next(filter(None, map(current.version_for, others)), None)
    return _parent(run, state, own) if own is not None else parent


def _despite(run: Run, waits: UndecidedError | None) -> tuple[str, ...]:
    """What to say of a sync that goes on although a person has to decide."""
    if waits is None:
        return ()
    if not run.request.force:
        return (f"{waits.what}: only other workers get a version",)
    if run.request.canary and isinstance(waits, HeldError):
        return (f"forced: {waits.what}; this version is tried beside it",)
    return (f"forced: {waits.what}, which this version takes the place of",)


def _read_feed(run: Run, state: State) -> None:
    """Take the feed in, unless the state knows it by its validator."""
    known = [run.request.feed, reader_of(run.settings.catalog)] == [state.get("feed"), state.get("feed_reader")]
    validator = state.get("feed_validator") if known and not run.request.force else ""
    with open_feed(run.request.feed, run.settings, run.store, validator=validator) as feed:
        if feed is not None:
            take_in(state, feed)


def _parent(run: Run, state: State, version: str) -> Parent | None:
    try:
        return read_parent(state, run.catalogs, version, run.request.feed)
    except CatalogError as error:
        if run.request.force:
            return None
        raise UserError(
            f"The published version cannot be read: {error} Roll back with `packsight catalog rollback VERSION`, "
            "or build the catalog anew with `packsight catalog sync --force`."
        ) from None


def _target(run: Run, state: State, recipe: Recipe, current: Current | None, parent: Parent | None) -> Target:
    own = current.version_for(recipe) if current is not None else None
    if own is None or (parent is not None and own == parent.manifest.version):
        return Target(recipe, parent)
    return Target(recipe, _parent(run, state, own))


def _recipes(fleet: Fleet, parent: Parent | None) -> tuple[list[Recipe], tuple[str, ...]]:
    """What is built for, and notes on workers for which nothing can be.

    The running workers; without any those that the parent is for: a change of words can still be published.
    """
    announced = fleet.recipes()
    if not announced and parent is not None:
        announced = [parent.manifest.recipe]
    recipes = [recipe for recipe in announced if recipe.matching == matching_fingerprint()]
    others = sorted({recipe.matching for recipe in announced} - {matching_fingerprint()})
    if recipes:
        note = f"workers of another release are served what they have: this one matches as {matching_fingerprint()}, they as"
        return recipes, tuple(f"{note} {name}" for name in others)
    raise UserError(
        f"All workers are of another release, which matches as {', '.join(others)}; this one matches as "
        f"{matching_fingerprint()}. Run the same release of packsight on indexer and workers."
        if fleet.recipes()
        else NO_WORKERS
    )


def _names(parent: Parent | None, targets: Sequence[Target]) -> list[str]:
    """Versions that are served; what is noted of them holds only together."""
    found = [parent, *(target.parent for target in targets)]
    return sorted({one.manifest.version for one in found if one is not None})
