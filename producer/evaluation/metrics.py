"""Measures of recognition quality: pure functions of labelled answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import sqrt
from statistics import fmean

from packsight.shared.contract.outcomes import Status

Z95 = 1.959964
"""Standard normal quantile of a two-sided 95 % interval."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A labelled photo and what was answered.

    `product_id` is empty when the catalog does not hold the product; `nearest_id` is then its closest sibling, and
    `product_id` else. `candidates` are the product ids by falling confidence; `confidence` is that of the first.
    """

    image: str
    product_id: str
    nearest_id: str
    kinds: tuple[str, ...]
    status: Status
    candidates: tuple[str, ...]
    confidence: float
    failure: str = ""
    reference: str = ""
    """Where the photo's bytes are."""
    nearest_photo: str = ""
    """sha256 of the first candidate's photo that looks most like it."""

    @property
    def present(self) -> bool:
        """Whether the catalog holds the product."""
        return bool(self.product_id)

    @property
    def predicted(self) -> str:
        """The first candidate's id, or empty."""
        return self.candidates[0] if self.candidates else ""

    @property
    def first_right(self) -> bool:
        """Whether the first candidate is the product, whatever the status."""
        return self.present and self.predicted == self.product_id

    @property
    def matched(self) -> bool:
        """Whether the answer names a product."""
        return self.status is Status.MATCHED

    @property
    def correct(self) -> bool:
        """First candidate right where the catalog holds the product; not matched where it does not."""
        return self.first_right if self.present else not self.matched


@dataclass(frozen=True, slots=True)
class Share:
    """k of n with the 95 % interval; value and interval are None when n is 0."""

    k: int
    n: int
    value: float | None = field(init=False)
    interval: tuple[float, float] | None = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", self.k / self.n if self.n else None)
        object.__setattr__(self, "interval", wilson(self.k, self.n) if self.n else None)


def wilson(k: int, n: int, z: float = Z95) -> tuple[float, float]:
    """Score interval of a binomial share (Wilson, Probable inference, JASA 22, 1927); n must be positive."""
    share = k / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, middle - half), min(1.0, middle + half)


@dataclass(frozen=True, slots=True)
class Bin:
    """Answers whose confidence lies from `low` to `high`: how many, their mean confidence, and the share of right ones."""

    low: float
    high: float
    count: int
    confidence: float
    accuracy: Share


def reliability(confidences: Sequence[float], right: Sequence[bool], bins: int = 10) -> list[Bin]:
    """Confidence against accuracy over equally wide bins; empty bins are left out.

    Niculescu-Mizil and Caruana, Predicting good probabilities with supervised learning, 2005.
    """
    inside: dict[int, list[tuple[float, bool]]] = {}
    for confidence, hit in zip(confidences, right, strict=True):
        inside.setdefault(min(int(confidence * bins), bins - 1), []).append((confidence, hit))
    found = []
    for number, answers in sorted(inside.items()):
        mean = fmean(confidence for confidence, _ in answers)
        accuracy = Share(sum(hit for _, hit in answers), len(answers))
        found.append(Bin(number / bins, (number + 1) / bins, len(answers), mean, accuracy))
    return found


def expected_calibration_error(confidences: Sequence[float], right: Sequence[bool], bins: int = 10) -> float | None:
    """Mean distance of confidence from accuracy over equally wide bins, weighted by their photos; None without photos.

    Guo et al., On calibration of modern neural networks, 2017, equation 3.
    """
    found = reliability(confidences, right, bins)
    gaps = [one.count * abs(one.confidence - (one.accuracy.value or 0.0)) for one in found]
    return sum(gaps) / len(confidences) if found else None


@dataclass(frozen=True, slots=True)
class Summary:
    """Quality over a set of labelled photos; `present` and `absent` tell whether the catalog holds the product."""

    count: int
    present: int
    absent: int
    failed: int
    top1: Share
    """First candidate right, over present."""
    top5: Share
    """Product among the first five candidates, over present."""
    top1_nearest: Share
    """First candidate is `nearest_id`, over all photos that have one."""
    absent_rejected: Share
    """Answered, and not as matched, over absent that could be looked at."""
    present_rejected: Share
    """Not answered as matched, over present."""
    precision: Share
    """Right product, over all answered as matched."""
    recall: Share
    """Answered as matched with the right product, over present."""
    calibration_error: float | None
    """Expected calibration error of the first candidate's confidence, photos without a candidate left out."""


def summarise(answers: Sequence[Answer]) -> Summary:
    """Measure a set of answers."""

    def share(of: Sequence[Answer], test: Callable[[Answer], bool]) -> Share:
        return Share(sum(map(test, of)), len(of))

    present = [answer for answer in answers if answer.present]
    absent = [answer for answer in answers if not answer.present]
    matched = [answer for answer in answers if answer.matched]
    return Summary(
        count=len(answers),
        present=len(present),
        absent=len(absent),
        failed=sum(answer.status is Status.FAILED for answer in answers),
        top1=share(present, lambda a: a.first_right),
        top5=share(present, lambda a: a.product_id in a.candidates[:5]),
        top1_nearest=share([a for a in answers if a.nearest_id], lambda a: a.predicted == a.nearest_id),
        absent_rejected=share([a for a in absent if a.status is not Status.FAILED], lambda a: not a.matched),
        present_rejected=share(present, lambda a: not a.matched),
        precision=share(matched, lambda a: a.first_right),
        recall=share(present, lambda a: a.matched and a.first_right),
        calibration_error=expected_calibration_error(*_ranked(answers)),
    )


def reliability_of(answers: Sequence[Answer]) -> list[Bin]:
    """The bins behind a summary's calibration error."""
    return reliability(*_ranked(answers))


def _ranked(answers: Sequence[Answer]) -> tuple[list[float], list[bool]]:
    """Confidence of the first candidate, and whether it is right, of the photos that have one."""
    ranked = [answer for answer in answers if answer.candidates]
    return [answer.confidence for answer in ranked], [answer.first_right for answer in ranked]


def confusions(answers: Sequence[Answer]) -> list[tuple[tuple[str, str], list[Answer]]]:
    """Wrong answers by (right product or empty, product taken for it), the most frequent pair first."""
    pairs: dict[tuple[str, str], list[Answer]] = {}
    for answer in answers:
        if not answer.correct and answer.candidates:
            pairs.setdefault((answer.product_id, answer.predicted), []).append(answer)
    return sorted(pairs.items(), key=lambda pair: (-len(pair[1]), pair[0]))


def by_kind(answers: Sequence[Answer]) -> dict[str, Summary]:
    """Measure each kind apart, in order of their names; a photo of several kinds counts in each."""
    kinds = sorted({kind for answer in answers for kind in answer.kinds})
    return {kind: summarise([answer for answer in answers if kind in answer.kinds]) for kind in kinds}
