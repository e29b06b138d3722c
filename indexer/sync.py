"""A sync, from the shop's feed and photos to the versions that workers serve, in four phases that read top to bottom.

Wanted: what the shop offers, and how far that is from what is published. Resolved: what is at the sources of its photos
now. Built: a version for every recipe that needs one, in a folder, checked. Published: uploaded, pointed at, announced.

Everything up to the pointer can be interrupted at any point and run again: photos are stored under their hash, what was
seen at their sources is kept, features are in shards, a version without a manifest is invisible. What is worked out from the feed
and the published versions is kept in the state, a file that may be lost at any time; only what changed is worked out anew.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Protocol

from packsight.indexer.build.fingerprint import fit_fingerprint
from packsight.indexer.build.parameters import FIT, FitParameters
from packsight.indexer.build.prior import read_prior
from packsight.indexer.build.shown import show_anew
from packsight.indexer.build.version import build_version
from packsight.indexer.canary import CanaryError
from packsight.indexer.collection.sweep import sweep_parts
from packsight.indexer.completion import Completed, Progress, complete
from packsight.indexer.examination import Examination, Material, RefusedError, made_for
from packsight.indexer.extraction import Extractor, QueueExtractor
from packsight.indexer.feed.extra_photos import extra_photos
from packsight.indexer.feed.source import open_feed, reader_of
from packsight.indexer.fleet import NO_WORKERS, Fleet
from packsight.indexer.gate.job_photos import job_photos
from packsight.indexer.gate.queries import Queries, stored_queries
from packsight.indexer.gate.tables import read_products
from packsight.indexer.lock import sync_lock
from packsight.indexer.made.keeping import Made, Maker
from packsight.indexer.noted import noted
from packsight.indexer.parent import Parent, Target, brought, keep_built, read_parent
from packsight.indexer.photos import fetch_photos
from packsight.indexer.plan import Plan, plan
from packsight.indexer.publish import prune, publish
from packsight.indexer.refused import prune_refused
from packsight.indexer.report import SyncReport, SyncRequest, failures_of, first_failure, notes_of, report_of
from packsight.indexer.reviewed.fallen import fallen
from packsight.indexer.reviewed.harvest import Harvest
from packsight.indexer.reviewed.moved import moved, renamed
from packsight.indexer.state import copy, resolution
from packsight.indexer.state.database import DamagedStateError, State, discard, opened
from packsight.indexer.state.intake import take_in, take_in_extras
from packsight.indexer.state.published import adopt, forget, touch_all
from packsight.indexer.state.resolution import NO_VERSION, PhotoRows, ProductRows, Summary
from packsight.indexer.state.schedule import Agenda, ask_again, draw_up, living
from packsight.indexer.unreadable import unreadable_names
from packsight.indexer.version_report.keeping import Reports
from packsight.shared.catalog.decision_model import Model
from packsight.shared.catalog.manifest import Manifest
from packsight.shared.catalog.recipe import Recipe
from packsight.shared.catalog.tables import product_table
from packsight.shared.catalog.trust import Trust
from packsight.shared.catalog.versions import CatalogStore, Current
from packsight.shared.contract.errors import CatalogError, UserError
from packsight.shared.contract.references import shown
from packsight.shared.matching.fingerprint import matching_fingerprint
from packsight.shared.queue.jobs_ledger import JobsLedger
from packsight.shared.queue.results import Results
from packsight.shared.settings import Settings
from packsight.shared.storage.feature_store import FeatureStore
from packsight.shared.storage.objects import ObjectStore

log = logging.getLogger(__name__)


class Lease(Protocol):
    """The right to publish, which may be lost."""

    def check(self) -> None:
        """Raise UserError when it is lost."""


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


@dataclass(frozen=True, slots=True)
class Resolved:
    """What was looked at of the pictures' sources; the rows that follow, if all of it can be described, are in the state."""

    agenda: Agenda
    downloads: int


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
    """How many bytes could not be described when each target was looked at."""


@dataclass(frozen=True, slots=True)
class Published:
    """What workers serve now; None when nothing was ever published. canary: whether a share of the messages is answered anew."""

    version: str | None
    canary: bool = False


