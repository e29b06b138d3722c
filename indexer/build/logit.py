"""Weights of a conditional logit, fitted to questions: the maximum a posteriori under a normal prior around given ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from packsight.shared.catalog.decision_model import SPREAD, Matrix


@dataclass(frozen=True, slots=True)
class Questions:
    """Questions as arrays, candidates padded.

    evidence: [questions, candidates, features]; there: [questions, candidates] is it a candidate; truth: place of
    the right candidate, -1 for none; present: is the product listed; weight: how often such photos are sent (weights
    are fitted to all questions alike, since rare ones teach as much); part: cross-fitting part, by product.
    """

    evidence: Matrix
    there: npt.NDArray[np.bool_]
    truth: npt.NDArray[np.int64]
    present: npt.NDArray[np.bool_]
    weight: Matrix
    part: npt.NDArray[np.int64]

    def take(self, rows: npt.NDArray[np.bool_]) -> Questions:
        """Some of the questions."""
        return Questions(
            self.evidence[rows],
            self.there[rows],
            self.truth[rows],
            self.present[rows],
            self.weight[rows],
            self.part[rows],
        )

    def shares(self, weights: Matrix) -> tuple[Matrix, Matrix]:
        """P of each candidate, 0 where there is none, and P of none."""
        utility = np.where(self.there, self.evidence @ weights, -np.inf)
        top = np.maximum(utility.max(axis=1, initial=0.0), 0.0)
        exponent = np.exp(utility - top[:, None])
        none = np.exp(-top)
        total = exponent.sum(axis=1) + none
        return exponent / total[:, None], none / total

    def loss(self, weights: Matrix) -> Matrix:
        """-ln P of the right answer, per question."""
        shares, none = self.shares(weights)
        picked = np.take_along_axis(shares, np.maximum(self.truth, 0)[:, None], axis=1)[:, 0]
        result: Matrix = -np.log(np.maximum(np.where(self.truth >= 0, picked, none), 1e-300))
        return result


def fit_weights(questions: Questions, prior: Matrix) -> Matrix:
    """Weights that make the right answers likely without leaving the prior far behind, nor changing a sign of it."""

    def objective(weights: Matrix) -> tuple[float, Matrix]:
        shares, _ = questions.shares(weights)
        pull = (weights - prior) / SPREAD**2
        value = float(questions.loss(weights).sum() + 0.5 * (weights - prior) @ pull)
        chosen = np.zeros_like(shares)
        right = np.flatnonzero(questions.truth >= 0)
        chosen[right, questions.truth[right]] = 1.0
        slope = np.einsum("nc,ncf->f", shares - chosen, questions.evidence)
        return value, slope + pull

    bounds = [(0, None) if value > 0 else (None, 0) if value < 0 else (None, None) for value in prior.tolist()]
    found = minimize(objective, prior, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 300})
    return np.asarray(found.x, np.float64)


def cross_fitted(questions: Questions, prior: Matrix) -> Matrix:
    """P of candidates by weights that have not seen the question's product."""
    shares, _ = questions.shares(prior)
    for part in np.unique(questions.part).tolist():
        rows = questions.part == part
        if rows.all():
            continue
        weights = fit_weights(questions.take(~rows), prior)
        shares[rows], _ = questions.take(rows).shares(weights)
    return shares
