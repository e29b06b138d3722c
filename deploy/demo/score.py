"""What counts as right in the demo, counted per kind of photo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packsight.shared.contract.outcomes import Outcome, Status
from packsight.shared.tables.labels import Label

ENOUGH = 0.9
"""Share of right answers that the demo promises."""

MEANINGS = {
    "present": "sold here: the product comes first",
    "sibling": "an unlisted sibling: not matched",
    "stranger": "an unknown brand: not matched",
    "unreadable": "not a picture: failed with a code",
}


@dataclass(frozen=True, slots=True)
class Count:
    """Right answers of one kind of photo."""

    group: str
    right: int
    photos: int


@dataclass(frozen=True, slots=True)
class Score:
    """How the demo went."""

    counts: list[Count]
    missing: list[str]
    """Photos without an outcome; there must be none."""
    wrong: list[tuple[Label, Outcome]]
    failures: Mapping[str, int]
    """Failed photos by error code."""
    firsts: int
    """Photos of products sold here whose first candidate is the product."""

    @property
    def share(self) -> float:
        """Right answers among all photos; a photo without an outcome is not right."""
        return sum(count.right for count in self.counts) / max(1, sum(count.photos for count in self.counts))

    @property
    def first(self) -> float:
        """Share of the products sold here that come first among the candidates, whatever the answer's status."""
        return self.firsts / max(1, sum(count.photos for count in self.counts if count.group == "present"))

    @property
    def passed(self) -> bool:
        """Every photo has an outcome and enough of them are right."""
        return not self.missing and self.share >= ENOUGH


def right(label: Label, outcome: Outcome) -> bool:
    """Whether an outcome is what the photo's label asks for."""
    if label.group == "unreadable":
        return outcome.status is Status.FAILED and outcome.failure is not None
    if label.group == "present":
        return outcome.status in (Status.MATCHED, Status.AMBIGUOUS) and _first(label, outcome)
    return outcome.status in (Status.NO_MATCH, Status.AMBIGUOUS)


def _first(label: Label, outcome: Outcome) -> bool:
    return bool(outcome.candidates) and outcome.candidates[0].product.id == label.product_id


def score(labels: Sequence[Label], rows: Sequence[Mapping[str, Any]]) -> Score:
    """Compare the rows of a results file with the labels; photos are told apart by their file names."""
    outcomes = {Path(row["name"]).name: Outcome.model_validate(row) for row in rows}
    known = [(label, outcomes.get(Path(label.image).name)) for label in labels]
    answered = [(label, outcome) for label, outcome in known if outcome is not None]
    counts = []
    for group in MEANINGS:
        hits = sum(right(label, outcome) for label, outcome in answered if label.group == group)
        counts.append(Count(group, hits, sum(label.group == group for label in labels)))
    failures: dict[str, int] = {}
    for _, outcome in answered:
        if outcome.failure is not None:
            failures[outcome.failure.code] = failures.get(outcome.failure.code, 0) + 1
    return Score(
        counts=counts,
        missing=[label.image for label, outcome in known if outcome is None],
        wrong=[(label, outcome) for label, outcome in answered if not right(label, outcome)],
        failures=failures,
        firsts=sum(_first(label, outcome) for label, outcome in answered if label.group == "present"),
    )
