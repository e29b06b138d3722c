"""What a batch adds to the figures, read from its answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from packsight.shared.contract.outcomes import STAGES, DescribeResult, RecognizeResult, Result, Status
from packsight.shared.metrics import table
from packsight.shared.metrics.table import Sample


def samples_of(result: Result) -> Iterator[Sample]:
    """Figures of a batch that has its result."""
    if isinstance(result, RecognizeResult):
        yield from _recognised(result)
    elif isinstance(result, DescribeResult):
        codes = Counter(photo.failure.code.value if photo.failure else "" for photo in result.photos)
        for code, count in codes.items():
            yield table.DESCRIBED.of(code, value=count)


def _recognised(result: RecognizeResult) -> Iterator[Sample]:
    endings = Counter(
        (outcome.status.value, outcome.failure.code.value if outcome.failure else "") for outcome in result.outcomes
    )
    for (status, code), count in endings.items():
        yield table.PHOTOS.of(status, code, value=count)
    for outcome in result.outcomes:
        for stage in STAGES:
            if (seconds := outcome.timings.get(stage)) is not None:
                yield table.PHOTO_SECONDS.of(stage, value=seconds)
        if "cache" in outcome.timings:
            # Whatever is known of a photo, it is decoded for nothing else.
            yield table.CACHE.of("no" if "decode" in outcome.timings else "yes")
        if outcome.status is not Status.FAILED:
            yield table.PHOTO_WORDS.of(value=len(outcome.words))
