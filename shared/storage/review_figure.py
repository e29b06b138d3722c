"""How many of the answers that were `matched` are wrong, as far as people have looked.

Only those count that were drawn by lot among all `matched` ones (Offered.SAMPLE). What was reviewed because it was unsure, or
because somebody came upon it, says nothing of the others and is left out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from packsight.shared.contract.outcomes import Status
from packsight.shared.shares import Share
from packsight.shared.storage.verdicts import Kind, Offered, Reviewed, Verdict


class Promise(StrEnum):
    """What the figure says of the promised precision."""

    KEPT = "kept"
    """The upper end of the interval of the wrong share is at most what is promised: surely kept."""
    OPEN = "open"
    """Too few were reviewed to say."""
    BROKEN = "broken"
    """The lower end of the interval lies above what is promised: surely broken, and an alarm."""


@dataclass(frozen=True, slots=True)
class Figure:
    """wrong: those of the sampled `matched` answers, with its 95 % interval by Wilson. promised: precision, 0 to 1.

    unclear: sampled photos on which nobody could tell. disputed: those on which people disagree, of which the latest verdict
    counts. elsewhere: reviewed for other reasons, not mixed in.
    """

    catalog: str
    wrong: Share
    promised: float
    unclear: int
    disputed: int
    elsewhere: int

    @property
    def promise(self) -> Promise:
        """Whether the promise is surely kept, surely broken, or neither: each end is wrong in one case of forty."""
        if self.wrong.interval is None:
            return Promise.OPEN
        low, high = self.wrong.interval
        allowed = 1 - self.promised
        return Promise.BROKEN if low > allowed else Promise.KEPT if high <= allowed else Promise.OPEN

    @property
    def told(self) -> str:
        """One sentence."""
        if self.wrong.interval is None:
            return f"no answer of catalog {self.catalog} that was drawn by lot is reviewed: how many are wrong is not known"
        low, high = self.wrong.interval
        what = {
            Promise.KEPT: "the promise is kept", Promise.OPEN: "too few to say whether that is kept",
            Promise.BROKEN: "THE PROMISE IS BROKEN",
        }[self.promise]  # fmt: skip
        return (
            f"of {self.wrong.n} matched answers of catalog {self.catalog} that were drawn by lot and reviewed, {self.wrong.k} "
            f"are wrong: {self.wrong.k / self.wrong.n:.1%} (95 %: {low:.1%} to {high:.1%}), promised are {1 - self.promised:.1%} "
            f"at most: {what}"
        )


def figure(catalog: str, reviewed: Reviewed, *, promised: float, days: float, now: datetime) -> Figure:
    """The share of wrong answers among those `matched` and drawn by lot that were reviewed in the last `days`."""
    since = now - timedelta(days=days)
    recent = [review for review in reviewed.photos.values() if review.verdict.at >= since]
    sampled = [review for review in recent if _is_sampled(review.verdict)]
    return Figure(
        catalog=catalog,
        wrong=_wrong(review.verdict for review in sampled),
        promised=promised,
        unclear=sum(review.verdict.kind is Kind.BAD for review in sampled),
        disputed=sum(review.disputed for review in sampled),
        elsewhere=len(recent) - len(sampled),
    )


def _is_sampled(verdict: Verdict) -> bool:
    return verdict.offered is Offered.SAMPLE and verdict.answered.status is Status.MATCHED


def _wrong(verdicts: Iterable[Verdict]) -> Share:
    told = [verdict.is_wrong for verdict in verdicts if verdict.is_wrong is not None]
    return Share(sum(told), len(told))
