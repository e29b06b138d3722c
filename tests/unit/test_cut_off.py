"""Words of which the beginning or the end was not read, on two siblings that share all key points."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from packsight.producer.evaluation.variants import match
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.matching.candidates import Query
from packsight.shared.matching.ranking import Ranking
from packsight.shared.matching.stages import rank_by_all
from tests.unit.matching_catalog import build, product
from tests.unit.printed import printed

BRAND, KIND = 40, 160
"""Heights at which lines stand on a photo of 400 by 400 pixels."""
SHARED, OTHER = range(30), range(40, 70)
"""Key points of the two siblings, and of what is none of them."""


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    kinds = ["Peppermint", "Elderflower"]
    products = [product(number, "Arvelo", kind) for number, kind in enumerate(kinds)]
    products.append(product(2, "Bontira", "Soap"))
    photos = {
        f"p{number}": [printed(f"{number}", number, {BRAND: "Arvelo", KIND: kind}, SHARED)] for number, kind in enumerate(kinds)
    }
    photos["p2"] = [printed("2", 2, {BRAND: "Bontira", KIND: "Flower"}, OTHER)]
    return build(tmp_path_factory.mktemp("cut-off") / "v", products, photos)


def ranked(snapshot: Snapshot, lines: Mapping[int, str], kinds: range = SHARED) -> Ranking:
    return rank_by_all(Query.of(printed("query", 5, lines, kinds, 0.6, 0.2), snapshot), snapshot)


def probabilities(snapshot: Snapshot, lines: Mapping[int, str], kinds: range = SHARED) -> dict[int, float]:
    ranking = ranked(snapshot, lines, kinds)
    return dict(zip(ranking.order.tolist(), ranking.probability.tolist(), strict=True))


@pytest.mark.parametrize(("part", "meant", "other"), [("permint", 0, 1), ("Pepper", 0, 1), ("derflower", 1, 0), ("Elderf", 1, 0)])
def test_what_is_left_of_a_word_tells_siblings_apart(snapshot: Snapshot, part: str, meant: int, other: int) -> None:
    without, found = probabilities(snapshot, {BRAND: "Arvelo"}), probabilities(snapshot, {BRAND: "Arvelo", KIND: part})
    assert found[meant] > max(without[meant], 10 * found[other])


def test_the_more_of_a_word_is_left_the_more_it_says(snapshot: Snapshot) -> None:
    left = [probabilities(snapshot, {BRAND: "Arvelo", KIND: part})[0] for part in ("rmint", "permint", "eppermint")]
    assert left == sorted(left) and left[0] < left[-1]


@pytest.mark.parametrize("scrap", ["mint", "epperm", "12345", "Pepperton"])
def test_less_than_half_of_a_word_and_what_is_no_end_of_it_says_nothing(snapshot: Snapshot, scrap: str) -> None:
    ranking = ranked(snapshot, {BRAND: "Arvelo", KIND: scrap})
    scraps = [number for number, key in enumerate(ranking.compared.read.keys) if key != "arvelo"]
    assert scraps and not ranking.compared.explained.value[scraps].any()


def test_what_is_a_word_of_a_products_name_is_no_part_of_another(tmp_path: Path) -> None:
    kinds = ["Elderflower", "Flower"]
    products = [product(number, "Arvelo", kind) for number, kind in enumerate(kinds)]
    photos = {
        f"p{number}": [printed(f"{number}", number, {BRAND: "Arvelo", KIND: kind}, SHARED)] for number, kind in enumerate(kinds)
    }
    ranking = ranked(build(tmp_path / "v", products, photos), {BRAND: "Arvelo", KIND: "Flower"})
    word = ranking.compared.read.keys.index("flower")
    assert (ranking.compared.explained.value[word] > 0).tolist() == [False, True]


def test_a_word_of_a_pack_that_does_not_lie_over_the_photo_is_not_made_whole(snapshot: Snapshot) -> None:
    ranking = ranked(snapshot, {BRAND: "Arvelo", KIND: "permint"}, OTHER)
    assert not ranking.compared.explained.value[ranking.compared.read.keys.index("permint")].any()


def test_a_word_beside_a_pack_is_not_made_whole(snapshot: Snapshot) -> None:
    photo = printed("query", 5, {BRAND: "Arvelo", KIND: "permint"}, SHARED, 0.3, 0.0)
    away = photo.words[1].model_copy(update={"box": [(x + 250, y + 250) for x, y in photo.words[1].box]})
    ranking = rank_by_all(Query.of(replace(photo, words=(photo.words[0], away)), snapshot), snapshot)
    assert not ranking.compared.explained.value[ranking.compared.read.keys.index("permint")].any()


def test_the_answer_says_what_a_part_was_taken_for(snapshot: Snapshot) -> None:
    rules = replace(snapshot.parameters, sight=replace(snapshot.parameters.sight, letters=0, word=0))
    wary = replace(snapshot, parameters=rules, model=snapshot.model.model_copy(update={"sure": 1.1, "told": 1.1}))
    decision = match(printed("query", 5, {BRAND: "Arvelo", KIND: "permint"}, SHARED, 0.6, 0.2), wary, top_k=1)
    [first] = decision.candidates
    assert first.product.id == "p0"
    told = {word.read: (word.expected, word.similarity) for word in first.evidence.words}
    assert told["permint"] == ("Peppermint", 0.7)
    assert "Peppermint" not in first.evidence.missing_words
