"""The third phase: a version for every recipe that needs one, in a folder, examined."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from packsight.indexer.build.shown import show_anew
from packsight.indexer.build.version import build_version
from packsight.indexer.completion import Completed, complete
from packsight.indexer.examination import Material, RefusedError, made_for
from packsight.indexer.extraction import UndescribedError
from packsight.indexer.gate.job_photos import job_photos
from packsight.indexer.gate.queries import Queries, stored_queries
from packsight.indexer.made.keeping import Made, Maker
from packsight.indexer.parent import Target, brought
from packsight.indexer.phases.run import Run
from packsight.indexer.phases.wanted import Wanted
from packsight.indexer.report import failures_of, first_failure, notes_of
from packsight.indexer.reviewed.fallen import fallen
from packsight.indexer.reviewed.harvest import Harvest
from packsight.indexer.state import resolution
from packsight.indexer.state.database import State
from packsight.indexer.state.resolution import PhotoRows, ProductRows
from packsight.indexer.state.schedule import ask_again
from packsight.indexer.unreadable import unreadable_names
from packsight.shared.catalog.manifest import Manifest, new_version
from packsight.shared.catalog.recipe import Recipe
from packsight.shared.contract.errors import UserError
from packsight.shared.contract.references import shown
from packsight.shared.queue.jobs_ledger import JobsLedger
from packsight.shared.queue.results import Results
from packsight.shared.storage.feature_store import FeatureStore

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Version:
    """A checked version in a folder."""

    folder: Path
    manifest: Manifest
    target: Target
    refused: int
    """How many bytes could not be described when it was built; if it are more now, its rows are not what is resolved."""
    tried: bool = True
    """Whether there is something to try: not where the same products are only shown otherwise."""


@dataclass(frozen=True, slots=True)
class Built:
    """Checked versions, none when every recipe has what it should."""

    versions: tuple[Version, ...]
    described: int
    refused: tuple[int, ...]
    """How many bytes could not be described when each target was looked at; one that was left as it is counts as -1."""
    notes: tuple[str, ...] = ()
    """Why a recipe was left as it is."""


def build(run: Run, state: State, wanted: Wanted) -> Built:
    """Have missing features made and build a version for every recipe whose own is not as it should be.

    A recipe whose workers describe nothing keeps what it has; raises UndescribedError where there is no other.
    """
    shutil.rmtree(run.folder, ignore_errors=True)
    versions: list[Version] = []
    refused: list[int] = []
    described = 0
    left: list[UndescribedError] = []
    name = ""
    for target in wanted.targets:
        if not is_as_it_should_be(run, state, wanted, target):
            run.lease.check()
            name = new_version(name or run.catalogs.last_name())
            try:
                version, newly = _version(run, state, wanted, target, name)
            except UndescribedError as error:
                left.append(error)
                refused.append(-1)
                continue
            versions += [version] if version is not None else []
            described += newly
        refused.append(resolution.refused(state))
    if left and len(left) == len(wanted.targets):
        raise left[0]
    notes = tuple(f"some workers keep the version that they have: {why}" for why in left)
    for note in notes:
        log.warning("catalog %s: %s", run.request.catalog, note)
    return Built(tuple(versions), described, tuple(refused), notes)


def is_as_it_should_be(run: Run, state: State, wanted: Wanted, target: Target) -> bool:
    """Whether nothing need be built for a recipe."""
    return not run.request.force and target.is_served(state, run.fit) and not _is_asked_for(wanted.harvest, target)


def _version(run: Run, state: State, wanted: Wanted, target: Target, name: str) -> tuple[Version | None, int]:
    """What a recipe lacks, and how many photos were described for it; None where nothing of what is new can be used."""
    if (shown := _shown_anew(run, state, wanted, target, name)) is not None:
        return shown, 0
    features = run.features(target.recipe)
    completed = complete(
        state,
        wanted.plan.parent,
        target.recipe,
        features=features,
        extractor=run.extractor,
        store=run.store,
        progress=run.progress,
    )
    if wanted.harvest.drop_what_is_there(state, target.before, completed.features):
        _resolve_again(run, state, wanted)
    if is_as_it_should_be(run, state, wanted, target):
        return None, completed.described
    made = _made(run, state, target, features)
    folder = run.folder / target.recipe.key
    try:
        manifest = _build_version(run, state, folder, wanted, target, completed, made, name)
    except RefusedError:
        with state.transaction():
            ask_again(state, target.before, run.clock())
        raise
    version = Version(folder, manifest, target, resolution.refused(state)) if manifest is not None else None
    return version, completed.described + made.described


def _resolve_again(run: Run, state: State, wanted: Wanted) -> None:
    """Work out the photos of products anew whose confirmed ones were left out."""
    wanted.harvest.remember()
    with state.transaction():
        wanted.harvest.take_in(state)
        resolution.resolve(state, wanted.plan.parent)
        resolution.put_in_order(state)


def _shown_anew(run: Run, state: State, wanted: Wanted, target: Target, name: str) -> Version | None:
    """A version that only shows the parent's products otherwise; None where more is to be done."""
    with state.transaction():
        resolution.put_in_order(state)
    plan = wanted.plan
    if run.request.force or target.parent is None or _is_asked_for(wanted.harvest, target):
        return None
    if not target.is_matched_alike(state, run.catalogs, run.fit):
        return None
    folder, parent = run.folder / target.recipe.key, target.parent.manifest
    notes = notes_of(plan, resolution.summary(state, plan.parent), state)
    manifest = show_anew(folder, parent, ProductRows(state), notes, name)
    run.gate.of_shown(manifest.version, ProductRows(state), parent)
    return Version(folder, manifest, target, resolution.refused(state), tried=False)


