"""Weights of a conditional logit, fitted to examples: the maximum a posteriori under a normal prior around given ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from packsight.indexer.build.parameters import FIT, WeightParameters
from packsight.shared.catalog.decision_model import Matrix


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """Training examples as arrays, candidates padded.

    evidence: [examples, candidates, features]; there: [examples, candidates] is it a candidate; truth: [examples] place of
    the right candidate, -1 for none; listed: is the product listed; weight: how often such photos are sent (weights
    are fitted to all examples alike, since rare ones teach as much); part: cross-fitting part, by product.
    """

    evidence: Matrix
    there: npt.NDArray[np.bool_]
    truth: npt.NDArray[np.int64]
    listed: npt.NDArray[np.bool_]
    weight: Matrix
    part: npt.NDArray[np.int64]

    def take(self, rows: npt.NDArray[np.bool_]) -> TrainingSet:
        """Some of the examples."""
        return TrainingSet(
            evidence=self.evidence[rows],
            there=self.there[rows],
            truth=self.truth[rows],
            listed=self.listed[rows],
            weight=self.weight[rows],
            part=self.part[rows],
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
        """-ln P of the right answer, per example."""
        shares, none = self.shares(weights)
        picked = np.take_along_axis(shares, np.maximum(self.truth, 0)[:, None], axis=1)[:, 0]
        result: Matrix = -np.log(np.maximum(np.where(self.truth >= 0, picked, none), 1e-300))
        return result


def fit_weights(examples: TrainingSet, prior: Matrix, parameters: WeightParameters = FIT.weights) -> Matrix:
    """Weights that make the right answers likely without leaving the prior far behind, nor changing a sign of it."""

    def objective(weights: Matrix) -> tuple[float, Matrix]:
        shares, _ = examples.shares(weights)
        pull = (weights - prior) / parameters.spread**2
        value = float(examples.loss(weights).sum() + 0.5 * (weights - prior) @ pull)
        chosen = np.zeros_like(shares)
        right = np.flatnonzero(examples.truth >= 0)
        chosen[right, examples.truth[right]] = 1.0
        slope = np.einsum("nc,ncf->f", shares - chosen, examples.evidence)
        return value, slope + pull

    bounds = [(0, None) if value > 0 else (None, 0) if value < 0 else (None, None) for value in prior.tolist()]
    found = minimize(objective, prior, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": parameters.max_iterations})
    return np.asarray(found.x, np.float64)


def cross_fitted(examples: TrainingSet, prior: Matrix, parameters: WeightParameters = FIT.weights) -> Matrix:
    """P of candidates by weights that have not seen the example's product."""
    shares, _ = examples.shares(prior)
    for part in np.unique(examples.part).tolist():
        rows = examples.part == part
        if rows.all():
            continue
        weights = fit_weights(examples.take(~rows), prior, parameters)
        shares[rows], _ = examples.take(rows).shares(weights)
    return shares
