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
from packsight.shared.vision.features import Features
from tests.unit.matching_catalog import build, product
from tests.unit.printed import printed

BRAND, KIND = 40, 160
"""Heights at which lines stand on a photo of 400 by 400 pixels."""
SHARED, OTHER = range(30), range(40, 70)
"""Key points of the siblings, and of what is none of them."""
SCALE, SHIFT = 0.6, 0.2
LEFT, RIGHT = 60 * SCALE + 400 * SHIFT, 340 * SCALE + 400 * SHIFT
"""Where a whole line begins and ends on a photo that is asked about, in pixels."""


def catalog(folder: Path, *kinds: str) -> Snapshot:
    """Siblings of these kinds, and one product of another brand."""
    products = [product(number, "Arvelo", kind) for number, kind in enumerate(kinds)]
    photos = {
        f"p{number}": [printed(f"{number}", number, {BRAND: "Arvelo", KIND: kind}, SHARED)] for number, kind in enumerate(kinds)
    }
    apart = len(kinds)
    products.append(product(apart, "Bontira", "Soap"))
    photos[f"p{apart}"] = [printed(f"{apart}", apart, {BRAND: "Bontira", KIND: "Flower"}, OTHER)]
    return build(folder, products, photos)


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    return catalog(tmp_path_factory.mktemp("cut-off") / "v", "Peppermint", "Elderflower")


def photo(lines: Mapping[int, str], places: tuple[float, float] = (0, 1), kinds: range = SHARED) -> Features:
    """A photo of a sibling; places: between which shares of its line the kind stands."""
    whole = printed("query", 5, lines, kinds, SCALE, SHIFT)
    first, last = (LEFT + place * (RIGHT - LEFT) for place in places)
    words = []
    for line in whole.words:
        (_, top), (_, _), (_, bottom), _ = line.box
        box = [(first, top), (last, top), (last, bottom), (first, bottom)]
        words.append(line if line.text == lines.get(BRAND) else line.model_copy(update={"box": box}))
    return replace(whole, words=tuple(words))


def end_of(whole: str, letters: int) -> tuple[str, tuple[float, float]]:
    """The last letters of a word, and where they stand."""
    return whole[-letters:], (1 - letters / len(whole), 1)


def beginning_of(whole: str, letters: int) -> tuple[str, tuple[float, float]]:
    """The same of the first ones."""
    return whole[:letters], (0, letters / len(whole))


def ranked(snapshot: Snapshot, part: str, places: tuple[float, float] = (0, 1), kinds: range = SHARED) -> Ranking:
    return rank_by_all(Query.of(photo({BRAND: "Arvelo", KIND: part}, places, kinds), snapshot), snapshot)


def probabilities(ranking: Ranking) -> dict[int, float]:
    return dict(zip(ranking.order.tolist(), ranking.probability.tolist(), strict=True))


def explained(ranking: Ranking, word: str) -> list[bool]:
    """Which products explain a word."""
    return [bool(value > 0) for value in ranking.compared.explained.value[ranking.compared.read.keys.index(word)].tolist()]


@pytest.mark.parametrize(
    ("part", "places", "meant", "other"),
    [
        (*end_of("Peppermint", 7), 0, 1), (*beginning_of("Peppermint", 6), 0, 1),
        (*end_of("Elderflower", 9), 1, 0), (*beginning_of("Elderflower", 6), 1, 0),
    ],
)  # fmt: skip
def test_what_is_left_of_a_word_tells_siblings_apart(
    snapshot: Snapshot, part: str, places: tuple[float, float], meant: int, other: int
) -> None:
    without = probabilities(rank_by_all(Query.of(photo({BRAND: "Arvelo"}), snapshot), snapshot))
    found = probabilities(ranked(snapshot, part, places))
    assert found[meant] > max(without[meant], 10 * found[other])


def test_the_more_of_a_word_is_left_the_more_it_says(snapshot: Snapshot) -> None:
    left = [probabilities(ranked(snapshot, *end_of("Peppermint", letters)))[0] for letters in (5, 7, 9)]
    assert left == sorted(left) and left[0] < left[-1]


@pytest.mark.parametrize(
    ("part", "places"),
    [end_of("Peppermint", 4), ("epperm", (0.1, 0.7)), ("12345", (0.5, 1)), ("Pepperton", (0, 0.9))],
)
def test_less_than_half_of_a_word_and_what_is_no_end_of_it_says_nothing(
    snapshot: Snapshot, part: str, places: tuple[float, float]
) -> None:
    ranking = ranked(snapshot, part, places)
    scraps = [number for number, key in enumerate(ranking.compared.read.keys) if key != "arvelo"]
    assert scraps and not ranking.compared.explained.value[scraps].any()


@pytest.mark.parametrize("places", [(0, 1), (0.2, 0.8), (0, 0.6)])
def test_a_word_by_itself_that_ends_like_one_of_a_product_is_told_by_where_it_stands(
    snapshot: Snapshot, places: tuple[float, float]
) -> None:
    part, where = end_of("Peppermint", 6)
    assert explained(ranked(snapshot, part, where), part)[0]
    assert not explained(ranked(snapshot, part, places), part)[0]


def test_only_the_first_word_of_a_line_has_lost_its_beginning_and_the_last_one_its_end(snapshot: Snapshot) -> None:
    part, where = end_of("Peppermint", 7)
    assert not explained(ranked(snapshot, f"Zyxwov {part}", where), part)[0]
    assert explained(ranked(snapshot, f"{part} Zyxwov", where), part)[0]


def test_what_is_a_word_of_a_products_name_is_no_part_of_another(tmp_path: Path) -> None:
    ranking = ranked(catalog(tmp_path / "v", "Elderflower", "Flower"), *end_of("Elderflower", 6))
    assert explained(ranking, "flower")[:2] == [False, True]


def test_a_word_of_a_pack_that_does_not_lie_over_the_photo_is_not_made_whole(snapshot: Snapshot) -> None:
    part, where = end_of("Peppermint", 7)
    assert not any(explained(ranked(snapshot, part, where, OTHER), part))


def test_the_answer_says_what_a_part_was_taken_for(snapshot: Snapshot) -> None:
    rules = replace(snapshot.parameters, sight=replace(snapshot.parameters.sight, letters=0, word=0))
    wary = replace(snapshot, parameters=rules, model=snapshot.model.model_copy(update={"sure": 1.1, "told": 1.1}))
    part, where = end_of("Peppermint", 7)
    [first] = match(photo({BRAND: "Arvelo", KIND: part}, where), wary, top_k=1).candidates
    assert first.product.id == "p0"
    told = {word.read: (word.expected, word.similarity) for word in first.evidence.words}
    assert told[part] == ("Peppermint", 0.7)
    assert "Peppermint" not in first.evidence.missing_words
