"""Fit the matching model of a version on the catalog's own photos, left out one by one.

Weights are the maximum a posteriori of the conditional logit under a normal prior around shared/matching/model.py's
PRIOR, so that a small catalog stays near it. Confidence curve and threshold come from answers by weights that have
not seen the product (cross-fitting over products). A fit is used only if, by those answers, it does no worse than
the parent's model and the prior.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from indexer.leave_out import Asked, questions
from shared.catalog import SelfCheck
from shared.features import Features
from shared.matching.candidates import candidates
from shared.matching.evidence import gather
from shared.matching.matcher import look_closer, ranked
from shared.matching.model import CLEAR, CLOSE, PRIOR, SPREAD, Curve, Matrix, Model, Stage
from shared.matching.snapshot import Snapshot

ABSENT = 0.2
"""Photos of products that are not listed, per photo of one that is: what the threshold is meant for."""
EVERYDAY = 0.5
"""Share of those by which confidences are fitted: the threshold must hold where twice as many strangers are sent."""
PRECISION = 0.98
"""Estimated precision of `matched` answers."""
CLOSE_QUESTIONS = 600
"""Doubtful questions compared closely at most, those of photos drawn by lot, which bounds the time of a build."""
KEPT = 24
"""Candidates of a question that take part in the fit."""
PARTS = 5
LIKELY = 0.5
"""Share of a first candidate from which it teaches the clear curve; others are not answered without a close look."""
RIVALS = 10.0
"""Products that share what confidence a wrong first candidate leaves, when models are compared."""
ALLOWANCE = 1.01
"""How much worse a fit may be than other weights: it is judged by weights that have seen a fifth less than those in use."""
SURE = 5.0
"""Answers of the model's own confidence that the estimate of a threshold's precision starts from."""


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


def fit_curve(probability: Matrix, right: npt.NDArray[np.bool_], weight: Matrix) -> Curve:
    """Platt's curve, drawn towards the identity."""
    clipped = np.clip(probability, 1e-9, 1 - 1e-9)
    logit = np.log(clipped / (1 - clipped))
    target = right.astype(np.float64)

    def objective(x: Matrix) -> float:
        z = x[0] * logit + x[1]
        pull = 2.0 * (x[0] - 1) ** 2 + 0.5 * x[1] ** 2
        return float(weight @ (np.logaddexp(0, z) - target * z) + pull)

    found = minimize(objective, np.array([1.0, 0.0]), method="L-BFGS-B", bounds=[(0.1, 5.0), (-5.0, 5.0)])
    return Curve(slope=round(float(found.x[0]), 6), offset=round(float(found.x[1]), 6))


@dataclass(frozen=True, slots=True)
class Answers:
    """Final answers to all questions by cross-fitted weights: first candidate's confidence, and was it right.

    weight: how often such photos are sent; 0 for doubtful ones that were not compared closely. worn: was a worn copy
    asked although the photo itself could be.
    """

    confidence: Matrix
    right: npt.NDArray[np.bool_]
    present: npt.NDArray[np.bool_]
    weight: Matrix
    worn: npt.NDArray[np.bool_]

    def self_check(self, matched: float) -> SelfCheck:
        """What of the photos whose product is listed was recognised."""
        asked = self.present & ~self.worn
        told = asked & (self.confidence >= matched)
        whole, part = float(self.weight[asked].sum()), float(self.weight[told].sum())
        return SelfCheck(
            photos=int(asked.sum()),
            top1=round(float(self.weight[asked] @ self.right[asked]) / whole, 6) if whole else 0.0,
            precision_matched=round(float(self.weight[told] @ self.right[told]) / part, 6) if part else 0.0,
            share_matched=round(part / whole, 6) if whole else 0.0,
        )


def threshold(answers: Answers) -> float:
    """Smallest confidence from which answers are estimated to be right in PRECISION of cases; 1 when there is none.

    The estimate for the answers above a confidence starts from SURE answers at the mean of their own confidence.
    """
    order = np.argsort(-answers.confidence, kind="stable")
    weight, right, confidence = answers.weight[order], answers.right[order], answers.confidence[order]
    total = np.cumsum(weight)
    mean = np.cumsum(weight * confidence) / np.maximum(total, 1e-12)
    precision = (np.cumsum(weight * right) + SURE * mean) / (total + SURE)
    good = np.flatnonzero(precision >= PRECISION)
    return round(float(np.clip(confidence[good[-1]], 0.5, 1.0)), 6) if len(good) else 1.0


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
    best = min(results, key=lambda name: results[name].loss * (1.0 if name == "fit" else ALLOWANCE))
    notes = (
        () if best == "fit" else (f"Fitted weights did no better on photos left out: the weights of the {best} decide",)
    )
    return results[best].model, results[best].answers.self_check(results[best].model.matched), notes


