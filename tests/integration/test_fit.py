"""What is learned on the catalog itself: how far its photos, left out, move the prior's weights and thresholds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from packsight.indexer.build import logit
from packsight.indexer.build.calibration import Answers, raised, threshold
from packsight.indexer.build.examples import example_photos, training_examples
from packsight.indexer.build.fit import answered_at, answers, ask, fit, matched_from, shares_by, training_sets
from packsight.indexer.build.logit import fit_weights
from packsight.indexer.build.parameters import FIT
from packsight.indexer.build.prior import PRIOR, read_prior
from packsight.indexer.build.projection import fit_projection, whitening
from packsight.indexer.build.training_set import TrainingSet, training_set
from packsight.indexer.reviewed.pairs import Pair, Pairs
from packsight.shared.catalog.decision_model import Matrix, Model, Stage
from packsight.shared.catalog.evidence import AGAINST, FULL, STAGES
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.contract.errors import CatalogError, UserError
from packsight.shared.matching.candidates import Query
from packsight.shared.matching.stages import rank_by_all, rank_by_details
from packsight.shared.vision.features import Features
from tests.unit.matching_catalog import NAMES, build, photo, printed, product, shop
from tests.unit.printed import printed as pack

Catalog = tuple[Snapshot, dict[str, Features]]
PRECISION = FIT.calibration.precision


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    snapshot, photos = shop(tmp_path_factory.mktemp("fit") / "v", print_=True)
    return snapshot, by_hash(photos)


def by_hash(photos: Mapping[str, list[Features]]) -> dict[str, Features]:
    return {features.sha256: features for group in photos.values() for features in group}


def test_a_left_out_photo_is_neither_near_nor_laid_over_itself_and_a_left_out_product_is_no_candidate(
    catalog: Catalog,
) -> None:
    snapshot, features = catalog
    for one in training_examples(snapshot, features):
        assert one.exclusion is not None
        for rank in (rank_by_details, rank_by_all):
            ranking = rank(one.query, one.snapshot, exclusion=one.exclusion)
            assert any(laid.match.inliers for laid in ranking.laid.values()) != one.exclusion.whole_product
            if one.exclusion.whole_product:
                assert one.product not in ranking.order
            else:
                assert ranking.order[0] == one.product
                assert one.exclusion.photo not in ranking.compared.appearance.nearest
                assert one.exclusion.photo not in {laid.photo for laid in ranking.laid.values()}


def test_every_photo_but_the_first_of_a_product_is_asked_as_listed_and_as_not_listed(catalog: Catalog) -> None:
    asked = list(training_examples(*catalog))
    assert len(asked) == 48
    for listed, absent in zip(asked[::2], asked[1::2], strict=True):
        assert listed.exclusion is not None and absent.exclusion is not None
        assert (listed.truth, absent.truth) == (listed.product, None)
        assert (listed.exclusion.whole_product, absent.exclusion.whole_product) == (False, True)


def test_the_projection_of_an_example_has_not_seen_its_photo(catalog: Catalog) -> None:
    snapshot, features = catalog
    first = next(iter(training_examples(snapshot, features)))
    assert not np.allclose(first.snapshot.projection.mean, snapshot.projection.mean)


def uneven(folder: Path, shots: list[int]) -> Catalog:
    """A catalog with so many photos of each product."""
    products = [product(number, *NAMES[number % len(NAMES)]) for number in range(len(shots))]
    photos = {
        f"p{n}": [photo(f"{n}-{i}", [*NAMES[n % len(NAMES)]], n) for i in range(count)] for n, count in enumerate(shots)
    }
    return build(folder, products, photos), by_hash(photos)


def test_all_photos_but_the_first_of_each_product_are_asked_and_at_most_so_many(tmp_path: Path) -> None:
    snapshot, _ = uneven(tmp_path / "v", [3, 1, 1, 2, 1])
    assert example_photos(snapshot).tolist() == [1, 2, 6]
    few = example_photos(snapshot, replace(FIT.examples, max_photos=2)).tolist()
    assert len(few) == 2 and set(few) < {1, 2, 6}


def test_a_catalog_of_only_photos_keeps_the_prior_as_it_is_and_says_so(tmp_path: Path) -> None:
    snapshot, features = uneven(tmp_path / "v", [1] * 12)
    fitted = fit(snapshot, features)
    assert fitted.model == snapshot.model == PRIOR
    assert fitted.left_out.photos == fitted.made.photos == 0
    assert fitted.notes == ("No photo can be left out: the prior decides",)


def copies(count: int, shown: Mapping[int, int] | None = None) -> tuple[list[Features], dict[str, Features]]:
    """The only photos of so many products, and photos made of them; shown: products of which some are made instead."""
    only = [photo(f"{n}-0", [*NAMES[n]], n, local=printed(n)) for n in range(count)]
    made = {}
    for n in range(count):
        other = (shown or {}).get(n, n)
        made[only[n].sha256] = photo(f"{n}-made", [*NAMES[other]], other, local=printed(other))
    return only, made


def of_copies(folder: Path, only: list[Features], again: Mapping[int, Features] | None = None) -> Catalog:
    """A catalog of products with these photos each; again: second photos of some."""
    photos = {f"p{n}": [one, *([again[n]] if again and n in again else [])] for n, one in enumerate(only)}
    return build(folder, [product(n, *NAMES[n]) for n in range(len(only))], photos), by_hash(photos)


def test_a_photo_made_of_an_only_one_is_asked_while_that_stays_and_as_if_the_product_were_not_listed(tmp_path: Path) -> None:
    only, made = copies(12)
    again = {3: photo("3-1", [*NAMES[3]], 3, local=printed(3))}
    snapshot, features = of_copies(tmp_path / "v", only, again)
    asked = list(training_examples(snapshot, features, made=made))
    assert [one.made for one in asked] == [False] * 2 + [True] * 22, "what can be left out first, of its product nothing is made"
    for listed, absent in zip(asked[2::2], asked[3::2], strict=True):
        assert (listed.exclusion, listed.truth, absent.truth) == (None, listed.product, None)
        assert absent.exclusion is not None and absent.exclusion.whole_product
        ranking = rank_by_all(listed.query, snapshot)
        assert ranking.order[0] == listed.product
        assert only[listed.product].sha256 in {snapshot.photo_table.sha256(laid.photo) for laid in ranking.laid.values()}
        assert listed.product not in rank_by_all(absent.query, snapshot, exclusion=absent.exclusion).order


def test_photos_made_of_only_ones_move_no_weight_and_are_counted_apart(tmp_path: Path) -> None:
    only, made = copies(12)
    snapshot, features = of_copies(tmp_path / "v", only)
    fitted = fit(snapshot, features, IGNORANT, made=made)
    assert weights_of(fitted.model) == weights_of(IGNORANT) and not fitted.model.fitted
    assert (fitted.left_out.photos, fitted.made.photos) == (0, 12)
    assert "prior's weights decide" in fitted.notes[0]
    sure = fit(snapshot, features, made=made)
    assert sure.made.top1 == sure.made.precision_matched == 1.0
    assert {name: getattr(sure.model, name) for name in THRESHOLDS} == {name: getattr(PRIOR, name) for name in THRESHOLDS}


def test_made_photos_that_are_taken_for_other_products_raise_the_thresholds_and_are_named(tmp_path: Path) -> None:
    only, made = copies(12, {n: (n + 1) % 12 for n in range(12)})
    snapshot, features = of_copies(tmp_path / "v", only)
    fitted = fit(snapshot, features, made=made)
    assert fitted.made.top1 == fitted.made.share_matched == 0.0
    assert fitted.model.matched > PRIOR.matched
    assert fitted.notes[-1].endswith("p0 like p1, p1 like p2, p2 like p3, p3 like p4, p4 like p5 and 7 more")


def test_easy_made_photos_do_not_hide_what_left_out_ones_ask_for(tmp_path: Path) -> None:
    only, made = copies(12)
    wrong = {n: photo(f"{n}-1", [*NAMES[n + 1]], n + 1, local=printed(n + 1)) for n in range(0, 6, 2)}
    snapshot, features = of_copies(tmp_path / "v", only, wrong)
    alone, both = (fit(snapshot, features, made=some) for some in ({}, made))
    assert PRIOR.matched < alone.model.matched == both.model.matched
    assert alone.left_out == both.left_out and both.made.photos == 9


def test_of_two_products_with_one_photo_neither_is_matched_and_both_are_named(tmp_path: Path) -> None:
    only, made = copies(12)
    twin = {"p12": [only[0]]}
    photos = {f"p{n}": [one] for n, one in enumerate(only)} | twin
    products = [product(n, *NAMES[n]) for n in range(12)] + [product(12, *NAMES[0])]
    snapshot = build(tmp_path / "v", products, photos)
    fitted = fit(snapshot, by_hash(photos), made=made)
    assert fitted.made.photos == 13 and fitted.made.top1 == pytest.approx(12 / 13, abs=1e-6)
    assert fitted.notes[-1].endswith(": p12 like p0")
    answer = rank_by_all(Query.of(made[only[0].sha256], snapshot), snapshot)
    assert set(answer.order[:2].tolist()) == {0, 12} and answer.probability[0] < 0.51 < fitted.model.matched


def test_where_every_product_is_listed_twice_nothing_is_matched(tmp_path: Path) -> None:
    only, made = copies(6)
    photos = {f"p{n}": [only[n // 2]] for n in range(12)}
    snapshot = build(tmp_path / "v", [product(n, *NAMES[n // 2]) for n in range(12)], photos)
    fitted = fit(snapshot, by_hash(photos), made=made)
    assert (fitted.made.photos, fitted.made.share_matched) == (12, 0)
    assert fitted.model.matched > PRIOR.matched


def arrays(evidence: Matrix, truth: list[int]) -> TrainingSet:
    count = len(truth)
    return TrainingSet(
        evidence, np.ones(evidence.shape[:2], np.bool_), np.array(truth, np.int64), np.array(truth) >= 0,
        np.ones(count), np.arange(count) % 5, np.zeros(evidence.shape[:2], np.bool_),
    )  # fmt: skip


def test_weights_stay_at_the_prior_without_questions_and_follow_many() -> None:
    rng = np.random.default_rng(0)
    evidence = rng.normal(size=(400, 3, 2))
    truth = evidence[:, :, 0].argmax(axis=1).tolist()
    names, prior = ("votes", "inliers"), np.array([1.0, 1.0])
    none = fit_weights([arrays(evidence[:0], [])], names, prior, 1.0)
    many = fit_weights([arrays(evidence, truth)], names, prior, 1.0)
    assert np.allclose(none, prior)
    assert many[0] > 3
    assert 0 <= many[1] < 0.5


def test_a_narrow_prior_is_left_less_far_behind_than_a_wide_one() -> None:
    evidence = np.random.default_rng(0).normal(size=(40, 3, 1))
    asked, prior = arrays(evidence, evidence[:, :, 0].argmax(axis=1).tolist()), np.array([1.0])
    narrow, usual, wide = (fit_weights([asked], ("votes",), prior, spread)[0] for spread in (0.01, FIT.weights.spread, 3.0))
    assert 1 < narrow < 1.1 < usual < wide


@pytest.mark.parametrize("name", FULL)
def test_no_weight_changes_its_sign_whatever_the_photos_say(name: str) -> None:
    evidence = np.random.default_rng(0).normal(size=(400, 3, 1))
    sign = -1.0 if name in AGAINST else 1.0
    truth = (sign * evidence[:, :, 0]).argmin(axis=1).tolist()
    weight = float(fit_weights([arrays(evidence, truth)], (name,), np.array([sign]), 3.0)[0])
    assert sign * weight < 0 if name == "bias" else weight == 0


def test_products_that_are_no_candidates_teach_nothing() -> None:
    evidence = np.random.default_rng(0).normal(size=(50, 3, 1))
    missed = replace(arrays(evidence, [-1] * 50), listed=np.ones(50, np.bool_))
    assert missed.missed.all() and not missed.loss(np.array([1.0])).any()
    assert fit_weights([missed], ("votes",), np.array([1.0]), 3.0) == pytest.approx([1.0])


def answered(confidence: Matrix, right: np.ndarray) -> Answers:
    return Answers(confidence, right, np.ones(len(right), np.bool_), np.ones(len(right)))


def test_the_threshold_is_where_answers_are_precise() -> None:
    confidence = np.linspace(0.0, 1.0, 1001)
    assert 0.78 < threshold(answered(confidence, confidence > 0.8), PRECISION) < 0.81


def test_no_confidence_is_enough_when_answers_are_wrong() -> None:
    confidence = np.linspace(0.5, 1.0, 100)
    assert threshold(answered(confidence, np.zeros(100, np.bool_)), PRECISION) == 1.0


def test_a_handful_of_right_answers_asks_for_no_more_confidence_than_they_have() -> None:
    assert threshold(answered(np.array([0.9, 0.8]), np.array([True, True])), PRECISION) == 0.8
    assert threshold(answered(np.array([0.9, 0.8]), np.array([True, False])), PRECISION) == 0.9


def test_equal_confidences_are_answered_alike() -> None:
    assert threshold(answered(np.array([0.9, 0.8, 0.8]), np.array([True, True, False])), PRECISION) == 0.9


def test_nothing_is_matched_below_the_least_threshold() -> None:
    assert threshold(answered(np.linspace(0, 1, 1001), np.ones(1001, np.bool_)), PRECISION) == FIT.calibration.min_threshold


def test_photos_count_in_the_self_check_by_how_often_such_ones_are_sent() -> None:
    confidence = np.array([0.99, 0.99, 0.99, 0.4, 0.4])
    right, yes = np.array([True, True, True, False, True]), np.ones(5, np.bool_)
    answers = Answers(confidence, right, yes, np.array([1.0, 1.0, 1.0, 3.0, 0.0]))
    assert answers.self_check(0.9).top1 == 0.5
    assert answers.self_check(0.9).share_matched == 0.5
    assert answers.self_check(0.9).photos == 5


def test_photos_of_absent_products_are_no_part_of_the_self_check_but_of_the_threshold() -> None:
    confidence, right = np.full(40, 0.9), np.arange(40) < 20
    answers = replace(answered(confidence, right), listed=right)
    assert (answers.self_check(0.5).photos, answers.self_check(0.5).top1) == (20, 1.0)
    assert threshold(answers, PRECISION) == 1.0


def weights_of(model: Model) -> dict[str, dict[str, float]]:
    return {name: model.stage(name).weights for name in STAGES}


def test_a_fit_that_is_worse_than_the_prior_is_not_used(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot, features = catalog
    monkeypatch.setattr(logit, "fit_weights", lambda _, __, prior, *___: -prior)
    fitted = fit(snapshot, features)
    assert weights_of(fitted.model) == weights_of(PRIOR) and not fitted.model.fitted
    assert "did no better" in fitted.notes[-1]


IGNORANT = Model(
    **{name: Stage(weights=dict.fromkeys(names, 0.0)) for name, names in STAGES.items()},
    matched=0.9,
    sure=0.97,
    told=0.95,
    enough=0.96,
)
"""A prior to which all candidates are equal."""


def test_a_fit_that_is_better_is_used_and_keeps_every_sign(catalog: Catalog) -> None:
    snapshot, features = catalog
    fitted = fit(snapshot, features, IGNORANT)
    model, check = fitted.model, fitted.left_out
    assert fitted.notes == () and model.fitted
    assert {name: set(weights) for name, weights in weights_of(model).items()} == {name: set(of) for name, of in STAGES.items()}
    assert model.full.weights["votes"] > 0 < model.details.weights["votes"]
    for weights in weights_of(model).values():
        assert all(weight <= 0 if name in AGAINST else weight >= 0 for name, weight in weights.items() if name != "bias")
    assert check.top1 == 1.0


THRESHOLDS = "matched", "sure", "told", "enough"


@pytest.mark.parametrize("least", [None, (0.99, 0.995, 0.992, 0.993), (0.5, 0.6, 0.65, 0.7)])
def test_thresholds_never_fall_below_the_priors(catalog: Catalog, least: tuple[float, ...] | None) -> None:
    snapshot, features = catalog
    before = PRIOR.model_copy(update=dict(zip(THRESHOLDS, least, strict=True)) if least else {})
    model = fit(snapshot, features, before).model
    assert all(getattr(before, name) <= getattr(model, name) <= 1 for name in THRESHOLDS)
    assert model.matched <= min(model.sure, model.enough)


def test_thresholds_rise_where_photos_are_taken_for_other_products(tmp_path: Path) -> None:
    products = [product(number, *names) for number, names in enumerate(NAMES)]
    photos = {
        f"p{number}": [photo(f"{number}-{shot}", [*NAMES[(number + shot) % 12]], (number + shot) % 12) for shot in range(2)]
        for number in range(12)
    }
    snapshot = build(tmp_path / "v", products, photos)
    fitted = fit(snapshot, by_hash(photos), PRIOR.model_copy(update=dict.fromkeys(THRESHOLDS, 0.5)))
    model, check = fitted.model, fitted.left_out
    assert check.top1 <= 0.5
    assert model.matched == model.sure == model.enough > 0.9
    assert model.told == 0.5, "no line was asked, so none was wrong"
    assert check.share_matched == 0


@pytest.mark.parametrize("stage", STAGES)
def test_a_prior_without_a_weight_is_an_error(catalog: Catalog, stage: str, tmp_path: Path) -> None:
    weights = dict(getattr(PRIOR, stage).weights)
    del weights["inliers"]
    prior = PRIOR.model_copy(update={stage: Stage(weights=weights)})
    with pytest.raises(CatalogError, match=r"lacks weights for .'inliers'"):
        fit(*catalog, prior)
    file = tmp_path / "prior.json"
    file.write_text(prior.model_dump_json())
    with pytest.raises(UserError, match=r"inliers.*bench\.prior"):
        read_prior(file)


def test_a_prior_in_a_file_takes_the_place_of_the_shipped_one(tmp_path: Path) -> None:
    file = tmp_path / "prior.json"
    file.write_text(PRIOR.model_copy(update={"matched": 0.75}).model_dump_json())
    assert read_prior(file).matched == 0.75
    assert read_prior(None) == PRIOR
    file.write_text("{}")
    with pytest.raises(UserError, match="holds no prior"):
        read_prior(file)


def test_examples_become_arrays_of_their_likeliest_candidates(catalog: Catalog) -> None:
    snapshot, features = catalog
    asked = list(training_examples(snapshot, features))[:6]
    rankings = [rank_by_all(one.query, one.snapshot, exclusion=one.exclusion) for one in asked]
    few = replace(FIT.weights, candidates=3)
    made = training_set(rankings, [one.truth for one in asked], [one.product for one in asked], FULL, few)
    assert made.evidence.shape == (6, 3, len(FULL))
    assert made.truth.tolist() == [0, -1] * 3 and made.listed.tolist() == [True, False] * 3
    assert made.weight.tolist() == [1.0, few.absent] * 3
    shares, none = made.shares(snapshot.model.full.vector(FULL))
    assert np.allclose(shares.sum(axis=1) + none, 1)
    assert (np.diff(shares, axis=1) <= 0).all(), "the likeliest first"


def test_lines_teach_only_where_the_whole_name_was_read(catalog: Catalog) -> None:
    snapshot, features = catalog
    one = next(training_examples(snapshot, features))
    named, unnamed = one.query, one.query.with_words((), one.query.frame, one.snapshot)
    asked = [ask(query, one.snapshot, one.exclusion) for query in (named, unnamed)]
    assert [stage.ranking is not None for stage in asked[0]] == [True, True, True]
    assert [stage.ranking is not None for stage in asked[1]] == [True, False, True]
    made = training_sets(asked, [one.product] * 2, [one.product] * 2)
    assert [len(examples.truth) for examples in made.values()] == [2, 2, 2]
    assert made["lines"].missed.tolist() == [False, True], "what was not asked teaches nothing"
    assert answered_at("lines", made, shares_by(PRIOR, made)).confidence[1] == 0.0


def test_what_print_overrules_is_no_answer_of_details(tmp_path: Path) -> None:
    names = ("Peppermint", "Elderflower")
    photos = {f"p{n}": [pack(f"{n}", n, {40: "Arvelo", 160: name}, range(40))] for n, name in enumerate(names)}
    snapshot = build(tmp_path / "v", [product(n, "Arvelo", name) for n, name in enumerate(names)], photos)
    queries = [
        Query.of(pack("query", 5, {40: "Arvelo", 160: word}, range(40), 0.6, 0.2), snapshot) for word in (names[0], "Bulwarks")
    ]
    asked = [ask(query, snapshot, None) for query in queries]
    details = [stages[0] for stages in asked]
    assert all(stage.ranking is not None and stage.ranking.order.tolist() == [0, 1] for stage in details)
    assert [bool(stage.overruled[0]) for stage in details] == [False, True]
    made = training_sets(asked, [0, None], [0, 0])
    answered = answered_at("details", made, shares_by(PRIOR, made))
    assert answered.confidence[0] > 0 and answered.confidence[1] == 0


def test_the_first_stage_that_is_sure_answers() -> None:
    confidence = {"details": [0.9, 0.5, 0.5], "lines": [0.2, 0.9, 0.5], "full": [0.1, 0.1, 0.1]}
    one = arrays(np.zeros((3, 1, 1)), [0, 0, 0])
    shares = {name: np.array(values)[:, None] for name, values in confidence.items()}
    found = answers(dict.fromkeys(STAGES, one), shares, PRIOR.model_copy(update={"sure": 0.8, "told": 0.8}))
    assert found.confidence.tolist() == [0.9, 0.9, 0.1]


def test_an_answer_is_matched_from_the_threshold_of_what_decides_it() -> None:
    confidence = {"details": [0.99, 0.5, 0.5], "lines": [0.9, 0.9, 0.5], "full": [0.1, 0.1, 0.93]}
    one = arrays(np.zeros((3, 1, 1)), [0, 0, 0])
    shares = {name: np.array(values)[:, None] for name, values in confidence.items()}
    model, stages = PRIOR.model_copy(update={"sure": 0.98, "told": 0.85, "matched": 0.95}), dict.fromkeys(STAGES, one)
    least = matched_from(stages, shares, model)
    assert least.tolist() == [0.95, 0.85, 0.95]
    assert answers(stages, shares, model).self_check(least).share_matched == pytest.approx(2 / 3, abs=1e-6)


def test_whitening_gives_even_variance_and_tiny_catalogs_keep_raw_directions() -> None:
    rng = np.random.default_rng(0)
    raw = (5 + rng.normal(size=(200, 12)) * np.linspace(1, 8, 12)).astype(np.float32)
    unit = raw / np.linalg.norm(raw, axis=1, keepdims=True)
    projection = whitening(raw, 8, replace(FIT.projection, shrinkage=0.0))
    spread = ((unit - projection.mean) @ projection.matrix).std(axis=0)
    assert np.allclose(spread, spread[0], rtol=0.05)
    assert fit_projection(raw[:5], np.arange(5, dtype=np.int32)).matrix.shape == (12, 0)


@pytest.mark.parametrize(
    ("wrong", "count", "raises"), [(0, 5, False), (1, 20, False), (2, 100, False), (4, 20, True), (1, 1, True), (9, 100, True)]
)
def test_a_threshold_rises_when_chance_hardly_gives_so_many_wrong_answers(wrong: int, count: int, raises: bool) -> None:
    right = np.arange(count) >= wrong  # the wrong ones are the least sure
    told = Answers(np.linspace(0.9, 0.99, count), right, np.ones(count, np.bool_), np.ones(count))
    found = raised(told, 0.85, 0.98)
    assert (found > 0.85) is raises
    if found < 1:
        assert right[told.confidence >= found].mean() > right.mean() or not raises


def said(photos: Mapping[str, Features], products: Mapping[str, str], *, sampled: bool) -> Pairs:
    """People said what these photos show; products: ids by the photos' names, empty for none of the catalog."""
    pairs = [Pair(photos[name].sha256, shows, sampled, name, "") for name, shows in products.items()]
    return Pairs(tuple(pairs), by_hash({"": list(photos.values())}), "said")


