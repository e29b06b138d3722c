"""What a job's index has of the outcomes of a batch: validated by themselves, since most of an outcome is not in it."""

from __future__ import annotations

import contextlib
import json
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from packsight.producer.collect import rows_of
from packsight.producer.rows import Row
from packsight.shared.catalog.words.normalise import tokens
from packsight.shared.contract.errors import ErrorCode
from packsight.shared.contract.outcomes import Outcome, Status
from packsight.shared.queue.results import TaskEnd
from packsight.shared.storage.jobs import Batch, JobImage


class _Some(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, from_attributes=True)


class _Named(_Some):
    id: str
    name: str
    vendor: str = ""


class _Offered(_Some):
    product: _Named


class _Read(_Some):
    text: str


class _Coded(_Some):
    code: ErrorCode
    retryable: bool


class Told(_Some):
    """As much of an outcome as the index has: the whole of it costs ten times as much to read."""

    image: str
    status: Status
    sha256: str | None = None
    product: _Named | None = None
    confidence: float = 0.0
    candidates: list[_Offered] = Field(default_factory=list)
    lacking: list[str] = Field(default_factory=list)
    words: list[_Read] = Field(default_factory=list)
    failure: _Coded | None = None

    @classmethod
    def of(cls, outcome: Outcome) -> Told:
        """The same of an outcome that was read whole."""
        return cls.model_validate(outcome)


Photo = tuple[int, JobImage, Told]
"""Its place in the job, what was submitted, what was answered."""
_OUTCOMES = TypeAdapter(list[Told])


def told_of(batch: Batch, end: TaskEnd) -> list[Photo]:
    """What a batch's photos were answered."""
    told: list[Told] = []
    if end.result is not None:
        with contextlib.suppress(ValidationError):
            told = _OUTCOMES.validate_python(end.result.get("outcomes"))
    if len(told) != len(batch.images):
        told = [Told.of(row.outcome) for row in rows_of(batch, end)]
    return [(batch.first + at, image, one) for at, (image, one) in enumerate(zip(batch.images, told, strict=True))]


def photo_of(row: Row) -> Photo:
    """A photo that no worker was asked about."""
    image = JobImage(reference=row.outcome.image or "?", name=row.name, extra=dict(row.extra))
    return row.index, image, Told.of(row.outcome)


def values_of(place: int, image: JobImage, told: Told) -> tuple[Any, ...]:
    """The row of a photo, in the order of the index's columns."""
    first = told.product or (told.candidates[0].product if told.candidates else None)
    own = [image.name, *image.extra.values()]
    words = [*(word.text for word in told.words), *own, *((first.name, first.vendor, first.id) if first else ())]
    keys = dict.fromkeys(token.key for token in tokens("\n".join(words)))
    return (
        place, image.name, told.image, told.sha256 or image.sha256, json.dumps(image.extra), told.status.value,
        first.id if first else "", first.name if first else "", told.confidence, 4 * told.confidence * (1 - told.confidence),
        told.failure.code.value if told.failure else "", bool(told.failure and told.failure.retryable),
        " ".join(told.lacking), " ".join(own).casefold(), f" {' '.join(keys)}",
    )  # fmt: skip
