"""What is learned on the catalog itself: weights, confidence, threshold."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from packsight.indexer.build import logit
from packsight.indexer.build.calibration import Answers, fit_curve, threshold
from packsight.indexer.build.examples import augmented, example_photos, training_examples
from packsight.indexer.build.fit import drawn, fit
from packsight.indexer.build.logit import TrainingSet, fit_weights
from packsight.indexer.build.parameters import FIT, PRIOR
from packsight.indexer.build.projection import fit_projection, whitening
from packsight.shared.catalog.decision_model import Stage
from packsight.shared.catalog.evidence import FIRST_STAGE
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.matching.matcher import Variant, rank
from packsight.shared.vision.features import Features
from tests.unit.matching_catalog import build, photo, product, shop

Catalog = tuple[Snapshot, dict[str, Features]]


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    snapshot, photos = shop(tmp_path_factory.mktemp("fit") / "v")
    return snapshot, {features.sha256: features for group in photos.values() for features in group}


def test_a_left_out_photo_is_neither_near_nor_explained_by_itself(catalog: Catalog) -> None:
    snapshot, features = catalog
    for one in training_examples(snapshot, features):
        ranking = rank(one.query, one.snapshot, exclusion=one.exclusion, variant=Variant.FIRST_STAGE)
        assert one.exclusion is not None
        assert one.photo not in ranking.candidates.appearance.nearest
        if one.exclusion.whole_product:
            assert one.product not in ranking.order


def test_a_photo_that_shares_nothing_with_its_siblings_is_not_recognised_when_left_out(catalog: Catalog) -> None:
    snapshot, features = catalog
    asked = [one for one in training_examples(snapshot, features) if not one.augmented and one.truth is not None]
    assert len(asked) == 36
    first = asked[0]
    assert first.exclusion is not None and not first.exclusion.whole_product


def test_the_projection_of_an_example_has_not_seen_its_photo(catalog: Catalog) -> None:
    snapshot, features = catalog
    first = next(iter(training_examples(snapshot, features)))
    assert not np.allclose(first.snapshot.projection.mean, snapshot.projection.mean)


def test_augmented_copies_are_the_same_at_every_call_and_have_lost_words(catalog: Catalog) -> None:
    snapshot, features = catalog
    photos = list(features.values())
    assert augmented(photos[0], snapshot).words.keys == augmented(photos[0], snapshot).words.keys
    assert sum(len(augmented(one, snapshot).words.keys) for one in photos) < 0.8 * 4 * len(photos)


def test_photos_that_can_be_left_out_are_asked_first_and_count_for_what_they_are(tmp_path: Path) -> None:
    few = replace(FIT, examples=replace(FIT.examples, max_photos=8))
    products = [product(number, "Arvelo", f"Cream {number}") for number in range(22)]
    shots = [3, 3] + [1] * 20
    photos = {f"p{n}": [photo(f"{n}-{i}", [f"Cream {n}"], n) for i in range(count)] for n, count in enumerate(shots)}
    snapshot = build(tmp_path / "v", products, photos)
    asked, stands_for = example_photos(snapshot, few.examples)
    several = snapshot.photo_product[asked] < 2
    assert len(set(asked.tolist())) == 8 and several.sum() == 4 and np.all(np.diff(asked) > 0)
    assert stands_for.sum() == pytest.approx(8)
    assert stands_for[several].sum() / stands_for.sum() == pytest.approx(6 / 26)
    known = {features.sha256: features for group in photos.values() for features in group}
    weights = {one.photo: one.weight for one in training_examples(snapshot, known, few)}
    assert [weights[photo] for photo in asked.tolist()] == pytest.approx(stands_for.tolist())


def training_set(evidence: np.ndarray, truth: list[int]) -> TrainingSet:
    count = len(truth)
    return TrainingSet(
        evidence, np.ones(evidence.shape[:2], np.bool_), np.array(truth, np.int64), np.array(truth) >= 0,
        np.ones(count), np.arange(count) % 5,
    )  # fmt: skip


def test_weights_stay_at_the_prior_without_questions_and_follow_many() -> None:
    rng = np.random.default_rng(0)
    evidence = rng.normal(size=(400, 3, 2))
    truth = evidence[:, :, 0].argmax(axis=1).tolist()
    prior = np.array([1.0, 1.0])
    none = fit_weights(training_set(evidence[:0], []), prior)
    many = fit_weights(training_set(evidence, truth), prior)
    assert np.allclose(none, prior)
    assert many[0] > 3
    assert 0 <= many[1] < 0.5


def test_a_weight_never_changes_its_sign() -> None:
    rng = np.random.default_rng(0)
    evidence = rng.normal(size=(400, 3, 1))
    truth = evidence[:, :, 0].argmin(axis=1).tolist()
    assert fit_weights(training_set(evidence, truth), np.array([1.0]))[0] == 0


def test_the_curve_lowers_confidence_that_is_not_earned() -> None:
    probability = np.full(1000, 0.95)
    right = np.arange(1000) % 10 < 7
    curve = fit_curve(probability, right, np.ones(1000))
    assert abs(float(curve(np.array([0.95]))[0]) - 0.7) < 0.03


def test_the_threshold_is_where_answers_are_precise() -> None:
    confidence = np.linspace(0.0, 1.0, 1001)
    answers = Answers(confidence, confidence > 0.8, np.ones(1001, np.bool_), np.ones(1001), np.zeros(1001, np.bool_))
    assert 0.78 < threshold(answers) < 0.81


def test_no_confidence_is_enough_when_answers_are_wrong() -> None:
    confidence = np.linspace(0.5, 1.0, 100)
    wrong = np.zeros(100, np.bool_)
    assert threshold(Answers(confidence, wrong, ~wrong, np.ones(100), wrong)) == 1.0


def test_examples_that_are_reranked_are_drawn_by_photo_and_whatever_their_doubt() -> None:
    photo = np.repeat(np.arange(200), 5)
    doubtful = np.arange(1000) % 5 != 0
    assert np.array_equal(drawn(doubtful, photo, 800), np.flatnonzero(doubtful))
    rows = drawn(doubtful, photo, 100)
    assert len(rows) == 100 and doubtful[rows].all()
    assert np.array_equal(np.unique(photo[rows], return_counts=True)[1], np.full(25, 4))
    assert photo[rows].min() < 20 and photo[rows].max() > 180


def test_examples_that_were_drawn_stand_for_those_that_were_not() -> None:
    confidence = np.array([0.99, 0.99, 0.99, 0.4, 0.4])
    right, yes = np.array([True, True, True, False, True]), np.ones(5, np.bool_)
    answers = Answers(confidence, right, yes, np.array([1.0, 1.0, 1.0, 3.0, 0.0]), ~yes)
    assert answers.self_check(0.9).top1 == 0.5
    assert answers.self_check(0.9).share_matched == 0.5
    assert answers.self_check(0.9).photos == 5


def test_a_fit_that_is_worse_than_the_parents_is_not_used(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot, features = catalog
    monkeypatch.setattr(logit, "fit_weights", lambda _, prior, __: -prior)
    parent = PRIOR.model_copy(update={"first_stage": Stage(weights={**PRIOR.first_stage.weights, "appearance": 7.25})})
    model, _, notes = fit(snapshot, features, parent)
    assert model.first_stage.weights["appearance"] in {7.25, PRIOR.first_stage.weights["appearance"]}
    assert "did no better" in notes[0]


def test_a_fit_that_is_better_is_used(catalog: Catalog) -> None:
    snapshot, features = catalog
    model, check, notes = fit(snapshot, features, None)
    assert notes == ()
    assert model.fitted and set(model.first_stage.weights) == set(FIRST_STAGE)
    assert 0.5 <= model.matched <= model.sure <= 1
    assert check.top1 == 1.0


def test_whitening_gives_even_variance_and_tiny_catalogs_keep_raw_directions() -> None:
    rng = np.random.default_rng(0)
    raw = (5 + rng.normal(size=(200, 12)) * np.linspace(1, 8, 12)).astype(np.float32)
    unit = raw / np.linalg.norm(raw, axis=1, keepdims=True)
    projection = whitening(raw, 8, replace(FIT.projection, shrinkage=0.0))
    spread = ((unit - projection.mean) @ projection.matrix).std(axis=0)
    assert np.allclose(spread, spread[0], rtol=0.05)
    assert fit_projection(raw[:5], np.arange(5, dtype=np.int32)).matrix.shape == (12, 0)
