"""Training examples as arrays: the evidence for the candidates of each, at one stage of the decision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from packsight.indexer.build.parameters import FIT, WeightParameters
from packsight.shared.catalog.decision_model import Matrix
from packsight.shared.matching.ranking import Ranking

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """Training examples as arrays, candidates padded.

    evidence: [examples, candidates, features]; there: [examples, candidates] is it a candidate; truth: [examples] place of
    the right candidate, -1 for none; listed: is the product listed; weight: how often such photos are sent; part:
    cross-fitting part, by product. overruled: [examples, candidates] does the print contradict it, so that workers would go on
    instead of answering it.
    """

    evidence: Matrix
    there: BoolArray
    truth: npt.NDArray[np.int64]
    listed: BoolArray
    weight: Matrix
    part: npt.NDArray[np.int64]
    overruled: BoolArray

    def take(self, rows: BoolArray) -> TrainingSet:
        """Some of the examples."""
        return TrainingSet(
            evidence=self.evidence[rows],
            there=self.there[rows],
            truth=self.truth[rows],
            listed=self.listed[rows],
            weight=self.weight[rows],
            part=self.part[rows],
            overruled=self.overruled[rows],
        )

    def weighed(self, weight: Matrix) -> TrainingSet:
        """The same with other weights."""
        return replace(self, weight=weight)

    def shares(self, weights: Matrix) -> tuple[Matrix, Matrix]:
        """P of each candidate, 0 where there is none, and P of none."""
        utility = np.where(self.there, self.evidence @ weights, -np.inf)
        top = np.maximum(utility.max(axis=1, initial=0.0), 0.0)
        exponent = np.exp(utility - top[:, None])
        none = np.exp(-top)
        total = exponent.sum(axis=1) + none
        return exponent / total[:, None], none / total

    def loss(self, weights: Matrix) -> Matrix:
        """-ln P of the right answer, per example; 0 where the right product is no candidate, which no weight can mend."""
        shares, none = self.shares(weights)
        picked = np.take_along_axis(shares, np.maximum(self.truth, 0)[:, None], axis=1)[:, 0]
        result: Matrix = -np.log(np.maximum(np.where(self.truth >= 0, picked, none), 1e-300))
        return np.where(self.missed, 0.0, result)

    @property
    def missed(self) -> BoolArray:
        """Examples whose listed product is not among the candidates."""
        return self.listed & (self.truth < 0)


def training_set(
    rankings: Sequence[Ranking | None],
    truths: Sequence[int | None],
    products: Sequence[int],
    names: Sequence[str],
    parameters: WeightParameters = FIT.weights,
    *,
    sent: Sequence[bool] = (),
    overruled: Sequence[BoolArray] = (),
) -> TrainingSet:
    """Evidence of the likeliest candidates of each ranking, in arrays that hold the longest.

    rankings: None where this stage may not decide, which teaches nothing. truths: the right product of each (None: none of
    them); products: the one that was shown, listed or not. sent: which of them customers sent, so that each counts as one,
    listed or not; none of them where that is not said. overruled: of each ranking, which of its products the print contradicts;
    none where that is not said.
    """
    rows = [ranking.rows[: parameters.candidates] if ranking else np.zeros(0, np.int64) for ranking in rankings]
    most = max((len(row) for row in rows), default=0) or 1
    evidence, there = np.zeros((len(rows), most, len(names))), np.zeros((len(rows), most), np.bool_)
    against = np.zeros_like(there)
    truth = np.full(len(rows), -1, np.int64)
    for number, (row, ranking, right) in enumerate(zip(rows, rankings, truths, strict=True)):
        if ranking is None:
            continue
        evidence[number, : len(row)] = ranking.evidence[row]
        there[number, : len(row)] = True
        if overruled:
            against[number, : len(row)] = overruled[number][: len(row)]
        found = np.flatnonzero(ranking.compared.products[row] == (-1 if right is None else right))
        truth[number] = found[0] if len(found) else -1
    listed = np.array([right is not None for right in truths], np.bool_)
    return TrainingSet(
        evidence=evidence,
        there=there,
        truth=truth,
        listed=listed,
        weight=np.where(listed | np.array(sent or [False] * len(listed), np.bool_), 1.0, parameters.absent),
        part=np.array([product % parameters.parts for product in products], np.int64),
        overruled=against,
    )
