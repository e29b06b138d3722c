"""What comes back: one typed outcome per image, always."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from packsight.shared.contract.errors import ADVICE, ErrorCode, ImageError, PacksightError


class _Value(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Status(StrEnum):
    """The four endings of an image."""

    MATCHED = "matched"
    AMBIGUOUS = "ambiguous"
    NO_MATCH = "no_match"
    FAILED = "failed"


NOT_BEGUN = "its job was cancelled before it was worked on"
"""What is said of a photo that failed with ErrorCode.CANCELLED."""

STAGES = ("fetch", "cache", "decode", "barcode", "details", "lines", "embed", "spot", "match")
"""What an image goes through, in order; `cache` looks up what is known of its bytes from earlier, `lines` reads
those by which the likeliest products differ."""


Polygon = list[tuple[float, float]]
"""Corners (x, y) in pixels of the upright photo, in order around."""


class Product(_Value):
    """The product as the shop's feed names it."""

    id: str
    name: str
    vendor: str = ""
    url: str = ""
    picture: str = ""


class WordRead(_Value):
    """A line of text read on the photo."""

    text: str
    confidence: float
    box: list[tuple[float, float]]
    """Four corners (x, y) in pixels of the upright photo, clockwise from the text's top left."""


class WordEvidence(_Value):
    """A word that speaks for a candidate."""

    read: str
    expected: str
    rarity: float
    """Inverse document frequency in this catalog, in nats: ln(products / products with the word), smoothed."""
    similarity: float
    """1 for the same word, less for a misreading."""


class Evidence(_Value):
    """Why a candidate is where it is."""

    visual_similarity: float | None = None
    """Cosine to the product's nearest catalog photo after projection; None when it was not among the nearest."""
    nearest_photo: str | None = None
    word_score: float = 0.0
    """Share of the rarity of the words read that the candidate explains, 0 to 1."""
    words: list[WordEvidence] = Field(default_factory=list)
    missing_words: list[str] = Field(default_factory=list)
    """Words expected on the pack, telling it from its siblings, that were not read."""
    barcode: str | None = None
    """The candidate's barcode, where it was read on the photo: 8 digits of an EAN-8, else 13; a UPC with leading zeros."""
    inliers: int | None = None
    """Local features in geometric agreement with a photo of the product; None when they were not needed."""
    spanned: float | None = None
    """Share of that photo's print that they span, 0 to 1; None when no photo lies over this one."""


class Candidate(_Value):
    """A product with its probability and the evidence for it."""

    product: Product
    confidence: float
    evidence: Evidence
    region: Polygon | None = None
    """Where it would be on the photo; None where nothing tells."""


class Failure(_Value):
    """Why an image has no answer, and what to do about it."""

    code: ErrorCode
    message: str
    remedy: str
    retryable: bool
    retry_after: float | None = None
    """Seconds that the photo's server asked to wait before it is asked again; None when it did not."""

    @classmethod
    def of(cls, error: PacksightError) -> Failure:
        """Turn an expected error into its wire form."""
        wait = (error.pause or None) if isinstance(error, ImageError) else None
        return cls(code=error.code, message=error.message, remedy=error.remedy, retryable=error.retryable, retry_after=wait)

    @classmethod
    def unexpected(cls, error: Exception) -> Failure:
        """Turn a surprise into its wire form; the text of the error stays in the log."""
        return cls.of_code(ErrorCode.INTERNAL, f"{type(error).__name__} while working on this photo")

    @classmethod
    def of_code(cls, code: ErrorCode, message: str) -> Failure:
        """Describe what happened by its code, with the remedy that this code has everywhere."""
        return cls(code=code, message=message, remedy=ADVICE[code].remedy, retryable=ADVICE[code].retryable)


class Provenance(_Value):
    """What an answer rests on."""

    catalog: str
    catalog_version: str | None = None
    embedder: str
    spotter: str


class Outcome(_Value):
    """The answer for one image.

    `product`, `confidence` and `region` are those of the first candidate when `status` is matched; `confidence` is the
    calibrated probability that the first candidate is the photo's product. Of several products on a photo, `product` is the
    surest.
    """

    version: Literal[1] = 1
    image: str
    status: Status
    product: Product | None = None
    region: Polygon | None = None
    """Where the product is on the photo, when there is one and something tells."""
    confidence: float = 0.0
    products: list[Candidate] = Field(default_factory=list)
    """All products that were found, the surest first, each once: as many as the request's `max_products` at most."""
    candidates: list[Candidate] = Field(default_factory=list)
    reason: str = ""
    """One sentence for a person."""
    lacking: list[str] = Field(default_factory=list)
    """Why a product could not have been seen on the photo, the first the most: codes of `Lack`, those of later releases beside.

    Empty where it could have been, so that `no_match` always says something about the catalog.
    """
    words: list[WordRead] = Field(default_factory=list)
    words_complete: bool = True
    """False when reading stopped, or did not begin, because what was known had decided."""
    size: tuple[int, int] | None = None
    """Width and height of the upright photo in pixels."""
    sha256: str | None = None
    failure: Failure | None = None
    provenance: Provenance | None = None
    timings: dict[str, float] = Field(default_factory=dict)
    """Seconds per stage: those of STAGES; one that was spared is missing."""

    @field_validator("timings")
    @classmethod
    def _renamed(cls, timings: dict[str, float]) -> dict[str, float]:
        # Workers of release 0.1 call the look-up in the cache `recall`; readable until 0.3.
        return {"cache" if stage == "recall" else stage: seconds for stage, seconds in timings.items()}

    @classmethod
    def failed(cls, image: str, failure: Failure) -> Outcome:
        """The ending of an image of which nothing is known but why."""
        return cls(image=image, status=Status.FAILED, reason=failure.message, failure=failure)


class Result(_Value):
    """What a task is answered with; tasks return the model itself, and the result backend stores its JSON."""

    def stored(self) -> str:
        """JSON as it is kept, without what is None."""
        return self.model_dump_json(exclude_none=True)

    def __json__(self) -> dict[str, Any]:
        """Let kombu's serializer hand it on to the tasks that follow."""
        return self.model_dump(mode="json", exclude_none=True)

    def __repr__(self) -> str:
        """Say no reference: they may carry signatures, and this goes into Celery's events."""
        return f"{type(self).__name__}(...)"


class RecognizeResult(Result):
    """Result of `packsight.recognize`: outcomes in the order of the references."""

    version: Literal[1] = 1
    ends: dict[Status, int] = Field(default_factory=dict)
    """How many outcomes have each status: before them, so that the head of a stored result is enough to count them. Empty where a
    worker of an earlier release answered."""
    outcomes: list[Outcome]

    @classmethod
    def of(cls, outcomes: list[Outcome]) -> RecognizeResult:
        """Count outcomes and answer with them."""
        return cls(ends=dict(Counter(outcome.status for outcome in outcomes)), outcomes=outcomes)


class Described(_Value):
    """Ending of one photo of a `packsight.describe` batch."""

    image: str
    sha256: str | None = None
    pack: str | None = None
    """Shard of the feature store that holds this photo; None when there is a failure."""
    failure: Failure | None = None

    @classmethod
    def failed(cls, image: str, failure: Failure) -> Described:
        """The ending of an image of which nothing is known but why."""
        return cls(image=image, failure=failure)


class DescribeResult(Result):
    """Result of `packsight.describe`; the features themselves stand in the feature store."""

    version: Literal[1] = 1
    models: dict[str, str]
    """Fingerprints of what made the parts: `embedder`, `spotter`, `details`."""
    photos: list[Described]
