"""Move the prior's weights as far as a catalog's own photos, left out one by one, justify.

Weights are the maximum a posteriori of the conditional logit under a narrow normal prior around those of
packsight.indexer.build.prior, which were fitted on several catalogs together. They are used only if answers by weights that have
not seen the product (cross-fitting over products) are better than the prior's. Thresholds may rise for a catalog whose photos
ask for it, never fall: photos taken by the shop are easier than others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from packsight.indexer.build.calibration import Answers, raised
from packsight.indexer.build.examples import training_examples
from packsight.indexer.build.logit import cross_fitted, fit_weights
from packsight.indexer.build.parameters import FIT, FitParameters
from packsight.indexer.build.prior import PRIOR
from packsight.indexer.build.training_set import TrainingSet, training_set
from packsight.shared.catalog.decision_model import Matrix, Model, Stage
from packsight.shared.catalog.evidence import DETAILS, FULL
from packsight.shared.catalog.manifest import SelfCheck
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.matching.matcher import rank, rank_by_details
from packsight.shared.vision.features import Features


def fit(
    snapshot: Snapshot, features: Mapping[str, Features], prior: Model = PRIOR, parameters: FitParameters = FIT
) -> tuple[Model, SelfCheck, tuple[str, ...]]:
    """Fit the model of a version whose other files are written; return it with its self-check and notes."""
    notes: tuple[str, ...] = ()
    examples = list(training_examples(snapshot, features, parameters))
    if not examples:
        return prior, SelfCheck(), ("No photo can be left out: the prior decides",)
    details, full = (
        training_set(
            [ask(one.query, one.snapshot, exclusion=one.exclusion) for one in examples],
            [one.truth for one in examples],
            [one.product for one in examples],
            names,
            parameters.weights,
        )
        for names, ask in ((DETAILS, rank_by_details), (FULL, rank))
    )
    fitted, given = _fitted((details, full), prior, parameters), _given((details, full), prior)
    rivals = parameters.calibration.rivals
    better = fitted.answers.loss(rivals) < given.answers.loss(rivals) - parameters.weights.margin
    best = fitted if better else given
    if not better:
        notes = ("Fitted weights did no better on photos left out: the prior decides",)
    matched = raised(best.answers, prior.matched, parameters.calibration.precision, parameters.calibration)
    early = {"sure": max(prior.sure, matched), "enough": max(prior.enough, matched)}
    model = best.model.model_copy(update={"matched": matched, **early})
    return model, best.answers.self_check(matched), notes


@dataclass(frozen=True, slots=True)
class _Candidate:
    model: Model
    answers: Answers


def _fitted(stages: Sequence[TrainingSet], prior: Model, parameters: FitParameters) -> _Candidate:
    spread, rules = parameters.weights.spread, parameters.weights
    weights, shares = {}, []
    for name, names, examples in zip(("details", "full"), (DETAILS, FULL), stages, strict=True):
        before = getattr(prior, name).vector(names)
        after = fit_weights([examples], names, before, spread, rules)
        weights[name] = stage(names, after)
        shares.append(cross_fitted(examples, names, before, spread, rules))
    return _Candidate(prior.model_copy(update={**weights, "fitted": True}), answers(stages, shares, prior.sure))


def _given(stages: Sequence[TrainingSet], prior: Model) -> _Candidate:
    weights = prior.details.vector(DETAILS), prior.full.vector(FULL)
    shares = [examples.shares(one)[0] for examples, one in zip(stages, weights, strict=True)]
    return _Candidate(prior, answers(stages, shares, prior.sure))


def stage(names: tuple[str, ...], weights: Matrix) -> Stage:
    """Weights as they are stored."""
    return Stage(weights={name: round(float(weight), 6) for name, weight in zip(names, weights, strict=True)})


def answers(stages: Sequence[TrainingSet], shares: Sequence[Matrix], sure: float) -> Answers:
    """What is answered: by details where they are sure, else by everything."""
    details, full = (_first(examples, share) for examples, share in zip(stages, shares, strict=True))
    early = details.confidence >= sure
    return Answers(
        np.where(early, details.confidence, full.confidence),
        np.where(early, details.right, full.right),
        full.listed,
        full.weight,
    )


def _first(examples: TrainingSet, shares: Matrix) -> Answers:
    first = shares.argmax(axis=1)
    confidence, right = shares[np.arange(len(first)), first], (first == examples.truth) & examples.listed
    return Answers(confidence, right, examples.listed, examples.weight)
