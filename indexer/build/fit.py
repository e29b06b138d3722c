"""Fit the matching model of a version on the catalog's own photos, left out one by one.

Weights are the maximum a posteriori of the conditional logit under a normal prior around shared/catalog/decision_model.py's
PRIOR, so that a small catalog stays near it. Confidence curve and threshold come from answers by weights that have
not seen the product (cross-fitting over products). A fit is used only if, by those answers, it does no worse than
the parent's model and the prior.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from packsight.indexer.build.calibration import PRECISION, Answers, fit_curve, threshold
from packsight.indexer.build.leave_out import Asked, questions
from packsight.indexer.build.logit import Questions, cross_fitted, fit_weights
from packsight.shared.catalog.decision_model import CLEAR, CLOSE, PRIOR, Matrix, Model, Stage
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.catalog.versions import SelfCheck
from packsight.shared.matching.candidates import candidates
from packsight.shared.matching.evidence import gather
from packsight.shared.matching.matcher import look_closer, ranked
from packsight.shared.vision.features import Features

ABSENT = 0.15
"""Photos of products that are not listed, per photo of one that is: what the threshold must hold for."""
EVERYDAY = 0.075
"""The same, by which confidences are fitted: fewer strangers are sent every day."""
CLOSE_QUESTIONS = 600
"""Doubtful questions compared closely at most, those of photos drawn by lot, which bounds the time of a build."""
KEPT = 24
"""Candidates of a question that take part in the fit."""
PARTS = 5
LIKELY = 0.5
"""Share of a first candidate from which it teaches the clear curve; others are not answered without a close look."""


def fit(
    snapshot: Snapshot, features: Mapping[str, Features], parent: Model | None = None
) -> tuple[Model, SelfCheck, tuple[str, ...]]:
    """Fit the model of a version whose other files are written; return it with its self-check and notes."""
    asked = list(questions(snapshot, features))
    if not asked:
        return parent or PRIOR, SelfCheck(), ("No photo to fit on: the prior decides",)
    options = {"fit": None, "parent": parent, "prior": PRIOR}
    results = {}
    clear = _clear_questions(asked)
    for name, given in options.items():
        if name == "fit" or given is not None:
            results[name] = _fitted(asked, clear, given)
    # As good as equal, the fit is taken: its answers are those of weights that have seen a fifth less.
    best = min(results, key=lambda name: results[name].answers.loss() + (1e-3 if name != "fit" else 0.0))
    notes = (
        () if best == "fit" else (f"Fitted weights did no better on photos left out: the weights of the {best} decide",)
    )
    return results[best].model, results[best].answers.self_check(results[best].model.matched), notes


@dataclass(frozen=True, slots=True)
class _Fitted:
    model: Model
    answers: Answers


def _fitted(asked: Sequence[Asked], clear: Questions, given: Model | None) -> _Fitted:
    """Fit weights (or take those given), curves and thresholds."""
    stage, confidence, right = _answered(clear, CLEAR, PRIOR.clear, given.clear if given else None, LIKELY)
    model = Model(clear=stage, close=PRIOR.close, fitted=True)
    worn = np.array([one.worn and one.leave is not None for one in asked])
    sure = threshold(Answers(confidence, right, clear.present, clear.weight, worn))

    doubtful = np.array([one.leave is not None for one in asked]) & (confidence < max(sure, PRECISION))
    rows = drawn(doubtful, np.array([one.photo for one in asked]))
    # The doubtful questions that were drawn stand for all of them, so that the answers are those of real photos.
    weight = np.where(doubtful, 0.0, clear.weight)
    weight[rows] = clear.weight[rows] * float(doubtful.sum()) / max(len(rows), 1)
    if len(rows):
        close = _close_questions([asked[row] for row in rows.tolist()], model)
        stage, again, right_again = _answered(close, CLOSE, PRIOR.close, given.close if given else None)
        model = model.model_copy(update={"close": stage})
        unsure = confidence[rows] < sure
        confidence[rows[unsure]], right[rows[unsure]] = again[unsure], right_again[unsure]
    answers = Answers(confidence, right, clear.present, weight, worn)
    matched = threshold(answers)
    return _Fitted(model.model_copy(update={"matched": matched, "sure": max(sure, matched)}), answers)


def _answered(
    questions: Questions, names: tuple[str, ...], prior: Stage, given: Stage | None, least: float = 0.0
) -> tuple[Stage, Matrix, npt.NDArray[np.bool_]]:
    """Weights with their curve, and what they answer: the first candidates' confidence, and are they right?

    Fitted weights answer cross-fitted. The curve is taught by first candidates of at least this share.
    """
    if given is None:
        weights = fit_weights(questions, prior.vector(names))
        shares = cross_fitted(questions, prior.vector(names))
    else:
        weights = given.vector(names)
        shares, _ = questions.shares(weights)
    first = shares.argmax(axis=1)
    share, right = shares[np.arange(len(first)), first], (first == questions.truth) & questions.present
    everyday = questions.weight * np.where(questions.present, 1.0, EVERYDAY / ABSENT)
    taught = share >= least
    curve = fit_curve(share[taught], right[taught], everyday[taught])
    named = {name: round(float(weight), 6) for name, weight in zip(names, weights, strict=True)}
    return Stage(weights=named, curve=curve), curve(share), right


def drawn(doubtful: npt.NDArray[np.bool_], photo: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Doubtful questions that are compared closely: all, or those of some photos drawn by lot, the same at every call.

    Taking the most doubtful would teach the close look on photos unlike those that it will see.
    """
    rows = np.flatnonzero(doubtful)
    if len(rows) <= CLOSE_QUESTIONS:
        return rows
    place = np.random.default_rng(0).permutation(int(photo.max()) + 1)[photo[rows]]
    return np.sort(rows[np.argsort(place, kind="stable")][:CLOSE_QUESTIONS])


