"""Move the prior's weights as far as a catalog's own photos, left out one by one, justify.

Weights are the maximum a posteriori of the conditional logit under a narrow normal prior around those of
packsight.indexer.build.prior, which were fitted on several catalogs together. They are used only if answers by weights that have
not seen the product (cross-fitting over products) are better than the prior's. Thresholds may rise for a catalog whose photos
ask for it, never fall: photos taken by the shop are easier than others.

Photos that people reviewed teach weights beside those left out. Which of them were looked at depends on what was seen on them,
how unsure the answer was, and weights say how likely an answer is given what is seen: that stays true of whatever photos are
chosen so. A threshold is about all answers together, for which only those stand that were drawn by lot.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from packsight.indexer.build.alike import alike
from packsight.indexer.build.calibration import Answers, raised
from packsight.indexer.build.examples import NOTHING, training_examples
from packsight.indexer.build.logit import cross_fitted, fit_weights
from packsight.indexer.build.parameters import FIT, CalibrationParameters, FitParameters, WeightParameters
from packsight.indexer.build.prior import PRIOR
from packsight.indexer.build.training_set import BoolArray, TrainingSet, training_set
from packsight.indexer.reviewed.pairs import NO_PAIRS, Pairs
from packsight.shared.catalog.decision_model import Matrix, Model, Stage
from packsight.shared.catalog.evidence import STAGES
from packsight.shared.catalog.manifest import SelfCheck
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.matching.candidates import Query
from packsight.shared.matching.exclusion import Exclusion
from packsight.shared.matching.ranking import Ranking
from packsight.shared.matching.stages import rank_by_all, rank_by_details, rank_by_telling_lines
from packsight.shared.matching.stopping import is_name_read, overruled
from packsight.shared.matching.telling import in_telling_places
from packsight.shared.vision.features import Features

Stages = Mapping[str, TrainingSet]
"""Training examples as arrays, by the names of STAGES."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """The model of a version, and what it makes of photos: its own left out, made ones of only ones, those that were reviewed."""

    model: Model
    left_out: SelfCheck
    made: SelfCheck
    reviewed: SelfCheck
    notes: tuple[str, ...]


def fit(
    snapshot: Snapshot,
    features: Mapping[str, Features],
    prior: Model = PRIOR,
    parameters: FitParameters = FIT,
    made: Mapping[str, Features] = NOTHING,
    reviewed: Pairs = NO_PAIRS,
) -> Fitted:
    """Fit the model of a version whose other files are written; features, made, reviewed: as for training_examples."""
    examples = list(training_examples(snapshot, features, parameters, made, reviewed))
    if not examples:
        return Fitted(prior, SelfCheck(), SelfCheck(), SelfCheck(), ("No photo can be left out: the prior decides",))
    asked = [ask(one.query, one.snapshot, one.exclusion) for one in examples]
    truths, products = [one.truth for one in examples], [one.product for one in examples]
    is_made, is_reviewed, sampled, again = (
        np.array([getattr(one, name) for one in examples]) for name in ("made", "reviewed", "sampled", "again")
    )
    stages = training_sets(asked, truths, products, parameters.weights, sent=is_reviewed.tolist())
    teaching = ~is_made & ~again
    best, notes = _best(_taken(stages, teaching), prior, parameters)
    # Apart, since easy photos must not hide what the others ask for.
    groups = (
        best.taken(~is_reviewed[teaching]), _with(best.model, _taken(stages, is_made), prior),
        _with(best.model, _taken(stages, sampled), prior),
    )  # fmt: skip
    thresholds = [_thresholds(group, prior, parameters.calibration) for group in groups]
    model = best.model.model_copy(update={name: max(one[name] for one in thresholds) for name in thresholds[0]})
    left_out, of_made, _ = (group.self_check(model) for group in groups)
    of_reviewed = _with(best.model, _taken(stages, is_reviewed), prior).self_check(model)
    notes = (*notes, *alike(examples, [full.ranking for *_, full in asked]))
    return Fitted(model, left_out, of_made, of_reviewed, notes)


def _best(stages: Stages, prior: Model, parameters: FitParameters) -> tuple[_Candidate, tuple[str, ...]]:
    """Fitted weights where they answer better than the prior's, else these; with notes that say so."""
    given = _with(prior, stages, prior)
    if not len(given.answers.right):
        return given, ("No photo can be left out: the prior's weights decide, photos made of only ones can raise its thresholds",)
    fitted, rivals = _fitted(stages, prior, parameters), parameters.calibration.rivals
    if fitted.answers.loss(rivals) < given.answers.loss(rivals) - parameters.weights.margin:
        return fitted, ()
    return given, ("Fitted weights did no better on photos left out: the prior decides",)


def _thresholds(group: _Candidate, prior: Model, parameters: CalibrationParameters) -> dict[str, float]:
    """The prior's thresholds, raised where the answers to these photos ask for it."""
    matched = raised(group.answers, prior.matched, parameters.precision, parameters)
    # The lines that tell answer where a whole name was read: what is wrong where none was says nothing of them.
    told = raised(answered_at("lines", group.stages, group.shares), prior.told, parameters.precision, parameters)
    return {"matched": matched, "sure": max(prior.sure, matched), "told": told, "enough": max(prior.enough, matched)}