def _made(run: Run, state: State, target: Target, features: FeatureStore) -> Made:
    """Have photos made of products' only ones, which can be asked about in their place."""
    maker = Maker(run.parameters.made, run.store, run.settings.decode)
    return maker.describe(
        PhotoRows(state), target.recipe, features=features, extractor=run.extractor, progress=run.progress
    )


def _build_version(
    run: Run, state: State, folder: Path, wanted: Wanted, target: Target, completed: Completed, made: Made, name: str
) -> Manifest | None:
    """Build a version and have it examined; None where what was new is left out again, so that it would be as the parent."""
    products, photos = ProductRows(state), PhotoRows(state)
    if not photos:
        raise UserError(f"No photo can be used, so nothing was published. {first_failure(state)}")
    before = target.parent.manifest if target.parent is not None else None
    queries = _queries(run, target.recipe)
    if not run.request.force:
        made_by = made_for(target.recipe, run.fit, wanted.harvest.digest)
        run.gate.require_new(products, photos, made_by, before, queries)
    unreadable = unreadable_names(products, run.fleet.scripts())
    material = Material(completed.features, made.features, queries, (), unreadable.notes)
    _write_version(run, state, folder, wanted, target, material, made.notes, name)
    material = replace(material, asked=run.gate.ask(folder, material))
    if _leave_out(run, state, wanted, target, material):
        if is_as_it_should_be(run, state, wanted, target):
            return None
        shutil.rmtree(folder)
        made = _made(run, state, target, run.features(target.recipe))
        material = replace(material, made=made.features, asked=None)
        _write_version(run, state, folder, wanted, target, material, made.notes, name)
    lists = {**wanted.harvest.lists(state, target.before), "unreadable_names": unreadable.products}
    said = {pair.sha256: pair.product for pair in wanted.harvest.pairs}
    feed_said = (*wanted.plan.notes, *resolution.summary(state, wanted.plan.parent).notes)
    notes = (*feed_said, *material.notes)
    material = replace(material, failures=failures_of(state), lists=lists, said=said, notes=notes)
    run.lease.check()
    return run.gate.of_version(folder, before, material, force=run.request.force, tried=bool(run.request.canary))


def _write_version(
    run: Run, state: State, folder: Path, wanted: Wanted, target: Target, material: Material, made_notes: Sequence[str], name: str
) -> None:
    """Write the files of a version into a folder."""
    run.lease.check()
    run.progress("built", 0, 1)
    pairs, unseen = wanted.harvest.described(
        target.recipe, features=run.features(target.recipe), extractor=run.extractor, progress=run.progress
    )
    parents = {one.version for one in wanted.targets}
    forced = "the sync was forced" if run.request.force else ""
    noted = notes_of(wanted.plan, resolution.summary(state, wanted.plan.parent), state)
    build_version(
        folder,
        catalog=run.request.catalog,
        parent=target.parent if forced else brought(target, run.catalogs, run.parents, parents),
        products=ProductRows(state),
        photos=PhotoRows(state),
        features=material.features,
        recipe=target.recipe,
        notes=(*noted, *material.notes, *made_notes, *unseen),
        prior=run.prior,
        made=material.made,
        reviewed=pairs,
        parameters=run.parameters,
        begin=forced,
        version=name,
    )
    run.progress("built", 1, 1)


def _leave_out(run: Run, state: State, wanted: Wanted, target: Target, material: Material) -> bool:
    """Leave new confirmed photos out with which the catalog knows its own photos worse; tell whether there are such."""
    new = wanted.harvest.new(state, target.before)
    if not new or target.parent is None or not target.is_own:
        return False
    before = run.gate.reports.answers(target.parent.manifest.version)
    worse = fallen(before, material.asked or (), new)
    for product, first in worse.items():
        what = f"with it {shown(first.photo.name)} of {first.photo.product} is taken for {product}"
        for sha in new[product]:
            wanted.harvest.leave_out(sha, what)
    if worse:
        _resolve_again(run, state, wanted)
    return bool(worse)


def _queries(run: Run, recipe: Recipe) -> Queries:
    """Stored queries and photos of recent jobs, described by workers of a recipe like any photo."""
    limits, client = run.settings.catalog, run.fleet.redis
    return stored_queries(
        limits.queries,
        job_photos(run.store, Results(client), run.request.catalog, limits.job_queries),
        recipe,
        store=run.store,
        home=run.settings.home,
        extractor=run.extractor,
        progress=run.progress,
        most=run.gate.parameters.queries,
        max_bytes=run.settings.fetch.max_bytes,
        busy=bool(JobsLedger(client, run.settings.queue.result_expires).active()),
    )


def _is_asked_for(harvest: Harvest, target: Target) -> bool:
    """Whether what people said is worth a version, whatever else there is."""
    if target.parent is None:
        return False
    known = target.parent.manifest.reviewed
    return harvest.asks_for_a_version(known.pairs, known.digest)
