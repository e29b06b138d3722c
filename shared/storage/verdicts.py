"""What people say of answers: a verdict a photo, and what all verdicts on a photo together come to.

Verdicts are never changed: whoever errs gives another one, or takes the last one back by one that says so. The latest that
stands counts. A verdict names the one that its giver knew of; where two people did not know of each other's and disagree, both
stand and the photo is *disputed* until one of them, or a third, has seen both.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from packsight.shared.contract.messages import CATALOG_NAME, Reference
from packsight.shared.contract.outcomes import Outcome, Status

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
VerdictId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
Short = Annotated[str, StringConstraints(max_length=500)]
NAME = 500
"""Characters of a product's name that are kept, and compared."""


class Kind(StrEnum):
    """What a verdict says."""

    RIGHT = "right"
    """The photo shows the product that came first, whether or not the answer was `matched`."""
    OTHER = "other"
    """It shows another product of the catalog."""
    ABSENT = "not_listed"
    """What it shows is not in the catalog."""
    BAD = "bad_photo"
    """Nobody could tell."""
    UNDONE = "undone"
    """The verdict that it follows is taken back."""


class Offered(StrEnum):
    """Why a person was asked about a photo. It decides what the verdict tells of all other answers."""

    UNSURE = "unsure"
    """The answer was unsure: it tells nothing of those that were sure."""
    SAMPLE = "sample"
    """It was drawn by lot among all that were `matched`: it stands for them."""
    CHOSEN = "chosen"
    """Somebody came upon it, say by a complaint: it tells of nothing but itself."""