def test_reviewed_photos_are_asked_as_what_people_say_and_without_themselves(catalog: Catalog) -> None:
    snapshot, features = catalog
    own = list(features.values())[1]
    owner = snapshot.photo_table[snapshot.photo_table.column("sha256").index(own.sha256)].product_id
    strange = {"in": photo("in", [*NAMES[3]], 3), "none": photo("none", ["OTHER THING"], 99), "gone": photo("gone", ["GONE"], 98)}
    given = said({**strange, "own": own, "other": own}, {"in": "p3", "none": "", "gone": "p99", "own": owner}, sampled=False)
    asked = [one for one in training_examples(snapshot, features, reviewed=given) if one.reviewed]
    assert [one.truth for one in asked[:3]] == [3, None, None], "what is no longer listed is none of the catalog"
    assert [one.exclusion is None for one in asked] == [True, True, True, False]
    assert asked[3].again and asked[3].exclusion is not None and not asked[3].exclusion.whole_product
    moved = said({"own": own}, {"own": "p99"}, sampled=False)
    assert not [one for one in training_examples(snapshot, features, reviewed=moved) if one.reviewed], "the shop says otherwise"


def test_wrong_answers_of_the_sample_raise_the_threshold_and_unsure_ones_do_not(catalog: Catalog) -> None:
    snapshot, features = catalog
    # They look and read like products of the catalog, and are none.
    wrong = {str(n): photo(f"wrong-{n}", [*NAMES[n]], n, local=printed(n)) for n in range(6)}
    nobody = dict.fromkeys(wrong, "")
    alone, sampled, unsure = (
        fit(snapshot, features, reviewed=some)
        for some in (Pairs(), said(wrong, nobody, sampled=True), said(wrong, nobody, sampled=False))
    )
    assert unsure.model.matched == alone.model.matched < sampled.model.matched
    assert alone.left_out.photos == sampled.left_out.photos == 24, "the catalog's own are counted apart"


def test_right_answers_of_the_sample_lower_nothing(catalog: Catalog) -> None:
    snapshot, features = catalog
    right = {str(n): photo(f"right-{n}", [*NAMES[n]], n, local=printed(n)) for n in range(12)}
    fitted = fit(snapshot, features, reviewed=said(right, {name: f"p{name}" for name in right}, sampled=True))
    assert fitted.model.matched >= PRIOR.matched and fitted.reviewed.photos == 12 and fitted.reviewed.top1 == 1.0
