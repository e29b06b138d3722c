"""Print that contradicts: another word was read where a candidate's photo has one of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from packsight.producer.evaluation.variants import match
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.matching.candidates import Query
from packsight.shared.matching.contradiction import same_place
from packsight.shared.matching.stages import rank_by_all
from tests.unit.matching_catalog import build, product
from tests.unit.printed import printed

NAME, KIND, FOOT = 40, 160, 320
"""Heights at which lines stand on a photo of 400 by 400 pixels."""
SHOWN = {"p0": {NAME: "Arvelo", KIND: "Peppermint", FOOT: "Handmade"}, "p1": {NAME: "Bontira", KIND: "Elderflower"}}


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    products = [product(0, "Arvelo", "Peppermint"), product(1, "Bontira", "Elderflower")]
    photos = {f"p{number}": [printed(f"{number}", number, SHOWN[f"p{number}"], KINDS[number])] for number in range(2)}
    return build(tmp_path_factory.mktemp("contradiction") / "v", products, photos)


KINDS = [range(30), range(40, 70)]


def contradicted(snapshot: Snapshot, lines: Mapping[int, str], kinds: range = KINDS[0]) -> float:
    """How surely a photo with these lines, small and off the middle, contradicts the first product."""
    query = Query.of(printed("query", 5, lines, kinds, 0.6, 0.2), snapshot)
    ranking = rank_by_all(query, snapshot)
    row = int(np.flatnonzero(ranking.compared.products == 0)[0])
    return float(ranking.compared.columns["contradicted"][row])


def test_the_same_print_contradicts_nothing(snapshot: Snapshot) -> None:
    assert contradicted(snapshot, SHOWN["p0"]) == 0


def test_another_word_in_the_place_of_one_contradicts(snapshot: Snapshot) -> None:
    assert contradicted(snapshot, SHOWN["p0"] | {KIND: "Charcoal"}) > 0.8


def test_another_word_where_the_photo_has_no_print_contradicts_nothing(snapshot: Snapshot) -> None:
    assert contradicted(snapshot, SHOWN["p0"] | {240: "Charcoal"}) == 0


def test_a_line_that_was_not_read_contradicts_nothing(snapshot: Snapshot) -> None:
    assert contradicted(snapshot, {NAME: "Arvelo", FOOT: "Handmade"}) == 0


@pytest.mark.parametrize("misread", ["Pepermitn", "PEPPER MINT", "Popperaint"])
def test_a_misreading_contradicts_nothing(snapshot: Snapshot, misread: str) -> None:
    assert contradicted(snapshot, SHOWN["p0"] | {KIND: misread}) == 0


def test_a_word_of_the_product_in_another_place_contradicts_nothing(snapshot: Snapshot) -> None:
    assert contradicted(snapshot, {NAME: "Arvelo", KIND: "Handmade"}) == 0


def test_numbers_and_scraps_contradict_nothing(snapshot: Snapshot) -> None:
    assert contradicted(snapshot, SHOWN["p0"] | {KIND: "12345 abc"}) == 0


def test_print_of_what_does_not_lie_over_the_photo_contradicts_nothing(snapshot: Snapshot) -> None:
    assert contradicted(snapshot, SHOWN["p0"] | {KIND: "Charcoal"}, range(80, 110)) == 0


def test_what_contradicts_takes_back_what_key_points_say(snapshot: Snapshot) -> None:
    def agreement(lines: Mapping[int, str]) -> dict[str, float]:
        ranking = rank_by_all(Query.of(printed("query", 5, lines, KINDS[0], 0.6, 0.2), snapshot), snapshot)
        row = int(np.flatnonzero(ranking.compared.products == 0)[0])
        return {name: float(ranking.compared.columns[name][row]) for name in ("vote_lead", "inlier_lead", "surplus")}

    same, other = agreement(SHOWN["p0"]), agreement(SHOWN["p0"] | {KIND: "Charcoal"})
    assert all(0 < other[name] < 0.3 * same[name] for name in same)


@pytest.mark.parametrize("turn", [1, -1])
def test_boxes_are_in_the_same_place_when_one_holds_the_middle_of_the_other(turn: int) -> None:
    def box(left: float, top: float, width: float, height: float) -> list[tuple[float, float]]:
        return [(left, top), (left + width, top), (left + width, top + height), (left, top + height)][::turn]

    line = np.array([box(0.1, 0.1, 0.6, 0.1), box(0.1, 0.5, 0.6, 0.1)])
    others = np.array([box(0.12, 0.12, 0.1, 0.06), box(0.0, 0.0, 1.0, 0.3), box(0.8, 0.1, 0.1, 0.1)])
    assert same_place(line, others).tolist() == [[True, True, False], [False, False, False]]


@pytest.mark.parametrize("no_match", [-1.0, 1.0])
def test_an_answer_without_a_match_says_what_stands_in_whose_place(snapshot: Snapshot, no_match: float) -> None:
    rules = replace(snapshot.parameters, decision=replace(snapshot.parameters.decision, no_match=no_match))
    rules = replace(rules, sight=replace(rules.sight, letters=0, word=0))
    wary = replace(snapshot, parameters=rules, model=snapshot.model.model_copy(update={"matched": 1.1, "sure": 1.1}))
    told = "Peppermint' in the place where this reads 'Charcoal'"
    said = [
        match(printed("query", 5, SHOWN["p0"] | changed, KINDS[0], 0.6, 0.2), wary, top_k=2)
        for changed in ({KIND: "Charcoal"}, {})
    ]
    assert [decision.candidates[0].product.id for decision in said] == ["p0", "p0"]
    assert [told in decision.reason for decision in said] == [True, False], [one.reason for one in said]
