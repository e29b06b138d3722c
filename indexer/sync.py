"""A sync, from the shop's feed and photos to the versions that workers serve, in four phases that read top to bottom.

Wanted: what the shop offers, and how far that is from what is published. Resolved: what is at the sources of its photos
now. Built: a version for every recipe that needs one, in a folder, checked. Published: uploaded, pointed at, announced.

Everything up to the pointer can be interrupted at any point and run again: photos are stored under their hash, what was
seen at their sources is kept, features are in shards, a version without a manifest is invisible.
"""

from __future__ import annotations

import shutil
from collections import Counter
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from packsight.indexer.build.fingerprint import fit_fingerprint
from packsight.indexer.build.parameters import FIT, FitParameters
from packsight.indexer.build.prior import read_prior
from packsight.indexer.build.shown import show_anew
from packsight.indexer.build.version import build_version
from packsight.indexer.collection.sweep import sweep_parts
from packsight.indexer.completion import Completed, Progress, complete, refused_bytes
from packsight.indexer.examination import Examination, Material, made_for
from packsight.indexer.extraction import Extractor, QueueExtractor
from packsight.indexer.feed.extra_photos import extra_photos
from packsight.indexer.feed.source import read_offers
from packsight.indexer.fleet import NO_WORKERS, Fleet
from packsight.indexer.gate.queries import Queries, stored_queries
from packsight.indexer.lock import sync_lock
from packsight.indexer.made.keeping import Made, Maker
from packsight.indexer.parent import Parent, Target, read_parent
from packsight.indexer.photos import fetch_photos
from packsight.indexer.plan import (
    PhotoKey,
    Plan,
    ResolvedRows,
    Rows,
    SourceState,
    known_states,
    plan,
    resolve,
)
from packsight.indexer.publish import prune, publish
from packsight.indexer.refused import prune_refused
from packsight.indexer.report import SyncReport, SyncRequest, failures_of, first_failure, notes_of, report_of
from packsight.indexer.source_states import SourceStates
from packsight.indexer.version_report.keeping import Reports
from packsight.indexer.version_report.summary import Summary
from packsight.shared.catalog.decision_model import Model
from packsight.shared.catalog.manifest import Manifest
from packsight.shared.catalog.recipe import Recipe
from packsight.shared.catalog.trust import Trust
from packsight.shared.catalog.versions import CatalogStore, Current
from packsight.shared.contract.errors import CatalogError, UserError
from packsight.shared.matching.fingerprint import matching_fingerprint
from packsight.shared.settings import Settings
from packsight.shared.storage.feature_store import FeatureStore
from packsight.shared.storage.objects import ObjectStore


