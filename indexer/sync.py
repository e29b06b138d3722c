"""A sync, from the shop's feed and photos to a published catalog version. It reads top to bottom.

Everything up to the pointer can be interrupted at any point and run again: photos are stored under their hash, what was
seen at their sources is in the source book, features are in packs, a version without a manifest is invisible.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Protocol

from packsight.indexer.build.version import build_version
from packsight.indexer.completion import complete, refused_of
from packsight.indexer.describe import Describer, Progress, QueueDescriber
from packsight.indexer.feed.extra_photos import extra_photos
from packsight.indexer.feed.source import read_offers
from packsight.indexer.fleet import NO_WORKERS, Fleet
from packsight.indexer.lock import sync_lock
from packsight.indexer.photos import fetch_photos
from packsight.indexer.plan import PhotoKey, Rows, Sighting, known_sightings, plan, refuse_loss, settle
from packsight.indexer.publish import check, prune, publish
from packsight.indexer.report import SyncReport, SyncRequest, first_failure, notes_of, report_of
from packsight.indexer.sightings import SourceBook
from packsight.shared.catalog.recipe import Recipe
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.catalog.tables import read_rows
from packsight.shared.catalog.versions import CatalogStore, Current
from packsight.shared.contract.errors import CatalogError, UserError
from packsight.shared.settings import Settings
from packsight.shared.storage.feature_store import FeatureStore
from packsight.shared.storage.objects import ObjectStore
from packsight.shared.vision.models import describe_key


class _Lease(Protocol):
    def check(self) -> None: ...


def run_sync(request: SyncRequest, settings: Settings, progress: Progress = lambda *_: None) -> SyncReport:
    """Sync under the catalog's lock, with the running workers.

    Raises LockHeldError when another sync of the catalog is going on, UserError and PacksightError when this one fails.
    """
    with ExitStack() as stack:
        store = stack.enter_context(closing(ObjectStore(settings.s3, pool_size=settings.fetch.threads + 4)))
        fleet = stack.enter_context(closing(Fleet(settings)))
        lease = stack.enter_context(sync_lock(fleet.redis, request.catalog))
        store.ensure_bucket()
        return sync(
            request,
            settings,
            store=store,
            fleet=fleet,
            describer=lambda recipe: QueueDescriber(settings, fleet, recipe),
            lease=lease,
            progress=progress,
        )


def sync(
    request: SyncRequest,
    settings: Settings,
    *,
    store: ObjectStore,
    fleet: Fleet,
    describer: Callable[[Recipe], Describer],
    lease: _Lease,
    progress: Progress = lambda *_: None,
) -> SyncReport:
    """Bring one catalog in step with its feed; the caller holds the catalog's lock."""
    catalogs = CatalogStore(store, request.catalog)
    book = SourceBook(store, request.catalog)
    work = settings.home / "indexer" / request.catalog

    # What the shop wants, and how far that is from what is published.
    offers = read_offers(request.feed, settings, store)
    extras = extra_photos(request.photos, store) if request.photos else {}
    current = catalogs.current()
    parent = _open_parent(catalogs, current, work / "versions", force=request.force)
    parent_rows = _rows_of(parent)
    made = plan(offers, extras, parent_rows, feed=request.feed)
    if not request.force:
        refuse_loss(made, settings.catalog.max_loss)
    recipe = _recipe(fleet, parent)
    same_recipe = parent is not None and parent.manifest.recipe == recipe

    # What is at the sources of its photos now.
    known = known_sightings(parent_rows) | book.load()
    if request.force:
        known = {key: Sighting(s.sha256, s.validator) for key, s in known.items()}
    looked = 0

    def count(number: int) -> None:
        nonlocal looked
        looked += number
        progress("photos", looked, len(made.photos))

    fetched = fetch_photos(
        made.photos.values(),
        known,
        described={photo.sha256 for photo in parent_rows.photos} if same_recipe else frozenset(),
        feed=request.feed,
        extras=request.photos,
        settings=settings,
        store=store,
        book=book,
        progress=count,
    )
    seen = fetched.seen
    settled = settle(made, seen, refused_of(seen.values()))
    described = 0

    def worth_building() -> bool:
        return request.force or not (same_recipe and settled.rows.same_content(parent_rows))

    if worth_building():
        # Features of all its photos; those of photos never seen come from the workers.
        lease.check()
        whole = complete(
            made,
            seen,
            features=FeatureStore(store, describe_key(recipe.embedder, recipe.spotter), settings.home),
            describer=describer(recipe),
            store=store,
            book=book,
            progress=progress,
        )
        settled, seen, described = whole.settled, whole.seen, whole.described

    # A new version, unless nothing is new or what is new could not be used.
    version = current.version if current is not None else None
    changed = worth_building()
    if changed:
        if not request.force:
            refuse_loss(made, settings.catalog.max_loss, settled.bare)
        if not settled.rows.photos:
            raise UserError(f"No photo can be used, so nothing was published. {first_failure(settled)}")
        lease.check()
        progress("built", 0, 1)
        build = _emptied(work / "build")
        build_version(
            build,
            catalog=request.catalog,
            parent=parent,
            products=settled.rows.products,
            photos=settled.rows.photos,
            features=whole.features,
            recipe=recipe,
            notes=notes_of(made, settled),
        )
        manifest = check(build, parent.manifest if parent is not None else None, force=request.force)
        progress("built", 1, 1)
        publish(catalogs, build, manifest, current, lease.check)
        version = manifest.version
        fleet.announce(request.catalog)
        # The next sync finds its parent here instead of downloading it.
        build.rename(_emptied(work / "versions") / version)
    # Also when nothing is new: the sync before may have been interrupted here.
    prune(catalogs, settings.catalog.keep_versions, [*fleet.recipes(), *fleet.former_recipes()])
    book.rewrite(_worth_keeping(seen, settled.rows if changed else parent_rows))
    return report_of(
        request, made, settled, version=version, published=changed, fetched=fetched.downloads, described=described
    )


def _emptied(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _open_parent(catalogs: CatalogStore, current: Current | None, folder: Path, *, force: bool) -> Snapshot | None:
    if current is None:
        return None
    try:
        return Snapshot.open(catalogs.download(current.version, folder))
    except CatalogError as error:
        if force:
            return None
        raise UserError(
            f"The published version cannot be read: {error} Roll back with `packsight catalog rollback VERSION`, "
            "or build the catalog anew with `packsight catalog sync --force`."
        ) from None


def _rows_of(parent: Snapshot | None) -> Rows:
    return Rows() if parent is None else Rows(*read_rows(parent.folder))


def _recipe(fleet: Fleet, parent: Snapshot | None) -> Recipe:
    """Recipe of the running workers; without workers that of the parent: a change of words can still be published."""
    recipes = fleet.recipes()
    if recipes:
        return recipes[0]
    if parent is None:
        raise UserError(NO_WORKERS)
    return parent.manifest.recipe


def _worth_keeping(seen: dict[PhotoKey, Sighting], published: Rows) -> dict[PhotoKey, Sighting]:
    """Sightings that the rows of the published version do not tell already."""
    told = known_sightings(published)
    return {key: s for key, s in seen.items() if s.sha256 and told.get(key) != s}
