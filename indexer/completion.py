"""Give every photo of the coming version its features; photos that cannot be described are replaced or left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from packsight.indexer.extraction import Extractor
from packsight.indexer.state import resolution
from packsight.indexer.state.database import State
from packsight.shared.catalog.recipe import Recipe
from packsight.shared.contract.errors import ErrorCode
from packsight.shared.contract.messages import Part
from packsight.shared.contract.outcomes import Failure
from packsight.shared.storage import layout
from packsight.shared.storage.feature_store import FeatureStore, FeatureView
from packsight.shared.storage.objects import ObjectStore

Progress = Callable[[str, int, int], None]
"""Called with the name of a step, how much of it is done, and how much there is."""

_ABOUT_THE_BYTES = frozenset(
    {
        ErrorCode.FILE_EMPTY,
        ErrorCode.FORMAT_UNSUPPORTED,
        ErrorCode.FILE_TOO_LARGE,
        ErrorCode.IMAGE_TRUNCATED,
        ErrorCode.IMAGE_TOO_MANY_PIXELS,
        ErrorCode.IMAGE_TOO_SMALL,
        ErrorCode.IMAGE_BROKEN,
        ErrorCode.WORKER_KILLED,
        ErrorCode.WORKER_LOST,
        ErrorCode.TIME_LIMIT,
    }
)
"""Failures that the same bytes meet again; they are kept, so that these are not described at every sync."""


@dataclass(frozen=True, slots=True)
class Completed:
    """Features of all photos of a version."""

    features: FeatureView
    described: int
    """Photos of which at least a part had to be made."""


def complete(
    state: State,
    parent: int,
    recipe: Recipe,
    *,
    features: FeatureStore,
    extractor: Extractor,
    store: ObjectStore,
    progress: Progress,
) -> Completed:
    """Make what the store lacks of the photos that are resolved.

    Each batch is durable when it ends, so an interrupted run is resumed.

    It may take more than one round: a photo that cannot be described gives way to the one the parent has, which needs
    features of this recipe too. parent: number of the version before.
    """
    published = state.rows("SELECT DISTINCT sha256 FROM published_photos WHERE version = ?", parent)
    wanted = {sha for (sha,) in state.rows("SELECT DISTINCT sha256 FROM resolved")}
    view = FeatureView(features, wanted.union(sha for (sha,) in published))
    asked: set[str] = set()
    described = 0
    while True:
        with state.transaction():
            resolution.resolve(state, parent)
            resolution.put_in_order(state)
        # In the order of the products, so that neighbours in the version are neighbours in a shard.
        lacking = [sha for sha in resolution.hashes(state) if sha not in view]
        if not lacking:
            return Completed(view, described)
        failed = {sha: _unanswered() for sha in lacking if sha in asked}
        if new := [sha for sha in lacking if sha not in asked]:
            asked.update(new)
            places = {sha: layout.address(store.bucket, layout.photo(sha)) for sha in new}
            answered = extract(places, view, recipe, extractor, progress)
            described += len(new) - len(answered)
            failed |= answered
            view.refresh()
        with state.transaction():
            resolution.refuse(state, failed, [sha for sha, failure in failed.items() if failure.code in _ABOUT_THE_BYTES])
            lost = [sha for sha, failure in failed.items() if failure.code is ErrorCode.OBJECT_MISSING]
            state.many("UPDATE pictures SET due = 0 WHERE sha256 = ?", ((sha,) for sha in lost))  # to be downloaded again


def extract(
    places: Mapping[str, str], view: FeatureView, recipe: Recipe, extractor: Extractor, progress: Progress
) -> dict[str, Failure]:
    """Have the missing parts of photos made; return those that failed or had no answer, and why.

    places: references to the photos, by their sha256. The view sees what was made after its next `refresh`.
    """
    groups: dict[tuple[Part, ...], list[str]] = {}
    for sha in places:
        groups.setdefault(view.missing(sha), []).append(sha)
    shas = {reference: sha for sha, reference in places.items()}
    failed: dict[str, Failure] = dict.fromkeys(places, _unanswered())
    ended = 0
    progress("described", ended, len(places))
    for parts, group in groups.items():
        for result in extractor.extract(recipe, [places[sha] for sha in group], parts):
            for photo in result.photos:
                failed.pop(shas[photo.image], None)
                if photo.failure is not None:
                    failed[shas[photo.image]] = photo.failure
            ended += len(result.photos)
            progress("described", ended, len(places))
    return failed


def _unanswered() -> Failure:
    return Failure.of_code(ErrorCode.INTERNAL, "the workers gave no features for it")
