"""What is learned on the catalog itself: weights, confidence, threshold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from packsight.indexer.build import fit as fit_module
from packsight.indexer.build import leave_out, logit
from packsight.indexer.build.calibration import Answers, fit_curve, threshold
from packsight.indexer.build.fit import fit
from packsight.indexer.build.leave_out import leave_one_out, questions, worn
from packsight.indexer.build.logit import Questions, fit_weights
from packsight.indexer.build.projection import fit_projection, whitening
from packsight.shared.catalog.decision_model import CLEAR, PRIOR, Stage
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.matching.matcher import Variant
from packsight.shared.vision.features import Features
from tests.unit.matching_catalog import build, photo, product, shop

Catalog = tuple[Snapshot, dict[str, Features]]


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    snapshot, photos = shop(tmp_path_factory.mktemp("fit") / "v")
    return snapshot, {features.sha256: features for group in photos.values() for features in group}


def test_a_left_out_photo_is_neither_near_nor_explained_by_itself(catalog: Catalog) -> None:
    snapshot, features = catalog
    for asked, ranking in leave_one_out(snapshot, features, Variant.CLEAR):
        assert asked.leave is not None
        assert asked.photo not in ranking.gathered.nearest
        if asked.leave.whole:
            assert asked.product not in ranking.order


def test_a_photo_that_shares_nothing_with_its_siblings_is_not_recognised_when_left_out(catalog: Catalog) -> None:
    snapshot, features = catalog
    asked = [one for one in questions(snapshot, features) if not one.worn and one.truth is not None]
    assert len(asked) == 36
    first = asked[0]
    assert first.leave is not None and not first.leave.whole


def test_the_projection_of_a_question_has_not_seen_its_photo(catalog: Catalog) -> None:
    snapshot, features = catalog
    first = next(iter(questions(snapshot, features)))
    assert not np.allclose(first.snapshot.projection.mean, snapshot.projection.mean)


def test_worn_copies_are_the_same_at_every_call_and_have_lost_words(catalog: Catalog) -> None:
    snapshot, features = catalog
    photos = list(features.values())
    assert worn(photos[0], snapshot).reading.keys == worn(photos[0], snapshot).reading.keys
    assert sum(len(worn(one, snapshot).reading.keys) for one in photos) < 0.8 * 4 * len(photos)


def test_photos_that_can_be_left_out_are_asked_first_and_count_for_what_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leave_out, "MAX_ASKED", 8)
    products = [product(number, "Arvelo", f"Cream {number}") for number in range(22)]
    shots = [3, 3] + [1] * 20
    photos = {f"p{n}": [photo(f"{n}-{i}", [f"Cream {n}"], n) for i in range(count)] for n, count in enumerate(shots)}
    snapshot = build(tmp_path / "v", products, photos)
    asked, stands_for = leave_out.asked_photos(snapshot)
    several = snapshot.photo_product[asked] < 2
    assert len(set(asked.tolist())) == 8 and several.sum() == 4 and np.all(np.diff(asked) > 0)
    assert stands_for.sum() == pytest.approx(8)
    assert stands_for[several].sum() / stands_for.sum() == pytest.approx(6 / 26)
    known = {features.sha256: features for group in photos.values() for features in group}
    weights = {one.photo: one.weight for one in questions(snapshot, known)}
    assert [weights[photo] for photo in asked.tolist()] == pytest.approx(stands_for.tolist())


def questions_of(evidence: np.ndarray, truth: list[int]) -> Questions:
    count = len(truth)
    return Questions(
        evidence, np.ones(evidence.shape[:2], np.bool_), np.array(truth, np.int64), np.array(truth) >= 0,
        np.ones(count), np.arange(count) % 5,
    )  # fmt: skip


def test_weights_stay_at_the_prior_without_questions_and_follow_many() -> None:
    rng = np.random.default_rng(0)
    evidence = rng.normal(size=(400, 3, 2))
    truth = evidence[:, :, 0].argmax(axis=1).tolist()
    prior = np.array([1.0, 1.0])
    none = fit_weights(questions_of(evidence[:0], []), prior)
    many = fit_weights(questions_of(evidence, truth), prior)
    assert np.allclose(none, prior)
    assert many[0] > 3
    assert 0 <= many[1] < 0.5


def test_a_weight_never_changes_its_sign() -> None:
    rng = np.random.default_rng(0)
    evidence = rng.normal(size=(400, 3, 1))
    truth = evidence[:, :, 0].argmin(axis=1).tolist()
    assert fit_weights(questions_of(evidence, truth), np.array([1.0]))[0] == 0


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


def test_questions_for_the_close_look_are_drawn_by_photo_and_whatever_their_doubt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    photo = np.repeat(np.arange(200), 5)
    doubtful = np.arange(1000) % 5 != 0
    monkeypatch.setattr(fit_module, "CLOSE_QUESTIONS", 800)
    assert np.array_equal(fit_module.drawn(doubtful, photo), np.flatnonzero(doubtful))
    monkeypatch.setattr(fit_module, "CLOSE_QUESTIONS", 100)
    rows = fit_module.drawn(doubtful, photo)
    assert len(rows) == 100 and doubtful[rows].all()
    assert np.array_equal(np.unique(photo[rows], return_counts=True)[1], np.full(25, 4))
    assert photo[rows].min() < 20 and photo[rows].max() > 180


def test_questions_that_were_drawn_stand_for_those_that_were_not() -> None:
    confidence = np.array([0.99, 0.99, 0.99, 0.4, 0.4])
    right, yes = np.array([True, True, True, False, True]), np.ones(5, np.bool_)
    drawn = Answers(confidence, right, yes, np.array([1.0, 1.0, 1.0, 3.0, 0.0]), ~yes)
    assert drawn.self_check(0.9).top1 == 0.5
    assert drawn.self_check(0.9).share_matched == 0.5
    assert drawn.self_check(0.9).photos == 5


def test_a_fit_that_is_worse_than_the_parents_is_not_used(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot, features = catalog
    monkeypatch.setattr(logit, "fit_weights", lambda _, prior: -prior)
    parent = PRIOR.model_copy(update={"clear": Stage(weights={**PRIOR.clear.weights, "looks": 7.25})})
    model, _, notes = fit(snapshot, features, parent)
    assert model.clear.weights["looks"] in {7.25, PRIOR.clear.weights["looks"]}
    assert "did no better" in notes[0]


def test_a_fit_that_is_better_is_used(catalog: Catalog) -> None:
    snapshot, features = catalog
    model, check, notes = fit(snapshot, features, None)
    assert notes == ()
    assert model.fitted and set(model.clear.weights) == set(CLEAR)
    assert 0.5 <= model.matched <= model.sure <= 1
    assert check.top1 == 1.0


def test_whitening_gives_even_variance_and_tiny_catalogs_keep_raw_directions() -> None:
    rng = np.random.default_rng(0)
    raw = (5 + rng.normal(size=(200, 12)) * np.linspace(1, 8, 12)).astype(np.float32)
    unit = raw / np.linalg.norm(raw, axis=1, keepdims=True)
    projection = whitening(raw, 8, shrinkage=0.0)
    spread = ((unit - projection.mean) @ projection.matrix).std(axis=0)
    assert np.allclose(spread, spread[0], rtol=0.05)
    assert fit_projection(raw[:5], np.arange(5, dtype=np.int32)).matrix.shape == (12, 0)
