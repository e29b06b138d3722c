"""Measures of recognition quality: pure functions of labelled answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from packsight.producer.evaluation.calibration import Bin, calibration_band, expected_calibration_error, reliability
from packsight.shared.contract.outcomes import Status
from packsight.shared.shares import Share


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
    timings: Mapping[str, float] = field(default_factory=dict)
    """Seconds per stage that ran for it; empty when it was not asked over the queue."""
    version: str = ""
    """Catalog version that answered; empty where none did."""

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
    def failed(self) -> bool:
        """Whether there is no answer, since the photo could not be looked at."""
        return self.status is Status.FAILED

    @property
    def automated(self) -> bool:
        """Whether nobody has to look: matched, and right."""
        return self.matched and self.first_right

    @property
    def settled(self) -> bool:
        """Whether the answer is what it should be: automated where the catalog holds the product, else given and not matched."""
        return self.automated if self.present else not (self.matched or self.failed)

    @property
    def correct(self) -> bool | None:
        """First candidate right where the catalog holds the product; not matched where it does not.

        As `top1` and `absent_rejected` count it: a photo that failed has no candidate that is right, and says nothing of whether
        an absent product is told apart: None.
        """
        if self.present:
            return self.first_right
        return None if self.failed else not self.matched


@dataclass(frozen=True, slots=True)
class Summary:
    """Quality over a set of labelled photos; `present` and `absent` tell whether the catalog holds the product."""

    count: int
    present: int
    absent: int
    failed: int
    automation: Share
    """Answered as matched with the right product, over present."""
    precision: Share
    """Right product, over all answered as matched."""
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
        failed=sum(answer.failed for answer in answers),
        automation=share(present, lambda a: a.automated),
        precision=share(matched, lambda a: a.first_right),
        top1=share(present, lambda a: a.first_right),
        top5=share(present, lambda a: a.product_id in a.candidates[:5]),
        top1_nearest=share([a for a in answers if a.nearest_id], lambda a: a.predicted == a.nearest_id),
        absent_rejected=share([a for a in absent if not a.failed], lambda a: not a.matched),
        present_rejected=share(present, lambda a: not a.matched),
        calibration_error=expected_calibration_error(*_ranked(answers)),
    )


def reliability_of(answers: Sequence[Answer]) -> list[Bin]:
    """The bins behind a summary's calibration error."""
    return reliability(*_ranked(answers))


def band_of(answers: Sequence[Answer]) -> tuple[float, float] | None:
    """The calibration errors that a calibrated system with a summary's confidences would have, by chance alone."""
    return calibration_band(_ranked(answers)[0])


def _ranked(answers: Sequence[Answer]) -> tuple[list[float], list[bool]]:
    """Confidence of the first candidate, and whether it is right, of the photos that have one."""
    ranked = [answer for answer in answers if answer.candidates]
    return [answer.confidence for answer in ranked], [answer.first_right for answer in ranked]


def confusions(answers: Sequence[Answer]) -> list[tuple[tuple[str, str], list[Answer]]]:
    """Wrong answers by (right product or empty, product taken for it), the most frequent pair first."""
    pairs: dict[tuple[str, str], list[Answer]] = {}
    for answer in answers:
        if answer.correct is False and answer.candidates:
            pairs.setdefault((answer.product_id, answer.predicted), []).append(answer)
    return sorted(pairs.items(), key=lambda pair: (-len(pair[1]), pair[0]))


def by_kind(answers: Sequence[Answer]) -> dict[str, list[Answer]]:
    """The answers of each kind, in order of their names; a photo of several kinds counts in each."""
    kinds = sorted({kind for answer in answers for kind in answer.kinds})
    return {kind: [answer for answer in answers if kind in answer.kinds] for kind in kinds}
