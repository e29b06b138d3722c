"""Reviewed photos with what is known of them, by which a version is calibrated."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from packsight.indexer.reviewed.parameters import ReviewedParameters
from packsight.shared.parameters import digest
from packsight.shared.storage.verdicts import Kind, PhotoReview, Reviewed, Verdict
from packsight.shared.vision.features import Features

_TELLING = frozenset((Kind.RIGHT, Kind.OTHER, Kind.ABSENT))


@dataclass(frozen=True, slots=True)
class Pair:
    """A photo and the product that it shows; empty: none of the catalog. sampled: whether it stands for all that are matched."""

    sha256: str
    product: str
    sampled: bool
    name: str
    image: str


@dataclass(frozen=True, slots=True)
class Pairs:
    """Those of a version, with features by sha256 of those that could be described."""

    pairs: tuple[Pair, ...] = ()
    features: Mapping[str, Features] = field(default_factory=dict)
    name: str = ""
    """Names them, what is known of each and the rules; empty for none."""

    @property
    def described(self) -> list[Pair]:
        """Those that can be asked about."""
        return [pair for pair in self.pairs if pair.sha256 in self.features]


NO_PAIRS = Pairs()


def pairs_of(reviewed: Reviewed, now: datetime, parameters: ReviewedParameters) -> tuple[Pair, ...]:
    """The newest verdicts on which nobody disagrees, of the sample and of the rest apart, in the order of the hashes."""
    settled = (one for one in reviewed.photos.values() if not one.disputed)
    telling = [_pair(one) for one in settled if one.verdict.kind in _TELLING and not _is_old(one.verdict, now, parameters)]
    chosen = []
    for sampled in True, False:
        chosen += [pair for pair in telling if pair.sampled is sampled][-parameters.pairs :]
    return tuple(sorted(chosen, key=lambda pair: pair.sha256))


def _is_old(verdict: Verdict, now: datetime, parameters: ReviewedParameters) -> bool:
    return verdict.kind is Kind.ABSENT and verdict.at < now - timedelta(days=parameters.absent_days)


def _pair(review: PhotoReview) -> Pair:
    said = review.verdict
    return Pair(said.sha256, said.product, review.drawn is not None, said.name, said.image)


def digest_of(pairs: Sequence[Pair], parameters: ReviewedParameters) -> str:
    """Name of what a version was calibrated by; empty for nothing."""
    if not pairs:
        return ""
    text = "\n".join(f"{pair.sha256} {pair.product} {pair.sampled}" for pair in pairs)
    return hashlib.sha256(f"{digest(parameters)}\n{text}".encode()).hexdigest()[:16]