def _clear_questions(asked: Sequence[Asked]) -> Questions:
    rows = []
    for one in asked:
        found = candidates(one.query, one.snapshot, one.leave)
        gathered = gather(one.query, found, one.snapshot, one.leave)
        ranking = ranked(gathered, gathered.matrix, np.arange(len(found)), PRIOR.clear.vector(CLEAR), PRIOR.clear.curve)
        places = ranking.place[:KEPT]
        rows.append((gathered.matrix[places], ranking.order[:KEPT]))
    return _padded(asked, rows, len(CLEAR))


def _close_questions(asked: Sequence[Asked], model: Model) -> Questions:
    rows = []
    for one in asked:
        found = candidates(one.query, one.snapshot, one.leave)
        gathered = gather(one.query, found, one.snapshot, one.leave)
        ranking = ranked(gathered, gathered.matrix, np.arange(len(found)), model.clear.vector(CLEAR), model.clear.curve)
        closer = look_closer(one.query, ranking, one.snapshot, model, one.leave)
        order = np.argsort(np.argsort(closer.place))
        rows.append((np.zeros((0, len(CLOSE))) if closer.close is None else closer.close[order], closer.order))
    return _padded(asked, rows, len(CLOSE))


def _padded(asked: Sequence[Asked], rows: Sequence[tuple[Matrix, npt.NDArray[np.int64]]], width: int) -> Questions:
    most = max((len(matrix) for matrix, _ in rows), default=0) or 1
    evidence, there = np.zeros((len(rows), most, width)), np.zeros((len(rows), most), np.bool_)
    truth = np.full(len(rows), -1, np.int64)
    for number, ((matrix, products), one) in enumerate(zip(rows, asked, strict=True)):
        evidence[number, : len(matrix)] = matrix
        there[number, : len(matrix)] = True
        if one.truth is not None and (products == one.truth).any():
            truth[number] = int((products == one.truth).argmax())
    present = np.array([one.truth is not None for one in asked])
    return Questions(
        evidence,
        there,
        truth,
        present,
        np.where(present, 1.0, ABSENT) * [one.weight for one in asked],
        np.array([one.product % PARTS for one in asked], np.int64),
    )