class Lease(Protocol):
    """The right to publish, which may be lost."""

    def check(self) -> None:
        """Raise UserError when it is lost."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the shop wants of the catalog, and for whom it is to be built."""

    plan: Plan
    current: Current | None
    targets: tuple[Target, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Resolved:
    """What is at the sources of the wanted photos, and the rows that follow if all of it can be described."""

    states: dict[PhotoKey, SourceState]
    rows: ResolvedRows
    downloads: int


@dataclass(frozen=True, slots=True)
class Built:
    """Checked versions in folders, none when every recipe has what it should; `rows` are those of the last one looked at."""

    versions: tuple[tuple[Path, Manifest], ...]
    states: dict[PhotoKey, SourceState]
    rows: ResolvedRows
    described: int


@dataclass(frozen=True, slots=True)
class Published:
    """What workers serve now; None when nothing was ever published."""

    version: str | None


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


@dataclass(frozen=True, slots=True)
class Sync:
    """One run of a sync; the caller holds the catalog's lock."""

    request: SyncRequest
    settings: Settings
    store: ObjectStore
    fleet: Fleet
    extractor: Extractor
    lease: Lease
    progress: Progress = lambda *_: None

    @property
    def catalogs(self) -> CatalogStore:
        """The catalog's versions."""
        return CatalogStore(self.store, self.request.catalog, Trust.of_publisher(self.settings))

    @property
    def prior(self) -> Model:
        """What its versions start from."""
        return read_prior(self.settings.catalog.prior)

    @property
    def parameters(self) -> FitParameters:
        """How its versions are fitted."""
        return replace(FIT, made=replace(FIT.made, photos=self.settings.catalog.made_photos))

    @property
    def sources(self) -> SourceStates:
        """What was seen at the sources of its photos."""
        return SourceStates(self.store, self.request.catalog)

    @property
    def gate(self) -> Examination:
        """What its versions have to pass."""
        reports = Reports(self.store, self.request.catalog)
        return Examination(self.catalogs, reports, self.settings.catalog, self.settings.home / "examined")

    def rehearse(self) -> Rehearsal:
        """What the feed alone tells of the version that would be built: nothing is fetched, described or kept."""
        wanted = self.want()
        parent = wanted.targets[0].parent
        summary, lists = self.gate.of_feed(wanted.plan.products, parent.manifest if parent is not None else None)
        seen = {(photo.source, photo.extra) for photo in wanted.plan.parent.photos}
        return Rehearsal(summary, lists, len(wanted.plan.photos), len(wanted.plan.photos.keys() - seen), wanted.notes)

    def run(self) -> SyncReport:
        """Bring the catalog in step with its feed; raises UserError and PacksightError when that fails."""
        wanted = self.want()
        resolved = self.resolve(wanted)
        built = self.build(wanted, resolved)
        published = self.publish(wanted, built)
        return report_of(
            self.request,
            wanted.plan,
            built.rows,
            version=published.version,
            built=built.versions[-1][1] if built.versions else None,
            fetched=resolved.downloads,
            described=built.described,
            notes=wanted.notes,
        )

    def want(self) -> Wanted:
        """Read the feed and what is published; raises UserError when the feed has lost too much."""
        request = self.request
        offers = read_offers(request.feed, self.settings, self.store)
        skipped: Counter[str] = Counter()
        extras = extra_photos(request.photos, self.store, skipped) if request.photos else {}
        current = self.catalogs.overwritable() if request.force else self.catalogs.current()
        parent = self._parent(current.version) if current is not None and current.version else None
        wanted = plan(offers, extras, parent.rows if parent is not None else Rows(), feed=request.feed)
        if not request.force and not request.dry_run:
            # Before a photo is fetched for nothing; what photos are lost is known when the rest of them has been seen.
            self.gate.require_feed(wanted.products, wanted.removed, parent.manifest if parent is not None else None)
        recipes, notes = _recipes(self.fleet, parent)
        if skipped:
            left_out = ", ".join(f"{kind} {count}" for kind, count in skipped.most_common(10))
            notes = (*notes, f"left out of the extra photos: {left_out}")
        return Wanted(wanted, current, tuple(self._target(recipe, current, parent) for recipe in recipes), notes)

    def _parent(self, version: str) -> Parent | None:
        try:
            return read_parent(self.catalogs, version)
        except CatalogError as error:
            if self.request.force:
                return None
            raise UserError(
                f"The published version cannot be read: {error} Roll back with `packsight catalog rollback VERSION`, "
                "or build the catalog anew with `packsight catalog sync --force`."
            ) from None

    def _target(self, recipe: Recipe, current: Current | None, parent: Parent | None) -> Target:
        own = current.version_for(recipe) if current is not None else None
        if own is None or current is None or own == current.version:
            return Target(recipe, parent)
        return Target(recipe, self._parent(own))

    def resolve(self, wanted: Wanted) -> Resolved:
        """Look at every photo's source and bring what is new there into object storage."""
        known = known_states(wanted.plan.parent) | self.sources.load()
        if self.request.force:
            known = {key: SourceState(s.sha256, s.validator) for key, s in known.items()}
        fetched = fetch_photos(
            wanted.plan.photos.values(),
            known,
            described=frozenset.intersection(*(target.described for target in wanted.targets)),
            feed=self.request.feed,
            extras=self.request.photos,
            settings=self.settings,
            store=self.store,
            sources=self.sources,
            progress=lambda looked: self.progress("photos", looked, len(wanted.plan.photos)),
        )
        rows = resolve(wanted.plan, fetched.states, refused_bytes(fetched.states.values()))
        return Resolved(fetched.states, rows, fetched.downloads)

    def build(self, wanted: Wanted, resolved: Resolved) -> Built:
        """Have missing features made and build a version for every recipe whose own is not as it should be."""
        folder = self._folder
        shutil.rmtree(folder, ignore_errors=True)
        states, rows, described = resolved.states, resolved.rows, 0
        versions: list[tuple[Path, Manifest]] = []
        for target in wanted.targets:
            if not self._worth_building(target, rows):
                continue
            self.lease.check()
            if target.parent is not None and not self.request.force and target.is_matched_alike(rows.rows, self._fit):
                built = folder / target.recipe.key
                shown = show_anew(built, target.parent, rows.rows.products, notes_of(wanted.plan, rows))
                rows = replace(rows, rows=shown.rows)
                self.gate.of_shown(shown.manifest.version, rows.rows.products, target.parent.manifest)
                versions.append((built, shown.manifest))
                continue
            features = FeatureStore(self.store, target.recipe.parts, self.settings.home)
            completed = complete(
                wanted.plan,
                states,
                target.recipe,
                features=features,
                extractor=self.extractor,
                store=self.store,
                sources=self.sources,
                progress=self.progress,
            )
            states, rows, described = completed.states, completed.resolved, described + completed.described
            if self._worth_building(target, rows):  # unless nothing of what is new can be used
                built, made = folder / target.recipe.key, self._made(target, rows, features)
                described += made.described
                versions.append((built, self._build_version(built, wanted.plan, target, completed, made)))
        return Built(tuple(versions), states, rows, described)

    @property
    def _folder(self) -> Path:
        return self.settings.home / "indexer" / self.request.catalog

    def _worth_building(self, target: Target, rows: ResolvedRows) -> bool:
        return self.request.force or not target.is_served(rows.rows, self._fit)

    @property
    def _fit(self) -> str:
        return fit_fingerprint(parameters=self.parameters, prior=self.prior)

    def _made(self, target: Target, rows: ResolvedRows, features: FeatureStore) -> Made:
        """Have photos made of products' only ones, which can be asked about in their place."""
        maker = Maker(self.parameters.made, self.store, self.settings.decode)
        return maker.describe(
            rows.rows.photos, target.recipe, features=features, extractor=self.extractor, progress=self.progress
        )

    def _build_version(self, folder: Path, plan: Plan, target: Target, completed: Completed, made: Made) -> Manifest:
        resolved = completed.resolved
        if not resolved.rows.photos:
            raise UserError(f"No photo can be used, so nothing was published. {first_failure(resolved)}")
        before = target.parent.manifest if target.parent is not None else None
        queries = self._queries(target.recipe)
        if not self.request.force:
            fit = fit_fingerprint(parameters=self.parameters, prior=self.prior)
            rows = resolved.rows
            self.gate.require_new(rows.products, rows.photos, made_for(target.recipe, fit), before, queries)
        self.lease.check()
        self.progress("built", 0, 1)
        build_version(
            folder,
            catalog=self.request.catalog,
            parent=target.parent,
            products=resolved.rows.products,
            photos=resolved.rows.photos,
            features=completed.features,
            recipe=target.recipe,
            notes=(*notes_of(plan, resolved), *made.notes),
            prior=self.prior,
            made=made.features,
            parameters=self.parameters,
        )
        self.progress("built", 1, 1)
        material = Material(completed.features, made.features, queries, failures_of(resolved))
        self.lease.check()
        return self.gate.of_version(folder, before, material, force=self.request.force)

    def _queries(self, recipe: Recipe) -> Queries:
        """Stored queries, described by workers of a recipe like any photo."""
        return stored_queries(
            self.settings.catalog.queries,
            recipe,
            store=self.store,
            home=self.settings.home,
            extractor=self.extractor,
            progress=self.progress,
            most=self.gate.parameters.queries,
            max_bytes=self.settings.fetch.max_bytes,
        )

    def publish(self, wanted: Wanted, built: Built) -> Published:
        """Upload what was built, let the pointer name it, tell the workers, and clear away what is no longer needed."""
        version = wanted.current.version if wanted.current is not None else None
        for folder, manifest in built.versions:
            publish(self.catalogs, folder, manifest, wanted.current, self.lease.check, anew=self.request.force)
            version = manifest.version
        if built.versions:
            self.fleet.announce(self.request.catalog)
        # Also when nothing is new: the sync before may have been interrupted here.
        prune(
            self.catalogs,
            self.settings.catalog.keep_versions,
            [*self.fleet.recipes(), *self.fleet.former_recipes()],
        )
        rules = self.gate
        prune_refused(self.catalogs, rules.reports, rules.limits.keep_refused, rules.parameters.refused_age)
        sweep_parts(self.catalogs)
        rows = built.rows.rows if built.versions else wanted.plan.parent
        self.sources.rewrite(_worth_keeping(built.states, rows))
        shutil.rmtree(self._folder, ignore_errors=True)
        return Published(version)


class _NoLease:
    def check(self) -> None:
        """A rehearsal publishes nothing."""


def rehearse(request: SyncRequest, settings: Settings) -> Rehearsal:
    """Say what a sync would do, without lock and without writing anything; raises as `run_sync` does."""
    with ExitStack() as stack:
        store = stack.enter_context(closing(ObjectStore(settings.s3)))
        fleet = stack.enter_context(closing(Fleet(settings)))
        return Sync(request, settings, store, fleet, QueueExtractor(settings, fleet), _NoLease()).rehearse()


def run_sync(request: SyncRequest, settings: Settings, progress: Progress = lambda *_: None) -> SyncReport:
    """Sync under the catalog's lock, with the running workers.

    Raises LockHeldError when another sync of the catalog is going on, UserError and PacksightError when this one fails.
    """
    Trust.of_publisher(settings).keyring.require_own()
    with ExitStack() as stack:
        store = stack.enter_context(closing(ObjectStore(settings.s3, pool_size=settings.fetch.threads + 4)))
        fleet = stack.enter_context(closing(Fleet(settings)))
        lease = stack.enter_context(sync_lock(fleet.redis, request.catalog))
        store.ensure_bucket()
        return Sync(request, settings, store, fleet, QueueExtractor(settings, fleet), lease, progress).run()


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


def _worth_keeping(states: dict[PhotoKey, SourceState], published: Rows) -> dict[PhotoKey, SourceState]:
    """States of sources that the rows of the published version do not tell already."""
    told = known_states(published)
    return {key: s for key, s in states.items() if s.sha256 and told.get(key) != s}
