"""How many of the answers that were `matched` are wrong, as far as people have looked.

Only those count that were drawn by lot among all `matched` ones (Offered.SAMPLE). What was reviewed because it was unsure, or
because somebody came upon it, says nothing of the others and is left out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from math import exp, fsum, lgamma, log, log1p

from packsight.shared.contract.outcomes import Status
from packsight.shared.settings import Review
from packsight.shared.shares import Share
from packsight.shared.storage.reviews import ReviewStore
from packsight.shared.storage.verdicts import Kind, PhotoReview, Reviewed

SURELY = 0.025
"""Probability at most of what was found, or worse, if exactly as many were wrong as may be: one end of an exact 95 % interval
(Clopper & Pearson, Biometrika 26, 1934). By Wilson's interval, which is shown, one wrong answer of seven would be an alarm."""


class Promise(StrEnum):
    """What the figure says of the promised precision."""

    KEPT = "kept"
    """So few wrong ones would hardly be found if just as many were wrong as may be: surely kept."""
    OPEN = "open"
    """Too few were reviewed to say."""
    BROKEN = "broken"
    """So many would hardly be found: surely broken, and an alarm."""


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
        """Whether the promise is surely kept, surely broken, or neither: either is wrong in one case of forty at most."""
        wrong, count, allowed = self.wrong.k, self.wrong.n, 1 - self.promised
        if not count:
            return Promise.OPEN
        if wrong and _at_most(count - wrong, count, self.promised) <= SURELY:
            return Promise.BROKEN
        return Promise.KEPT if _at_most(wrong, count, allowed) <= SURELY else Promise.OPEN

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


def current_figure(reviews: ReviewStore, rules: Review) -> Figure:
    """The figure of a catalog as it is now; of one store object that is kept, looking again takes two listings.

    Raises StorageError when verdicts cannot be read.
    """
    found = reviews.reviewed()
    return figure(reviews.catalog, found, promised=rules.precision, days=rules.days, now=datetime.now(UTC))


def figure(catalog: str, reviewed: Reviewed, *, promised: float, days: float, now: datetime) -> Figure:
    """The share of wrong answers among those `matched` and drawn by lot that were reviewed in the last `days`."""
    since = now - timedelta(days=days)
    recent = [review for review in reviewed.photos.values() if review.verdict.at >= since]
    sampled = [review for review in recent if review.drawn is not None and review.drawn.answered.status is Status.MATCHED]
    return Figure(
        catalog=catalog,
        wrong=_wrong(sampled),
        promised=promised,
        unclear=sum(review.verdict.kind is Kind.BAD for review in sampled),
        disputed=sum(review.disputed for review in sampled),
        elsewhere=len(recent) - len(sampled),
    )


def _at_most(most: int, count: int, share: float) -> float:
    """Probability of so many or fewer of a count, by the binomial distribution."""
    logs = log(share), log1p(-share)
    terms = (
        exp(lgamma(count + 1) - lgamma(k + 1) - lgamma(count - k + 1) + k * logs[0] + (count - k) * logs[1])
        for k in range(most + 1)
    )
    return min(1.0, fsum(terms))


def _wrong(sampled: Iterable[PhotoReview]) -> Share:
    """How many of the answers that were drawn are wrong, as the verdicts say that stand now; those that do not tell aside."""
    told = [
        review.verdict.product != review.drawn.answered.product
        for review in sampled
        if review.drawn is not None and review.verdict.is_wrong is not None
    ]
    return Share(sum(told), len(told))