class _Value(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Answered(_Value):
    """The answer that was reviewed."""

    status: Status
    product: Short = ""
    """Id of the first candidate, whatever the status; empty when there was none."""
    confidence: float = 0.0
    version: Short = ""
    """Of the catalog; empty where the outcome does not tell."""

    @classmethod
    def of(cls, outcome: Outcome) -> Answered:
        """What of an outcome a verdict keeps."""
        first = outcome.product or (outcome.candidates[0].product if outcome.candidates else None)
        version = outcome.provenance.catalog_version if outcome.provenance is not None else None
        return cls(
            status=outcome.status,
            product="" if first is None else first.id,
            confidence=outcome.confidence,
            version=version or "",
        )


def _new_id() -> str:
    return secrets.token_hex(16)


class Verdict(_Value):
    """What somebody said of the answer to one photo."""

    id: VerdictId = Field(default_factory=_new_id)
    """Whoever sends a verdict again under its id changes nothing."""
    catalog: Annotated[str, StringConstraints(pattern=CATALOG_NAME)]
    job: Short
    index: Annotated[int, Field(ge=0)]
    """Place of the photo in its job."""
    image: Reference
    """Where the photo was."""
    name: Short
    """What its producer calls it."""
    sha256: Sha256
    """Of its bytes: what a photo is known by, in whatever job."""
    answered: Answered
    kind: Kind
    product: Short = ""
    """Id of the product that the photo shows; of RIGHT and OTHER alone."""
    called: Short = ""
    """The product's name as the giver saw it; empty where that is not known. Ids may change, or come to name another product."""
    offered: Offered = Offered.CHOSEN
    by: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    at: AwareDatetime = Field(default_factory=lambda: datetime.now(UTC))
    after: VerdictId | None = None
    """The verdict on this photo that its giver knew of: what UNDONE takes back, and what any other one replaces."""

    @model_validator(mode="after")
    def _is_whole(self) -> Verdict:
        shows = self.kind in {Kind.RIGHT, Kind.OTHER}
        if shows != bool(self.product):
            raise ValueError(f"a verdict `{self.kind}` {'names the' if shows else 'names no'} product that the photo shows")
        if self.kind is Kind.RIGHT and self.product != self.answered.product:
            raise ValueError("a verdict `right` names the product that came first; `other` names another one")
        if self.kind is Kind.UNDONE and self.after is None:
            raise ValueError("a verdict `undone` names the one that it takes back")
        return self

    def agrees_with(self, other: Verdict) -> bool:
        """Whether another one says the same of the photo, whatever was answered."""
        if not self.product or not other.product:
            return self.kind == other.kind
        named_alike = not (self.called and other.called) or self.called == other.called or may_be_one(self.called, other.called)
        return self.product == other.product and named_alike

    @property
    def is_wrong(self) -> bool | None:
        """Whether the answer was wrong; None where the photo does not tell."""
        return None if self.kind in {Kind.BAD, Kind.UNDONE} else self.kind is not Kind.RIGHT


@dataclass(frozen=True, slots=True)
class PhotoReview:
    """What was said of a photo. verdict: the latest that stands; against: those of others that stand beside it and disagree.

    drawn: the latest verdict on it that somebody was asked for by lot and nobody took back, though others may have followed.
    """

    verdict: Verdict
    against: tuple[Verdict, ...] = ()
    drawn: Verdict | None = None

    @property
    def disputed(self) -> bool:
        """Whether people disagree who did not know of each other."""
        return bool(self.against)


@dataclass(frozen=True, slots=True)
class Reviewed:
    """What all verdicts on a catalog's answers come to: photos by sha256, in the order of their latest verdicts."""

    photos: Mapping[str, PhotoReview] = field(default_factory=dict)
    verdicts: frozenset[str] = frozenset()
    """Ids of all there are, those that no longer stand included."""

    @property
    def disputed(self) -> list[PhotoReview]:
        """Photos on which people disagree."""
        return [review for review in self.photos.values() if review.disputed]

    @property
    def settled(self) -> list[Verdict]:
        """The verdicts that count, of photos on which nobody disagrees."""
        return [review.verdict for review in self.photos.values() if not review.disputed]


def reviewed(verdicts: Iterable[Verdict]) -> Reviewed:
    """Find out which verdicts stand; the same one twice is one."""
    known = {verdict.id: verdict for verdict in verdicts}
    ordered = sorted(known.values(), key=_order)
    by_photo: dict[str, list[Verdict]] = {}
    for verdict in ordered:
        by_photo.setdefault(verdict.sha256, []).append(verdict)
    found = (review for given in by_photo.values() if (review := _of_photo(given)) is not None)
    photos = {review.verdict.sha256: review for review in sorted(found, key=lambda review: _order(review.verdict))}
    return Reviewed(photos, frozenset(known))


def last_said(verdicts: Iterable[Verdict]) -> dict[tuple[str, str], Verdict]:
    """What each person said last of each photo and did not take back, whatever others have said since: by sha256 and name.

    verdicts: all that there are, oldest first.
    """
    every = list(verdicts)
    taken_back = {verdict.after for verdict in every if verdict.kind is Kind.UNDONE}
    left = (verdict for verdict in every if verdict.kind is not Kind.UNDONE and verdict.id not in taken_back)
    return {(verdict.sha256, verdict.by): verdict for verdict in left}


def _of_photo(given: list[Verdict]) -> PhotoReview | None:
    """The verdicts on one photo, oldest first, of which those stand that are neither taken back nor knowingly replaced."""
    taken_back = {verdict.after for verdict in given if verdict.kind is Kind.UNDONE}
    left = [verdict for verdict in given if verdict.kind is not Kind.UNDONE and verdict.id not in taken_back]
    replaced = {verdict.after for verdict in left}
    standing = [verdict for verdict in left if verdict.id not in replaced]
    latest: dict[str, Verdict] = {}
    for verdict in standing:  # of each person one
        latest[verdict.by] = verdict
    if not latest:
        return None
    last = max(latest.values(), key=_order)
    drawn = next((one for one in reversed(left) if one.offered is Offered.SAMPLE), None)
    return PhotoReview(last, tuple(one for one in latest.values() if not one.agrees_with(last)), drawn)


def _order(verdict: Verdict) -> tuple[datetime, str]:
    return verdict.at, verdict.id


_NUMBERS, _WORDS, _PARTS = re.compile(r"\d+"), re.compile(r"[^\W\d_]{3,}"), re.compile(r"\d+|[^\W\d_]+")


def is_spelt_otherwise(name: str, other: str) -> bool:
    """Whether two names have the same words and numbers, in whatever order, case and punctuation."""
    one, two = (set(_PARTS.findall(each.casefold())) for each in (name, other))
    return bool(one) and one == two


def may_be_one(name: str, other: str) -> bool:
    """Whether two names may be one product's, where something else says so too: the same numbers, and half of the words."""
    numbers, words = ([set(kind.findall(one.casefold())) for one in (name, other)] for kind in (_NUMBERS, _WORDS))
    return numbers[0] == numbers[1] and 2 * len(words[0] & words[1]) >= max(1, *map(len, words))


_WHITE = re.compile(r"\s+")


def person(name: str) -> str:
    """A person's name as verdicts have it: white space put together, so that two spellings are one person."""
    return _WHITE.sub(" ", name).strip()[:200]
