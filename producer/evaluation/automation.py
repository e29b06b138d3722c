"""How much could be left to the machine: photos answered rightly against the precision of all that is answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from packsight.producer.evaluation.metrics import Answer
from packsight.shared.shares import Share

PRECISION = 0.98
"""What a version's threshold is fitted for, and therefore asked of any other by default."""


@dataclass(frozen=True, slots=True)
class Operation:
    """A threshold, and what answering every photo from this confidence on would give.

    automation: right, over photos of listed products; precision: right, over all photos answered, absent products included.
    """

    threshold: float
    automation: Share
    precision: Share


def operations(answers: Sequence[Answer]) -> list[Operation]:
    """Every threshold that makes a difference, from the highest on.

    Photos of equal confidence come in together: no threshold takes the right ones among them alone.
    """
    present = sum(answer.present for answer in answers)
    ranked = sorted((a for a in answers if a.candidates), key=lambda answer: -answer.confidence)
    found, right, answered = [], 0, 0
    for confidence, together in groupby(ranked, key=lambda answer: answer.confidence):
        hits = [answer.first_right for answer in together]
        right, answered = right + sum(hits), answered + len(hits)
        found.append(Operation(confidence, Share(right, present), Share(right, answered)))
    return found


def best_operation(answers: Sequence[Answer], precision: float = PRECISION) -> Operation | None:
    """The threshold with the most automation at this precision or more, of equal ones the highest; None when none reaches it.

    It is chosen on the very photos that it is judged on, so it is what could be at best, not what a new photo may expect.
    """
    # k >= p * n by whole photos, so that 49 of 50 are 0.98.
    good = [one for one in operations(answers) if one.precision.k + 1e-9 >= precision * one.precision.n and one.precision.k]
    return max(good, key=lambda one: one.automation.k, default=None)