@dataclass(frozen=True)
class Sync:
    """One run of a sync; the caller holds the catalog's lock."""

    request: SyncRequest
    settings: Settings
    store: ObjectStore
    fleet: Fleet
    extractor: Extractor
    lease: Lease
    progress: Progress = lambda *_: None
    clock: Callable[[], float] = time.time

    @cached_property
    def catalogs(self) -> CatalogStore:
        """The catalog's versions."""
        return CatalogStore(self.store, self.request.catalog, Trust.of_publisher(self.settings), remembers=True)

    @property
    def prior(self) -> Model:
        """What its versions start from."""
        return read_prior(self.settings.catalog.prior)

    @property
    def parameters(self) -> FitParameters:
        """How its versions are fitted."""
        return parameters_of(self.settings)

    @property
    def state_file(self) -> Path:
        """Where the state of the catalog is kept."""
        return self.settings.home / "indexer" / f"{self.request.catalog}.db"

    @property
    def gate(self) -> Examination:
        """What its versions have to pass."""
        reports = Reports(self.store, self.request.catalog)
        return Examination(self.catalogs, reports, self.settings.catalog, self._parents)

    def run(self) -> SyncReport:
        """Bring the catalog in step with its feed; raises UserError and PacksightError when that fails."""
        try:
            with opened(self.state_file) as state:
                return self._run(state)
        except DamagedStateError as error:
            log.warning("the indexer's memory is made anew: %s", error)
            discard(self.state_file)
        with opened(self.state_file) as state:
            return self._run(state)

    def _run(self, state: State) -> SyncReport:
        wanted = self.want(state)
        resolved = self.resolve(state, wanted)
        built = self.build(state, wanted)
        summary, failures = resolution.summary(state, wanted.plan.parent), failures_of(state)
        reviews = wanted.harvest.notes(state, wanted.plan.parent)
        published = self.publish(state, wanted, built, summary)
        return report_of(
            self.request,
            wanted.plan,
            summary,
            agenda=resolved.agenda,
            failures=failures,
            version=published.version,
            built=built.versions[-1].manifest if built.versions else None,
            fetched=resolved.downloads,
            described=built.described,
            canary=self.request.canary if published.canary else 0.0,
            notes=(*wanted.notes, *reviews),
        )

    def want(self, state: State) -> Wanted:
        """Read what is published, and the feed unless it is what was read last; raises UserError when it has lost too much."""
        request = self.request
        if state.get("begun") is None and not request.dry_run:
            copy.restore(state, self.store, request.catalog, request.feed)
            state.set("begun", True)
        current = self.catalogs.overwritable() if request.force else self.catalogs.current()
        trial = self._trial(current)
        parent = self._parent(state, current.version) if current is not None and current.version else None
        skipped: Counter[str] = Counter()
        harvest = Harvest(self.store, request.catalog, self.settings, self.clock(), again=request.force)
        if not request.dry_run:
            harvest.keep(state)
        with state.transaction():
            resolution.take_back_refusals(state, all_of_them=request.force)
            self._read_feed(state)
            take_in_extras(state, extra_photos(request.photos, self.store, skipped) if request.photos else (), request.photos)
            served = parent.manifest.version if parent is not None else ""
            known = harvest.products(served, changed=resolution.is_touched(state))
            harvest.follow({version: self._moved(state, version, ids, parent) for version, ids in known.items()}, served)
            harvest.take_in(state)
            wanted = plan(state, parent.number if parent is not None else NO_VERSION)
            if not request.force and not request.dry_run:
                # Before a photo is fetched for nothing; what photos are lost is known when the rest of them has been seen.
                before = parent.manifest if parent is not None else None
                self.gate.require_feed(wanted.offered, wanted.removed, before, lambda: resolution.offered(state))
        recipes, notes = _recipes(self.fleet, parent)
        if skipped:
            left_out = ", ".join(f"{kind} {count}" for kind, count in skipped.most_common(10))
            notes = (*notes, f"left out of the extra photos: {left_out}")
        notes = (*notes, *trial)
        targets = tuple(self._target(state, recipe, current, parent) for recipe in recipes)
        if request.force or state.get("settled") != _names(parent, targets):
            with state.transaction():
                touch_all(state)
        return Wanted(wanted, current, parent, targets, notes, harvest)

    def _moved(self, state: State, version: str, ids: Sequence[str], parent: Parent | None) -> dict[str, str]:
        """The ids now of products that a version has under these, of those that have another one, or GONE."""
        if parent is not None and version == parent.manifest.version:
            ids = resolution.changed_ids(state, ids, parent.number)
        elif version not in {one.version for one in self.catalogs.versions()}:
            return {}  # it is gone, or a name that somebody made up: ids are taken as they stand
        if not ids:
            return {}
        try:
            before = read_products(self.catalogs, version)
        except CatalogError as error:  # likewise where it is damaged
            log.warning("whether ids of products have changed since version %s is not known: %s", version, error)
            return {}
        if not (unsure := renamed(ids, before, resolution.live_rows(state, ids))):
            return {}  # as after most changes, for which not all products need be gone through
        return moved(unsure, before, product_table(resolution.offered(state)))

    def _trial(self, current: Current | None) -> tuple[str, ...]:
        """What to say of a canary that is being tried; raises CanaryError unless the sync is to end that, or changes nothing."""
        if current is None or not current.canaries:
            return ()
        found = CanaryError(self.request.catalog, current)
        if self.request.dry_run:
            return (f"a sync would be refused: {found}",)
        if not self.request.force:
            raise found
        return (f"forced: {found.what}, which this version takes the place of",)

    def _read_feed(self, state: State) -> None:
        """Take the feed in, unless the state knows it by its validator."""
        known = [self.request.feed, reader_of(self.settings.catalog)] == [state.get("feed"), state.get("feed_reader")]
        validator = state.get("feed_validator") if known and not self.request.force else ""
        with open_feed(self.request.feed, self.settings, self.store, validator=validator) as feed:
            if feed is not None:
                take_in(state, feed)

    def _parent(self, state: State, version: str) -> Parent | None:
        try:
            return read_parent(state, self.catalogs, version, self.request.feed)
        except CatalogError as error:
            if self.request.force:
                return None
            raise UserError(
                f"The published version cannot be read: {error} Roll back with `packsight catalog rollback VERSION`, "
                "or build the catalog anew with `packsight catalog sync --force`."
            ) from None

    def _target(self, state: State, recipe: Recipe, current: Current | None, parent: Parent | None) -> Target:
        own = current.version_for(recipe) if current is not None else None
        if own is None or current is None or own == current.version:
            return Target(recipe, parent)
        return Target(recipe, self._parent(state, own))

    def resolve(self, state: State, wanted: Wanted) -> Resolved:
        """Look at the sources of the pictures that are due, bring what is new into object storage, and choose each product's."""
        with state.transaction():
            living(state, [target.described for target in wanted.targets])
            everything = self.request.force or self.request.all_pictures
            due = draw_up(state, self.settings.catalog, self.clock(), everything=everything)
        agenda, downloads = fetch_photos(
            state,
            due,
            feed=self.request.feed,
            extras=self.request.photos,
            settings=self.settings,
            store=self.store,
            clock=self.clock,
            progress=lambda looked: self.progress("photos", looked, due.asked),
        )
        with state.transaction():
            resolution.resolve(state, wanted.plan.parent)
        return Resolved(agenda, downloads)

    def build(self, state: State, wanted: Wanted) -> Built:
        """Have missing features made and build a version for every recipe whose own is not as it should be."""
        shutil.rmtree(self._folder, ignore_errors=True)
        versions: list[Version] = []
        refused: list[int] = []
        described = 0
        for target in wanted.targets:
            if not self.is_as_it_should_be(state, wanted, target):
                self.lease.check()
                if (shown := self._shown_anew(state, wanted, target)) is not None:
                    versions.append(shown)
                    refused.append(_refused(state))
                    continue
                features = self._features(target)
                completed = complete(
                    state,
                    wanted.plan.parent,
                    target.recipe,
                    features=features,
                    extractor=self.extractor,
                    store=self.store,
                    progress=self.progress,
                )
                described += completed.described
                if wanted.harvest.drop_what_is_there(state, _number(target), completed.features):
                    self._resolve_again(state, wanted)
                if not self.is_as_it_should_be(state, wanted, target):  # unless nothing of what is new can be used
                    made = self._made(state, target, features)
                    described += made.described
                    folder = self._folder / target.recipe.key
                    try:
                        manifest = self._build_version(state, folder, wanted, target, completed, made)
                    except RefusedError:
                        with state.transaction():
                            ask_again(state, _number(target), self.clock())
                        raise
                    if manifest is not None:
                        versions.append(Version(folder, manifest, target, _refused(state)))
            refused.append(_refused(state))
        return Built(tuple(versions), described, tuple(refused))

    @property
    def _folder(self) -> Path:
        return self.settings.home / "indexer" / self.request.catalog

    @property
    def _parents(self) -> Path:
        """Folder of the versions that are built upon."""
        return self.settings.home / "parents" / self.request.catalog

    def is_as_it_should_be(self, state: State, wanted: Wanted, target: Target) -> bool:
        """Whether nothing need be built for a recipe."""
        return not self.request.force and target.is_served(state, self._fit) and not _is_asked_for(wanted.harvest, target)

    def _resolve_again(self, state: State, wanted: Wanted) -> None:
        """Work out the photos of products anew whose confirmed ones were left out."""
        wanted.harvest.remember()
        with state.transaction():
            wanted.harvest.take_in(state)
            resolution.resolve(state, wanted.plan.parent)
            resolution.put_in_order(state)

    @property
    def _fit(self) -> str:
        return fit_fingerprint(parameters=self.parameters, prior=self.prior)

    def _shown_anew(self, state: State, wanted: Wanted, target: Target) -> Version | None:
        """A version that only shows the parent's products otherwise; None where more is to be done."""
        with state.transaction():
            resolution.put_in_order(state)
        plan = wanted.plan
        if self.request.force or target.parent is None or _is_asked_for(wanted.harvest, target):
            return None
        if not target.is_matched_alike(state, self.catalogs, self._fit):
            return None
        folder, parent = self._folder / target.recipe.key, target.parent.manifest
        notes = notes_of(plan, resolution.summary(state, plan.parent), state)
        manifest = show_anew(folder, parent, ProductRows(state), notes)
        self.gate.of_shown(manifest.version, ProductRows(state), parent)
        return Version(folder, manifest, target, _refused(state), tried=False)

    def _made(self, state: State, target: Target, features: FeatureStore) -> Made:
        """Have photos made of products' only ones, which can be asked about in their place."""
        maker = Maker(self.parameters.made, self.store, self.settings.decode)
        return maker.describe(
            PhotoRows(state), target.recipe, features=features, extractor=self.extractor, progress=self.progress
        )

    def _build_version(
        self, state: State, folder: Path, wanted: Wanted, target: Target, completed: Completed, made: Made
    ) -> Manifest | None:
        """Build a version and have it examined; None where what was new is left out again, so that it would be as the parent."""
        products, photos = ProductRows(state), PhotoRows(state)
        if not photos:
            raise UserError(f"No photo can be used, so nothing was published. {first_failure(state)}")
        before = target.parent.manifest if target.parent is not None else None
        queries = self._queries(target.recipe)
        if not self.request.force:
            made_by = made_for(target.recipe, self._fit, wanted.harvest.digest)
            self.gate.require_new(products, photos, made_by, before, queries)
        unreadable = unreadable_names(products, self.fleet.scripts())
        material = Material(completed.features, made.features, queries, (), unreadable.notes)
        self._write_version(state, folder, wanted, target, material, made.notes)
        material = replace(material, asked=self.gate.ask(folder, material))
        if self._leave_out(state, wanted, target, material):
            if self.is_as_it_should_be(state, wanted, target):
                return None
            shutil.rmtree(folder)
            made = self._made(state, target, self._features(target))
            material = replace(material, made=made.features, asked=None)
            self._write_version(state, folder, wanted, target, material, made.notes)
        lists = {**wanted.harvest.lists(state, _number(target)), "unreadable_names": unreadable.products}
        said = {pair.sha256: pair.product for pair in wanted.harvest.pairs}
        feed_said = (*wanted.plan.notes, *resolution.summary(state, wanted.plan.parent).notes)
        notes = (*feed_said, *material.notes)
        material = replace(material, failures=failures_of(state), lists=lists, said=said, notes=notes)
        self.lease.check()
        return self.gate.of_version(folder, before, material, force=self.request.force, tried=bool(self.request.canary))

    def _write_version(
        self, state: State, folder: Path, wanted: Wanted, target: Target, material: Material, made_notes: Sequence[str]
    ) -> None:
        """Write the files of a version into a folder."""
        self.lease.check()
        self.progress("built", 0, 1)
        pairs, unseen = wanted.harvest.described(
            target.recipe, features=self._features(target), extractor=self.extractor, progress=self.progress
        )
        parents = {one.version for one in wanted.targets}
        forced = "the sync was forced" if self.request.force else ""
        noted = notes_of(wanted.plan, resolution.summary(state, wanted.plan.parent), state)
        build_version(
            folder,
            catalog=self.request.catalog,
            parent=target.parent if forced else brought(target, self.catalogs, self._parents, parents),
            products=ProductRows(state),
            photos=PhotoRows(state),
            features=material.features,
            recipe=target.recipe,
            notes=(*noted, *material.notes, *made_notes, *unseen),
            prior=self.prior,
            made=material.made,
            reviewed=pairs,
            parameters=self.parameters,
            begin=forced,
        )
        self.progress("built", 1, 1)

    def _leave_out(self, state: State, wanted: Wanted, target: Target, material: Material) -> bool:
        """Leave new confirmed photos out with which the catalog knows its own photos worse; tell whether there are such."""
        new = wanted.harvest.new(state, _number(target))
        if not new or target.parent is None or not target.is_own:
            return False
        before = self.gate.reports.answers(target.parent.manifest.version)
        worse = fallen(before, material.asked or (), new)
        for product, first in worse.items():
            what = f"with it {shown(first.photo.name)} of {first.photo.product} is taken for {product}"
            for sha in new[product]:
                wanted.harvest.leave_out(sha, what)
        if worse:
            self._resolve_again(state, wanted)
        return bool(worse)

    def _features(self, target: Target) -> FeatureStore:
        return FeatureStore(self.store, target.recipe.parts, self.settings.home)

    def _queries(self, recipe: Recipe) -> Queries:
        """Stored queries and photos of recent jobs, described by workers of a recipe like any photo."""
        limits, client = self.settings.catalog, self.fleet.redis
        return stored_queries(
            limits.queries,
            job_photos(self.store, Results(client), self.request.catalog, limits.job_queries),
            recipe,
            store=self.store,
            home=self.settings.home,
            extractor=self.extractor,
            progress=self.progress,
            most=self.gate.parameters.queries,
            max_bytes=self.settings.fetch.max_bytes,
            busy=bool(JobsLedger(client, self.settings.queue.result_expires).active()),
        )

    def publish(self, state: State, wanted: Wanted, built: Built, summary: Summary) -> Published:
        """Upload what was built, let the pointer name it, tell the workers, and clear away what is no longer needed."""
        for made in built.versions:
            share = self.request.canary if made.tried else 0.0
            publish(
                self.catalogs, made.folder, made.manifest, wanted.current, self.lease.check,
                anew=self.request.force, share=share,
            )  # fmt: skip
            keep_built(made.folder, made.manifest, self._parents)
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
        with state.transaction():
            self._settle(state, wanted, built, summary)
        if built.versions or wanted.plan.parent == NO_VERSION:
            state.set("uncopied", True)
        if state.get("uncopied") and copy.keep(state, self.store, self.request.catalog, self.clock()):
            state.set("uncopied", False)
        shutil.rmtree(self._folder, ignore_errors=True)
        current = self.catalogs.current() if built.versions else wanted.current
        tried = {canary.version for canary in current.canaries.values()} if current is not None else set()
        canary = any(made.manifest.version in tried for made in built.versions)
        served = wanted.parent.manifest.version if wanted.parent is not None else ""
        wanted.harvest.settle(state, built.versions[-1].manifest.version if built.versions else served, canary=canary)
        return Published(current.version if current is not None else None, canary)

    def _settle(self, state: State, wanted: Wanted, built: Built, summary: Summary) -> None:
        """Note that every version that is served holds what is resolved: the next sync works out what changes from here."""
        now = _refused(state)
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


