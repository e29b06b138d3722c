"""Give every photo of the coming version its features; photos that cannot be described are replaced or left out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from packsight.indexer.describe import Describer, Progress
from packsight.indexer.feature_view import FeatureView
from packsight.indexer.plan import PhotoKey, Plan, Settled, Sighting, settle
from packsight.indexer.sightings import SourceBook
from packsight.shared.contract.errors import ErrorCode
from packsight.shared.contract.outcomes import Failure
from packsight.shared.storage import layout
from packsight.shared.storage.feature_store import FeatureStore
from packsight.shared.storage.objects import ObjectStore

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
        ErrorCode.TIME_LIMIT,
    }
)
"""Failures that the same bytes meet again; the book remembers them, so that these are not described at every sync."""


def refused_of(seen: Iterable[Sighting]) -> dict[str, Failure]:
    """Bytes, by sha256, of which it is known already that they cannot be described."""
    return {s.sha256: s.failure for s in seen if s.sha256 and s.failure is not None}


@dataclass(frozen=True, slots=True)
class Completed:
    """A version whose photos all have features."""

    settled: Settled
    seen: dict[PhotoKey, Sighting]
    features: FeatureView
    described: int


def complete(
    made: Plan,
    seen: dict[PhotoKey, Sighting],
    *,
    features: FeatureStore,
    describer: Describer,
    store: ObjectStore,
    book: SourceBook,
    progress: Progress,
) -> Completed:
    """Describe what has no features yet. Each batch is durable when it ends, so an interrupted run is resumed.

    It may take more than one round: a photo that cannot be described gives way to the one the parent has, which needs
    features of these models too.
    """
    refused = refused_of(seen.values())
    asked: set[str] = set()
    described = 0
    while True:
        settled = settle(made, seen, refused)
        wanted = {photo.sha256 for photo in settled.rows.photos}
        view = FeatureView(features, wanted)
        # In the order of the products, so that neighbours in the version are neighbours in a pack.
        missing = [sha for sha in dict.fromkeys(photo.sha256 for photo in settled.rows.photos) if sha not in view]
        if not missing:
            return Completed(settled, seen, view, described)
        failed = {sha: _unanswered() for sha in missing if sha in asked}
        if new := [sha for sha in missing if sha not in asked]:
            asked.update(new)
            answered = _describe(new, describer, store, progress)
            described += len(new) - len(answered)
            failed |= answered
        refused |= failed
        lasting = {sha: failure for sha, failure in failed.items() if failure.code in _ABOUT_THE_BYTES}
        told = {
            key: Sighting(s.sha256, s.validator, lasting[s.sha256]) for key, s in seen.items() if s.sha256 in lasting
        }
        book.add(told)
        seen = seen | told


def _describe(photos: list[str], describer: Describer, store: ObjectStore, progress: Progress) -> dict[str, Failure]:
    """Have photos described; return those that failed or had no answer, and why."""
    prefix = layout.address(store.bucket, layout.photo(""))
    failed: dict[str, Failure] = dict.fromkeys(photos, _unanswered())
    ended = 0
    for result in describer.describe([prefix + sha for sha in photos]):
        for photo in result.photos:
            sha = photo.image.removeprefix(prefix)
            failed.pop(sha, None)
            if photo.failure is not None:
                failed[sha] = photo.failure
        ended += len(result.photos)
        progress("described", ended, len(photos))
    return failed


def _unanswered() -> Failure:
    return Failure.of_code(ErrorCode.INTERNAL, "the workers gave no features for it")
