"""Fit the matching model of a version on the catalog's own photos, left out one by one.

Weights are the maximum a posteriori of the conditional logit under a normal prior around PRIOR
(packsight.indexer.build.parameters), so that a small catalog stays near it. Confidence curve and threshold come from answers
by weights that have not seen the product (cross-fitting over products). A fit is used only if, by those answers, it does no
worse than the parent's model and the prior.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from packsight.indexer.build.calibration import Answers, fit_curve, threshold
from packsight.indexer.build.examples import TrainingExample, training_examples
from packsight.indexer.build.logit import TrainingSet, cross_fitted, fit_weights
from packsight.indexer.build.parameters import FIT, PRIOR, FitParameters
from packsight.shared.catalog.decision_model import Matrix, Model, Stage
from packsight.shared.catalog.evidence import FIRST_STAGE, RERANK
from packsight.shared.catalog.manifest import SelfCheck
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.matching.candidates import find_candidates
from packsight.shared.matching.evidence import compute_evidence
from packsight.shared.matching.matcher import Ranking, first_stage, rerank
from packsight.shared.vision.features import Features


def fit(
    snapshot: Snapshot, features: Mapping[str, Features], parent: Model | None = None, parameters: FitParameters = FIT
) -> tuple[Model, SelfCheck, tuple[str, ...]]:
    """Fit the model of a version whose other files are written; return it with its self-check and notes."""
    examples = list(training_examples(snapshot, features, parameters))
    if not examples:
        return parent or PRIOR, SelfCheck(), ("No photo to fit on: the prior decides",)
    options = {"fit": None, "parent": parent, "prior": PRIOR}
    training = _first_stage_set(examples, parameters)
    results = {
        name: _fitted(examples, training, given, parameters)
        for name, given in options.items()
        if name == "fit" or given is not None
    }
    margin, rivals = parameters.weights.margin, parameters.calibration.rivals
    best = min(results, key=lambda name: results[name].answers.loss(rivals) + (margin if name != "fit" else 0.0))
    notes = (
        () if best == "fit" else (f"Fitted weights did no better on photos left out: the weights of the {best} decide",)
    )
    return results[best].model, results[best].answers.self_check(results[best].model.matched), notes


@dataclass(frozen=True, slots=True)
class _Fitted:
    model: Model
    answers: Answers


def _fitted(
    examples: Sequence[TrainingExample], training: TrainingSet, given: Model | None, parameters: FitParameters
) -> _Fitted:
    """Fit weights (or take those given), curves and thresholds."""
    calibration = parameters.calibration
    given_first, given_rerank = (None, None) if given is None else (given.first_stage, given.rerank)
    stage, confidence, right = _answered(
        training, FIRST_STAGE, PRIOR.first_stage, given_first, parameters, parameters.weights.likely
    )
    augmented = np.array([one.augmented and one.exclusion is not None for one in examples])
    sure = threshold(Answers(confidence, right, training.listed, training.weight, augmented), calibration)

    doubtful = np.array([one.exclusion is not None for one in examples]) & (confidence < max(sure, calibration.precision))
    rows = drawn(doubtful, np.array([one.photo for one in examples]), parameters.weights.reranked)
    # The doubtful examples that were drawn stand for all of them, so that the answers are those of real photos.
    weight = np.where(doubtful, 0.0, training.weight)
    weight[rows] = training.weight[rows] * float(doubtful.sum()) / max(len(rows), 1)
    reranking = PRIOR.rerank
    if len(rows):
        first = PRIOR.model_copy(update={"first_stage": stage})
        reranked = _rerank_set([examples[row] for row in rows.tolist()], first, parameters)
        reranking, again, right_again = _answered(reranked, RERANK, PRIOR.rerank, given_rerank, parameters)
        unsure = confidence[rows] < sure
        confidence[rows[unsure]], right[rows[unsure]] = again[unsure], right_again[unsure]
    answers = Answers(confidence, right, training.listed, weight, augmented)
    matched = threshold(answers, calibration)
    model = Model(first_stage=stage, rerank=reranking, matched=matched, sure=max(sure, matched), fitted=True)
    return _Fitted(model, answers)


def _answered(
    training: TrainingSet,
    names: tuple[str, ...],
    prior: Stage,
    given: Stage | None,
    parameters: FitParameters,
    least: float = 0.0,
) -> tuple[Stage, Matrix, npt.NDArray[np.bool_]]:
    """Weights with their curve, and what they answer: the first candidates' confidence, and are they right?

    Fitted weights answer cross-fitted. The curve is taught by first candidates of at least this share.
    """
    rules = parameters.weights
    if given is None:
        weights = fit_weights(training, prior.vector(names), rules)
        shares = cross_fitted(training, prior.vector(names), rules)
    else:
        weights = given.vector(names)
        shares, _ = training.shares(weights)
    first = shares.argmax(axis=1)
    share, right = shares[np.arange(len(first)), first], (first == training.truth) & training.listed
    everyday = training.weight * np.where(training.listed, 1.0, rules.everyday / rules.absent)
    taught = share >= least
    curve = fit_curve(share[taught], right[taught], everyday[taught], parameters.calibration)
    named = {name: round(float(weight), 6) for name, weight in zip(names, weights, strict=True)}
    return Stage(weights=named, curve=curve), curve(share), right


def drawn(doubtful: npt.NDArray[np.bool_], photo: npt.NDArray[np.int64], most: int) -> npt.NDArray[np.int64]:
    """Doubtful examples that are reranked: all, or those of some photos drawn by lot, the same at every call.

    Taking the most doubtful would teach reranking on photos unlike those that it will see.
    """
    rows = np.flatnonzero(doubtful)
    if len(rows) <= most:
        return rows
    order = np.random.default_rng(0).permutation(int(photo.max()) + 1)[photo[rows]]
    return np.sort(rows[np.argsort(order, kind="stable")][:most])


def _ranked(example: TrainingExample, stage: Stage) -> Ranking:
    found = find_candidates(example.query, example.snapshot, example.exclusion)
    return first_stage(compute_evidence(example.query, found, example.snapshot, example.exclusion), stage)


def _first_stage_set(examples: Sequence[TrainingExample], parameters: FitParameters) -> TrainingSet:
    rows, most = [], parameters.weights.candidates
    for one in examples:
        ranking = _ranked(one, PRIOR.first_stage)
        rows.append((ranking.candidates.matrix[ranking.rows[:most]], ranking.order[:most]))
    return _padded(examples, rows, len(FIRST_STAGE), parameters)


def _rerank_set(examples: Sequence[TrainingExample], model: Model, parameters: FitParameters) -> TrainingSet:
    rows = []
    for one in examples:
        ranking = _ranked(one, model.first_stage)
        again = rerank(one.query, ranking, replace(one.snapshot, model=model), one.exclusion)
        order = np.argsort(np.argsort(again.rows))
        evidence = np.zeros((0, len(RERANK))) if again.compared is None else again.compared[order]
        rows.append((evidence, again.order))
    return _padded(examples, rows, len(RERANK), parameters)


def _padded(
    examples: Sequence[TrainingExample],
    rows: Sequence[tuple[Matrix, npt.NDArray[np.int64]]],
    width: int,
    parameters: FitParameters,
) -> TrainingSet:
    """Evidence and products of each example's candidates, in arrays that hold the longest of them."""
    most = max((len(matrix) for matrix, _ in rows), default=0) or 1
    evidence, there = np.zeros((len(rows), most, width)), np.zeros((len(rows), most), np.bool_)
    truth = np.full(len(rows), -1, np.int64)
    for number, ((matrix, products), one) in enumerate(zip(rows, examples, strict=True)):
        evidence[number, : len(matrix)] = matrix
        there[number, : len(matrix)] = True
        if one.truth is not None and (products == one.truth).any():
            truth[number] = int((products == one.truth).argmax())
    listed = np.array([one.truth is not None for one in examples])
    return TrainingSet(
        evidence=evidence,
        there=there,
        truth=truth,
        listed=listed,
        weight=np.where(listed, 1.0, parameters.weights.absent) * [one.weight for one in examples],
        part=np.array([one.product % parameters.weights.parts for one in examples], np.int64),
    )