class Asked(NamedTuple):
    """What a stage says of a photo, None where it may not decide; overruled: which of its products the print contradicts."""

    ranking: Ranking | None
    overruled: BoolArray


def ask(query: Query, snapshot: Snapshot, exclusion: Exclusion | None) -> list[Asked]:
    """What each of STAGES says of a photo, as workers would answer it: what was read overrules the first two."""
    rules = snapshot.parameters.telling
    by_details = rank_by_details(query, snapshot, exclusion)
    by_lines = rank_by_telling_lines(query, by_details, snapshot, exclusion)
    told = by_lines if by_lines is not None and is_name_read(by_lines, snapshot) else None
    found = []
    for ranking, lines in ((by_details, rules.checked), (told, rules.lines)):
        against = np.zeros(0, np.bool_)
        if ranking is not None:
            read = in_telling_places(query, by_details, snapshot, lines)
            against = overruled(ranking, ranking.rows, read, snapshot, exclusion)
        found.append(Asked(ranking, against))
    full = rank_by_all(query, snapshot, exclusion)
    return [*found, Asked(full, np.zeros(len(full.order), np.bool_))]


def training_sets(
    asked: Sequence[Sequence[Asked]],
    truths: Sequence[int | None],
    products: Sequence[int],
    parameters: WeightParameters = FIT.weights,
    *,
    sent: Sequence[bool] = (),
) -> Stages:
    """What `ask` gave, as arrays; see training_set."""
    stages = zip(STAGES.items(), zip(*asked, strict=True), strict=True)
    return {
        name: training_set(
            [one.ranking for one in found], truths, products, names, parameters,
            sent=sent, overruled=[one.overruled for one in found],
        )
        for (name, names), found in stages
    }


@dataclass(frozen=True, slots=True)
class _Candidate:
    """Weights, and what they answer to examples; shares: P by weights that have not seen the example."""

    model: Model
    stages: Stages
    shares: Mapping[str, Matrix]
    answers: Answers

    def taken(self, rows: BoolArray) -> _Candidate:
        """Of some of the examples."""
        shares = {name: one[rows] for name, one in self.shares.items()}
        return _Candidate(self.model, _taken(self.stages, rows), shares, self.answers.taken(rows))

    def self_check(self, model: Model) -> SelfCheck:
        """What is recognised with the thresholds of this model."""
        return answers(self.stages, self.shares, model).self_check(matched_from(self.stages, self.shares, model))


def _fitted(stages: Stages, prior: Model, parameters: FitParameters) -> _Candidate:
    spread, rules = parameters.weights.spread, parameters.weights
    weights, shares = {}, {}
    for name, examples in stages.items():
        names, before = STAGES[name], prior.stage(name).vector(STAGES[name])
        weights[name] = stage(names, fit_weights([examples], names, before, spread, rules))
        shares[name] = cross_fitted(examples, names, before, spread, rules)
    model = prior.model_copy(update={**weights, "fitted": True})
    return _Candidate(model, stages, shares, answers(stages, shares, prior))


def _with(model: Model, stages: Stages, prior: Model) -> _Candidate:
    shares = shares_by(model, stages)
    return _Candidate(model, stages, shares, answers(stages, shares, prior))


def _taken(stages: Stages, rows: BoolArray) -> Stages:
    return {name: examples.take(rows) for name, examples in stages.items()}


def shares_by(model: Model, stages: Stages) -> dict[str, Matrix]:
    """P of each candidate of each example, by stage."""
    return {name: one.shares(model.stage(name).vector(STAGES[name]))[0] for name, one in stages.items()}


def stage(names: tuple[str, ...], weights: Matrix) -> Stage:
    """Weights as they are stored."""
    return Stage(weights={name: round(float(weight), 6) for name, weight in zip(names, weights, strict=True)})


def answers(stages: Stages, shares: Mapping[str, Matrix], model: Model) -> Answers:
    """What is answered: by details where they are sure, by the lines that tell where these are, else by everything."""
    result = answered_at("full", stages, shares)
    for name, least in (("lines", model.told), ("details", model.sure)):
        early = answered_at(name, stages, shares)
        decides = early.confidence >= least
        confidence, right = np.where(decides, early.confidence, result.confidence), np.where(decides, early.right, result.right)
        result = replace(result, confidence=confidence, right=right)
    return result


def matched_from(stages: Stages, shares: Mapping[str, Matrix], model: Model) -> Matrix:
    """The confidence from which the answer to each example is `matched`: of what decides it."""
    by_details, by_lines = (answered_at(name, stages, shares).confidence for name in ("details", "lines"))
    return np.where((by_details < model.sure) & (by_lines >= model.told), model.told, model.matched)


def answered_at(name: str, stages: Stages, shares: Mapping[str, Matrix]) -> Answers:
    """The first candidate of each example at one stage; confidence 0 where it has none or the print overrules it."""
    examples, first = stages[name], shares[name].argmax(axis=1)
    every = np.arange(len(first))
    confidence = np.where(examples.overruled[every, first], 0.0, shares[name][every, first])
    right = (first == examples.truth) & examples.listed
    return Answers(confidence, right, examples.listed, examples.weight)
