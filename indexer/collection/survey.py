"""Look at every object of packsight's bucket and say why it is there. Nothing is changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from packsight.indexer.collection.ages import Ages
from packsight.indexer.collection.marks import Marks
from packsight.indexer.collection.needs import CatalogNeeds, is_hash, made_photos, read_needs, source_of, wanted_uploads
from packsight.indexer.collection.piles import Pile, Piles
from packsight.shared.catalog.manifest import MANIFEST, Manifest
from packsight.shared.catalog.recipe import Recipe
from packsight.shared.catalog.versions import catalog_names, named_parts
from packsight.shared.storage import layout
from packsight.shared.storage.objects import ObjectStore


@dataclass(frozen=True, slots=True)
class VersionSize:
    """How much of a version is its own, and how much it shares with others."""

    catalog: str
    version: str
    own: int
    shared: int


@dataclass(frozen=True, slots=True)
class Survey:
    """What was found; `photos` are all that are needed, those that were made among them."""

    piles: Sequence[Pile]
    versions: Sequence[VersionSize]
    photos: Marks
    makers: frozenset[str]
    """Fingerprints of what makes features that are needed."""
    jobs: frozenset[str]
    """Jobs that are kept, whose uploads are in no pile that goes."""
    notes: tuple[str, ...]


def survey(
    store: ObjectStore,
    ages: Ages,
    recipes: Iterable[Recipe],
    active: Collection[str],
    at_work: Mapping[str, str],
) -> Survey:
    """Sort all objects by who needs them.

    recipes: of the workers that are up. active: jobs that are under way. at_work: catalogs that are being synced by
    somebody else, each with a sentence; what they may be at work with does not go. Raises CatalogError and StorageError
    when it cannot be known what is needed.
    """
    needs = [read_needs(store, name) for name in sorted(catalog_names(store))]
    notes = [*at_work.values(), *(sentence for one in needs for sentence in one.unreadable)]
    certain = not notes
    piles = Piles()
    for one in needs:
        _catalog(store, one, piles, certain=one.name not in at_work and not one.unreadable)
    photos, sources = _together(one.photos for one in needs), _together(one.sources for one in needs)
    there = _photos(store, ages, photos, sources, piles, certain=certain)
    reviewed = {key for one in needs for sha, key in one.reviewed.items() if sha not in there}
    makers = frozenset(maker for recipe in recipes for maker in recipe.parts.values()).union(*(one.makers for one in needs))
    _features(store, ages, makers, piles, certain=certain)
    jobs = _jobs(store, ages, active, reviewed, piles)
    for room, why in (
        (layout.MODELS, "networks of 8-bit integers"), (layout.INCOMING, "put here by others"),
        (layout.REVIEWS, "what people said of answers"), (layout.DELETIONS, "names of catalogs that were deleted"),
    ):  # fmt: skip
        for found in store.listed(room):
            piles.put(room, found, why)
    made = Marks(made_photos(store, photos | sources).values())
    sizes = [size for one in needs for size in version_sizes(one.versions)]
    return Survey(piles.all(), sizes, photos | sources | made, makers, jobs, tuple(notes))


def _together(marks: Iterable[Marks]) -> Marks:
    found = Marks()
    for one in marks:
        found = found | one
    return found


def _catalog(store: ObjectStore, needs: CatalogNeeds, piles: Piles, *, certain: bool) -> None:
    room = layout.catalog(needs.name)
    users = Counter(sha for version in needs.versions for sha in named_parts([version]))
    parts, versions = layout.part(needs.name), layout.versions(needs.name)
    whole = {version.version for version in needs.versions}
    for found in store.listed(room):
        if found.key.startswith(parts):
            count = users[found.key.removeprefix(parts)]
            why = "parts of several versions" if count > 1 else "parts of one version" if count else "parts of no version"
            piles.put(room, found, why, goes=certain and not count)
        elif found.key.startswith(versions):
            version, _, name = found.key.removeprefix(versions).partition("/")
            told = "told of versions" if version in whole else "of versions without a manifest"
            piles.put(room, found, "manifests" if name == MANIFEST else told)
        elif found.key == layout.pictures(needs.name):
            piles.put(room, found, "what was seen at the sources of photos")
        else:
            piles.put(room, found, "the catalog's own")


def version_sizes(versions: Sequence[Manifest]) -> list[VersionSize]:
    """Own and shared bytes of each version of a catalog."""
    sizes = [{one.sha256: one.size for entry in version.files.values() for one in entry.objects} for version in versions]
    users = Counter(sha for files in sizes for sha in files)
    return [
        VersionSize(
            version.catalog,
            version.version,
            sum(size for sha, size in files.items() if users[sha] == 1),
            sum(size for sha, size in files.items() if users[sha] > 1),
        )
        for version, files in zip(versions, sizes, strict=True)
    ]


def _photos(store: ObjectStore, ages: Ages, photos: Marks, sources: Marks, piles: Piles, *, certain: bool) -> Marks:
    """Returns the hashes of those that are there and stay."""
    stay: list[str] = []
    for room in (layout.PHOTOS, layout.MADE):
        for found in store.listed(room):
            name = found.key.removeprefix(room) if room == layout.PHOTOS else source_of(found.key)
            if not is_hash(name):
                piles.put(room, found, "not packsight's")
                continue
            if name in photos:
                piles.put(room, found, "of versions")
            elif name in sources:
                piles.put(room, found, "seen at the sources of photos, or reviewed")
            else:
                piles.put(room, found, "of no version", goes=certain and ages.is_over(found, ages.photos))
                continue
            if room == layout.PHOTOS:
                stay.append(name)
    return Marks(stay)


def _features(store: ObjectStore, ages: Ages, makers: Collection[str], piles: Piles, *, certain: bool) -> None:
    """By who made them; which rows of those that are needed are, the packs themselves tell (collection.packs)."""
    for folder, group in groupby(store.listed(layout.FEATURES), lambda found: found.key.rpartition("/")[0]):
        packs = list(group)
        if set(folder.rpartition("/")[2].split("+")) & set(makers):
            why, goes = "made as versions or workers need it", False
        else:
            why = "made in former ways"
            goes = certain and all(ages.is_over(found, ages.features) for found in packs)
        for found in packs:
            piles.put(layout.FEATURES, found, why, goes=goes)


def _jobs(
    store: ObjectStore, ages: Ages, active: Collection[str], reviewed: Collection[str], piles: Piles
) -> frozenset[str]:
    """Returns those that are kept. reviewed: keys of uploads that people reviewed and no sync has taken in."""
    kept: list[str] = []
    for job, group in groupby(store.listed(layout.JOBS), lambda found: found.key.removeprefix(layout.JOBS).partition("/")[0]):
        files = list(group)
        whole = any(found.key == layout.job(job, MANIFEST) for found in files)
        goes = job not in active and all(ages.is_over(found, ages.jobs) for found in files)
        if whole and not goes:
            kept.append(job)
        why = "under way" if job in active else "ended" if whole else "without a manifest"
        files.sort(key=lambda found: not found.key.endswith(f"/{MANIFEST}"))  # first, so that no reader meets half of a job
        for found in files:
            piles.put(layout.JOBS, found, why, goes=goes)
    wanted = wanted_uploads(store, kept)
    for found in store.listed(layout.UPLOADS):
        why = "of jobs" if found.key in wanted else "reviewed" if found.key in reviewed else ""
        goes = not why and ages.is_over(found, ages.uploads)
        piles.put(layout.UPLOADS, found, why or "of no job that is kept", goes=goes)
    return frozenset(kept)


def unneeded(found: Iterable[Pile]) -> list[Pile]:
    """Piles that go."""
    return [pile for pile in found if pile.goes]


def total(piles: Iterable[Pile]) -> tuple[int, int]:
    """Objects and bytes of some piles."""
    chosen = list(piles)
    return sum(pile.objects for pile in chosen), sum(pile.bytes for pile in chosen)