@dataclass(frozen=True, slots=True)
class _Fitted:
    model: Model
    answers: Answers
    loss: float


def _fitted(asked: Sequence[Asked], clear: Questions, given: Model | None) -> _Fitted:
    """Fit weights (or take those given), curves and threshold."""
    prior = PRIOR.clear.vector(CLEAR)
    if given is None:
        weights = fit_weights(clear, prior)
        shares = cross_fitted(clear, prior)
    else:
        weights = given.clear.vector(CLEAR)
        shares, _ = clear.shares(weights)
    confidence, right = _first(clear, shares)
    likely = confidence >= LIKELY
    curve = fit_curve(confidence[likely], right[likely], _everyday(clear)[likely])
    confidence = curve(confidence)
    stage = Stage(weights=_named(CLEAR, weights), curve=curve)
    worn = np.array([one.worn and one.leave is not None for one in asked])
    sure = threshold(Answers(confidence, right, clear.present, clear.weight, worn))
    draft = Model(clear=stage, close=PRIOR.close, fitted=True)

    doubtful = np.array([one.leave is not None for one in asked]) & (confidence < max(sure, PRECISION))
    rows = drawn(doubtful, np.array([one.photo for one in asked]))
    # The doubtful questions that were drawn stand for all of them, so that the answers are those of real photos.
    weight = np.where(doubtful, 0.0, clear.weight)
    weight[rows] = clear.weight[rows] * float(doubtful.sum()) / max(len(rows), 1)
    if len(rows):
        close = _close_questions([asked[row] for row in rows.tolist()], draft)
        prior = PRIOR.close.vector(CLOSE)
        if given is None:
            weights = fit_weights(close, prior)
            shares = cross_fitted(close, prior)
        else:
            weights = given.close.vector(CLOSE)
            shares, _ = close.shares(weights)
        again, right_again = _first(close, shares)
        curve = fit_curve(again, right_again, _everyday(close))
        unsure = confidence[rows] < sure
        confidence[rows[unsure]], right[rows[unsure]] = curve(again)[unsure], right_again[unsure]
        draft = draft.model_copy(update={"close": Stage(weights=_named(CLOSE, weights), curve=curve)})
    answers = Answers(confidence, right, clear.present, weight, worn)
    clipped = np.clip(confidence, 1e-6, 1 - 1e-6)
    chance = np.where(right, clipped, np.where(clear.present, (1 - clipped) / RIVALS, 1 - clipped))
    loss = float(weight @ -np.log(chance)) / float(weight.sum())
    matched = threshold(answers)
    return _Fitted(draft.model_copy(update={"matched": matched, "sure": max(sure, matched)}), answers, loss)


def _everyday(questions: Questions) -> Matrix:
    return np.where(questions.present, questions.weight, EVERYDAY * questions.weight)


def drawn(doubtful: npt.NDArray[np.bool_], photo: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Doubtful questions that are compared closely: all, or those of some photos drawn by lot, the same at every call.

    Taking the most doubtful would teach the close look on photos unlike those that it will see.
    """
    rows = np.flatnonzero(doubtful)
    if len(rows) <= CLOSE_QUESTIONS:
        return rows
    place = np.random.default_rng(0).permutation(int(photo.max()) + 1)[photo[rows]]
    return np.sort(rows[np.argsort(place, kind="stable")][:CLOSE_QUESTIONS])


def _first(questions: Questions, shares: Matrix) -> tuple[Matrix, npt.NDArray[np.bool_]]:
    first = shares.argmax(axis=1)
    return shares[np.arange(len(first)), first], (first == questions.truth) & questions.present


def _named(names: Sequence[str], weights: Matrix) -> dict[str, float]:
    return {name: round(float(weight), 6) for name, weight in zip(names, weights, strict=True)}


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
