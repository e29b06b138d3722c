"""Give every photo of the coming version its features; photos that cannot be described are replaced or left out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from packsight.indexer.extraction import Extractor
from packsight.indexer.plan import PhotoKey, Plan, ResolvedRows, SourceState, resolve
from packsight.indexer.source_states import SourceStates
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


def refused_bytes(states: Iterable[SourceState]) -> dict[str, Failure]:
    """Bytes, by sha256, of which it is known already that they cannot be described."""
    return {s.sha256: s.failure for s in states if s.sha256 and s.failure is not None}


@dataclass(frozen=True, slots=True)
class Completed:
    """Rows of a version whose photos all have features."""

    resolved: ResolvedRows
    states: dict[PhotoKey, SourceState]
    features: FeatureView
    described: int
    """Photos of which at least a part had to be made."""


def complete(
    plan: Plan,
    states: dict[PhotoKey, SourceState],
    recipe: Recipe,
    *,
    features: FeatureStore,
    extractor: Extractor,
    store: ObjectStore,
    sources: SourceStates,
    progress: Progress,
) -> Completed:
    """Make what the store lacks. Each batch is durable when it ends, so an interrupted run is resumed.

    It may take more than one round: a photo that cannot be described gives way to the one the parent has, which needs
    features of this recipe too.
    """
    refused = refused_bytes(states.values())
    view = FeatureView(
        features, {s.sha256 for s in states.values()} | {photo.sha256 for photo in plan.parent.photos}
    )
    asked: set[str] = set()
    described = 0
    while True:
        resolved = resolve(plan, states, refused)
        # In the order of the products, so that neighbours in the version are neighbours in a shard.
        lacking = [sha for sha in dict.fromkeys(photo.sha256 for photo in resolved.rows.photos) if sha not in view]
        if not lacking:
            return Completed(resolved, states, view, described)
        failed = {sha: _unanswered() for sha in lacking if sha in asked}
        if new := [sha for sha in lacking if sha not in asked]:
            asked.update(new)
            places = {sha: layout.address(store.bucket, layout.photo(sha)) for sha in new}
            answered = extract(places, view, recipe, extractor, progress)
            described += len(new) - len(answered)
            failed |= answered
            view.refresh()
        refused |= failed
        lasting = {sha: failure for sha, failure in failed.items() if failure.code in _ABOUT_THE_BYTES}
        told = {
            key: SourceState(s.sha256, s.validator, lasting[s.sha256])
            for key, s in states.items()
            if s.sha256 in lasting
        }
        sources.add(told)
        states = states | told


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
