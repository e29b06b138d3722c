"""(f) How often the first candidate is right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from packsight.producer.evaluation.metrics import Answer, summarise


@dataclass(frozen=True)
class Accuracy:
    """Shares of labelled photos, None where there are none of that kind.

    top1: first candidate right, of products in the catalog; top1_nearest: the same with the closest sibling where the
    catalog does not hold the product; absent_rejected: not matched, of products that it does not hold.
    """

    photos: int
    present: int
    top1: float | None
    top5: float | None
    top1_nearest: float | None
    absent_rejected: float | None

    def document(self) -> dict[str, float | int | None]:
        """For the JSON."""
        return {name: round(value, 4) if isinstance(value, float) else value for name, value in asdict(self).items()}


def accuracy(answers: Sequence[Answer]) -> Accuracy:
    """Count right answers."""
    found = summarise(answers)
    return Accuracy(
        found.count, found.present, found.top1.value, found.top5.value, found.top1_nearest.value, found.absent_rejected.value
    )
