"""Weights of a conditional logit, fitted to examples: the maximum a posteriori under a normal prior around given ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from packsight.indexer.build.parameters import FIT, WeightParameters
from packsight.indexer.build.training_set import TrainingSet
from packsight.shared.catalog.decision_model import Matrix
from packsight.shared.catalog.evidence import bounds


def fit_weights(
    sets: Sequence[TrainingSet], names: tuple[str, ...], prior: Matrix, spread: float, parameters: WeightParameters = FIT.weights
) -> Matrix:
    """Weights that make the right answers likely without leaving the prior far behind; each keeps the sign of its evidence.

    spread: standard deviation of the normal prior of each weight.
    """

    def objective(weights: Matrix) -> tuple[float, Matrix]:
        slope = (weights - prior) / spread**2
        value = 0.5 * float((weights - prior) @ slope)
        for examples in sets:
            shares, _ = examples.shares(weights)
            counted = np.where(examples.missed, 0.0, examples.weight)
            value += float(counted @ examples.loss(weights))
            right = np.flatnonzero(examples.truth >= 0)
            shares[right, examples.truth[right]] -= 1.0
            slope = slope + np.einsum("n,nc,ncf->f", counted, shares, examples.evidence)
        return value, slope

    from scipy.optimize import minimize  # noqa: PLC0415 - takes half a second that commands have no use for which build nothing

    found = minimize(
        objective, prior, jac=True, method="L-BFGS-B", bounds=bounds(names), options={"maxiter": parameters.max_iterations}
    )
    return np.asarray(found.x, np.float64)


def cross_fitted(
    examples: TrainingSet, names: tuple[str, ...], prior: Matrix, spread: float, parameters: WeightParameters = FIT.weights
) -> Matrix:
    """P of candidates by weights that have not seen the example's product."""
    shares, _ = examples.shares(prior)
    for part in np.unique(examples.part).tolist():
        rows = examples.part == part
        if rows.all():
            continue
        weights = fit_weights([examples.take(~rows)], names, prior, spread, parameters)
        shares[rows], _ = examples.take(rows).shares(weights)
    return shares
