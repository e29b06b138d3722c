"""Which answers a person should look at, and in which order.

Two kinds. Those that are *unsure*: `ambiguous` ones, and those that are `matched` or `no_match` but near a threshold; the nearer,
the more a verdict teaches. And a *sample* of all that are `matched`, drawn by a hash of the photo, so that everybody draws
the same and how sure an answer was has no part in it; what of them is wrong is the figure that counts. An answer that is drawn
counts as sampled also where it is unsure. It waits until somebody was asked for it by lot, also where somebody came upon it
before: what people come upon are the wrong ones, and the sample without them would look better than all that it stands for.

Photos that may show one product come together: a person who has its pictures before the eyes is quick with all of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from packsight.producer.rows import Row
from packsight.shared.contract.outcomes import Outcome, Status
from packsight.shared.storage.verdicts import Offered, PhotoReview, Reviewed


@dataclass(frozen=True)
class InboxParameters:
    """What is worth a look. All were chosen by hand."""

    surely: float = 0.97
    """Confidence from which a `matched` answer is sure: thresholds lie below it."""
    hardly: float = 0.02
    """Confidence of the first candidate below which a `no_match` is sure."""
    lacking: float = 0.3
    """How useful a look is, of 1, where the photo itself shows too little: a person may not see more."""
    sample: float = 0.5
    """How useful a look at a sampled answer is: after the most unsure ones, before those near a threshold."""


INBOX = InboxParameters()


@dataclass(frozen=True, slots=True)
class Waiting:
    """An answer that waits for a person. useful: 0 to 1, above 1 where people disagree; review: what they said."""

    row: Row
    offered: Offered
    useful: float
    review: PhotoReview | None = None

    @property
    def group(self) -> str:
        """Id of the product that came first; empty for none."""
        return first_product(self.row.outcome)


def first_product(outcome: Outcome) -> str:
    """Id of the first candidate, whatever the status; empty where there is none."""
    first = outcome.product or (outcome.candidates[0].product if outcome.candidates else None)
    return "" if first is None else first.id


def is_drawn(sha256: str, share: float) -> bool:
    """Whether a photo is in the sample: by its bytes alone, with a salt of our own, so that nothing else draws alike."""
    lot = int.from_bytes(hashlib.sha256(f"review {sha256}".encode()).digest()[:8], "big")
    return lot < share * 2**64


def offered(outcome: Outcome, share: float, parameters: InboxParameters = INBOX) -> Offered | None:
    """Why a person is asked about an answer; None where nobody need be. share: that of the sample."""
    if outcome.sha256 is None or outcome.status is Status.FAILED:
        return None
    if outcome.status is Status.MATCHED and is_drawn(outcome.sha256, share):
        return Offered.SAMPLE
    return Offered.UNSURE if _is_unsure(outcome, parameters) else None


def _is_unsure(outcome: Outcome, parameters: InboxParameters) -> bool:
    match outcome.status:
        case Status.MATCHED:
            return outcome.confidence < parameters.surely
        case Status.NO_MATCH:
            return bool(outcome.candidates) and outcome.confidence >= parameters.hardly
        case _:
            return True


def _useful(outcome: Outcome, why: Offered, parameters: InboxParameters) -> float:
    if why is Offered.SAMPLE:
        return parameters.sample
    doubt = 4 * outcome.confidence * (1 - outcome.confidence)  # of a coin's toss 1
    return doubt * (parameters.lacking if outcome.lacking else 1.0)


def inbox(rows: Iterable[Row], reviewed: Reviewed, share: float, parameters: InboxParameters = INBOX) -> list[Waiting]:
    """What waits for a person, the most useful first, photos with one first candidate together; each photo once.

    rows: outcomes of jobs, of which the last that is no failure counts where a photo comes again. share: that of the sample.
    What is reviewed is left out, unless people disagree, or it is in the sample and they only came upon it.
    """
    latest: dict[str | None, Row] = {}
    for row in rows:
        before = latest.get(row.outcome.sha256)
        if row.outcome.status is not Status.FAILED and not (before and _is_due(before, reviewed, share)):
            latest[row.outcome.sha256] = row
    groups: dict[str, list[Waiting]] = {}
    for sha256, row in latest.items():
        review = reviewed.photos.get(sha256 or "")
        why = offered(row.outcome, share, parameters)
        if review is not None and review.disputed:
            one = Waiting(row, review.verdict.offered, 2.0, review)
        elif why is not None and (review is None or _is_due(row, reviewed, share)):
            one = Waiting(row, why, _useful(row.outcome, why, parameters), review)
        else:
            continue
        groups.setdefault(one.group or f"none {sha256}", []).append(one)
    for group in groups.values():
        group.sort(key=_order)
    ordered = sorted(groups.values(), key=lambda group: _order(group[0]))
    return [one for group in ordered for one in group]


def _is_due(row: Row, reviewed: Reviewed, share: float) -> bool:
    """Whether an answer is in the sample of which somebody said something who came upon it, and nobody who was asked by lot.

    It is that answer alone: a later one to the same photo may come of what was said.
    """
    review = reviewed.photos.get(row.outcome.sha256 or "")
    if review is None or review.drawn is not None or offered(row.outcome, share) is not Offered.SAMPLE:
        return False
    return (review.verdict.job, review.verdict.index) == (row.job, row.index)


def _order(one: Waiting) -> tuple[float, str, int]:
    return -one.useful, one.row.job, one.row.index