def _number(target: Target) -> int:
    """Of the version before, in the state."""
    return target.parent.number if target.parent is not None else NO_VERSION


def _is_asked_for(harvest: Harvest, target: Target) -> bool:
    """Whether what people said is worth a version, whatever else there is."""
    if target.parent is None:
        return False
    known = target.parent.manifest.reviewed
    return harvest.asks_for_a_version(known.pairs, known.digest)


def _adopt(state: State, wanted: Wanted, made: Version) -> None:
    parent = made.target.parent
    alone = made.target.is_own and sum(target.parent == parent for target in wanted.targets) == 1
    adopt(state, parent.number if parent is not None else None, made.manifest.version, alone=alone)


def _refused(state: State) -> int:
    return int(state.value("SELECT count(*) FROM refused"))


def _names(parent: Parent | None, targets: Sequence[Target]) -> list[str]:
    """Versions that are served; what is noted of them holds only together."""
    found = [parent, *(target.parent for target in targets)]
    return sorted({one.manifest.version for one in found if one is not None})


def parameters_of(settings: Settings) -> FitParameters:
    """How versions are fitted."""
    return replace(FIT, made=replace(FIT.made, photos=settings.catalog.made_photos))


def run_sync(request: SyncRequest, settings: Settings, progress: Progress = lambda *_: None) -> SyncReport:
    """Sync under the catalog's lock, with the running workers.

    Raises LockHeldError when another sync of the catalog is going on, UserError and PacksightError when this one fails.
    """
    Trust.of_publisher(settings).keyring.require_own()
    with ExitStack() as stack:
        store = stack.enter_context(closing(ObjectStore(settings.s3, pool_size=settings.fetch.threads + 4)))
        fleet = stack.enter_context(closing(Fleet(settings)))
        lease = stack.enter_context(sync_lock(fleet.redis, request.catalog))
        with noted(fleet.redis, request.catalog) as note:
            store.ensure_bucket()
            report = Sync(request, settings, store, fleet, QueueExtractor(settings, fleet), lease, progress).run()
            note(report)
            return report


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
