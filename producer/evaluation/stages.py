"""Which stages answered: how far the photos had to go, and what each part of the way was worth."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from packsight.producer.evaluation.metrics import Answer
from packsight.shared.contract.outcomes import STAGES, Status
from packsight.shared.shares import Share

COMMON = frozenset({"fetch", "cache", "decode", "match"})
"""What photos go through whatever answers them; every other stage, known here or not, adds evidence."""
REMEMBERED, FAILED = "remembered", "failed"
"""What answered a photo that was known from earlier, and one that has no answer."""


@dataclass(frozen=True, slots=True)
class Way:
    """Photos that the same stages answered.

    stages: those that add evidence, in the order of the contract; seconds: mean per photo and stage, all stages included.
    """

    stages: tuple[str, ...]
    share: Share
    """Of all photos."""
    automation: Share
    """Matched and right, over those of them whose product is listed."""
    precision: Share
    """Right product, over those of them answered as matched."""
    seconds: Mapping[str, float]

    @property
    def name(self) -> str:
        """The stages for people."""
        return " + ".join(self.stages) or "none"

    @property
    def total(self) -> float:
        """Seconds per photo, all stages together."""
        return sum(self.seconds.values())


def ways(answers: Sequence[Answer]) -> list[Way]:
    """The photos that were asked over the queue by the stages that answered, shortest way first."""
    groups: dict[tuple[str, ...], list[Answer]] = {}
    for answer in answers:
        if answer.timings or answer.status is Status.FAILED:
            groups.setdefault(stages_of(answer), []).append(answer)
    asked = sum(map(len, groups.values()))
    if not any(answer.timings for answer in answers):
        return []
    return [_way(stages, groups[stages], asked) for stages in sorted(groups, key=_place)]


def stages_of(answer: Answer) -> tuple[str, ...]:
    """The stages that answered a photo."""
    if answer.status is Status.FAILED:
        return (FAILED,)
    ran = in_order(answer.timings.keys() - COMMON)
    return (REMEMBERED, *ran) if "cache" in answer.timings and "decode" not in answer.timings else ran


def in_order(stages: Collection[str]) -> tuple[str, ...]:
    """Stages as the contract orders them, then any that it does not know."""
    return (*(stage for stage in STAGES if stage in stages), *sorted(set(stages) - set(STAGES)))


def _place(stages: tuple[str, ...]) -> tuple[bool, int, tuple[str, ...]]:
    return stages == (FAILED,), len(stages), stages


def _way(stages: tuple[str, ...], group: Sequence[Answer], asked: int) -> Way:
    present = [answer for answer in group if answer.present]
    matched = [answer for answer in group if answer.matched]
    ran = in_order({stage for answer in group for stage in answer.timings})
    return Way(
        stages,
        Share(len(group), asked),
        Share(sum(answer.automated for answer in present), len(present)),
        Share(sum(answer.first_right for answer in matched), len(matched)),
        {stage: fmean(answer.timings.get(stage, 0.0) for answer in group) for stage in ran},
    )
