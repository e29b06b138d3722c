"""The parts of the evidence, each on a catalog of three packs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.matching.candidates import Query
from packsight.shared.matching.evidence import compare, compare_appearance, expected_words, explain_words, lead
from packsight.shared.matching.exclusion import NO_PHOTO, Exclusion
from tests.unit.matching_catalog import build, photo, product

ALL = np.arange(3)


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    folder: Path = tmp_path_factory.mktemp("evidence") / "v"
    products = [product(0, "Arvelo", "Mint Balm"), product(1, "Arvelo", "Rose Balm"), product(2, "Bontira", "Soap")]
    photos = {
        "p0": [photo("0a", ["ARVELO", "Mint Balm", "50 ml"], 0), photo("0b", ["ARVELO", "Mint Balm"], 0)],
        "p1": [photo("1a", ["ARVELO", "Rose Balm"], 1)],
        "p2": [],
    }
    return build(folder, products, photos)


def query(snapshot: Snapshot, *lines: str, look: int = 0) -> Query:
    return Query.of(photo("query", lines, look), snapshot)


def term(snapshot: Snapshot, key: str) -> int:
    return snapshot.words.vocabulary.exact([key])[0]


def test_a_product_looks_like_its_nearest_photo_and_one_without_photos_like_nothing(snapshot: Snapshot) -> None:
    found = compare_appearance(query(snapshot), ALL, snapshot)
    assert found.cosine[0] == max(found.cosine) > 0.5
    assert found.nearest[0] in snapshot.photos(0) and found.nearest[1] in snapshot.photos(1)
    assert (found.cosine[2], found.nearest[2]) == (0, NO_PHOTO)


def test_a_photo_that_is_left_out_is_not_the_nearest(snapshot: Snapshot) -> None:
    near = int(compare_appearance(query(snapshot), ALL, snapshot).nearest[0])
    without = compare_appearance(query(snapshot), ALL, snapshot, Exclusion.of_photo(snapshot, near))
    assert without.nearest[0] in set(snapshot.photos(0)) - {near}


def test_a_word_is_expected_by_the_share_of_photos_that_show_it_and_by_the_name(snapshot: Snapshot) -> None:
    words = expected_words(ALL, snapshot)
    expected = {
        (int(row), snapshot.words.vocabulary.key(int(number))): float(value)
        for row, number, value in zip(words.candidate, words.term, words.expected, strict=True)
    }
    assert expected[0, "mint"] == pytest.approx((2 + 0.5) / (2 + 1))
    assert expected[0, "50ml"] == pytest.approx(1 / (2 + 1))
    assert expected[2, "soap"] == pytest.approx(0.5 / (0 + 1))
    assert (1, "mint") not in expected


def test_words_of_a_photo_that_is_left_out_are_not_expected(snapshot: Snapshot) -> None:
    volume = term(snapshot, "50ml")
    shown = next(number for number in snapshot.photos(0) if volume in snapshot.words.photos.row(number))
    words = expected_words(ALL, snapshot, Exclusion.of_photo(snapshot, shown))
    assert volume not in words.term
    mint = (words.term == term(snapshot, "mint")) & (words.candidate == 0)
    assert words.expected[mint] == pytest.approx((1 + 0.5) / (1 + 1))


def test_a_word_is_explained_by_the_candidates_that_have_it_and_a_rare_one_explains_more(snapshot: Snapshot) -> None:
    asked = query(snapshot, "ARVELO", "Mint", "Zyxwov")
    explained = explain_words(asked.words, expected_words(ALL, snapshot), 3, snapshot)
    brand, mint, unknown = (asked.words.keys.index(key) for key in ("arvelo", "mint", "zyxwov"))
    assert (explained.value[brand] > 0).tolist() == [True, True, False]
    assert (explained.value[mint] > 0).tolist() == [True, False, False]
    assert explained.value[mint, 0] > explained.value[brand, 0]
    assert explained.known[unknown] == 0 and not explained.has[asked.words.word == unknown].any()


def test_a_misread_word_explains_less_than_the_word_itself(snapshot: Snapshot) -> None:
    def value(text: str) -> float:
        asked = query(snapshot, text)
        return float(explain_words(asked.words, expected_words(ALL, snapshot), 3, snapshot).value[0, 0])

    assert 0 < value("ARVELU") < value("ARVELO")


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=8))
def test_only_the_first_leads_and_by_what_sets_it_apart(values: list[float]) -> None:
    found = lead(np.array(values))
    assert (found > 0).sum() <= 1
    assert found.max() == pytest.approx(sorted(values)[-1] - sorted(values)[-2])


def test_one_word_is_less_of_a_lead_than_several(snapshot: Snapshot) -> None:
    def led(*lines: str) -> float:
        return float(compare(query(snapshot, *lines), ALL, snapshot).columns["word_lead"][0])

    assert 0 < led("50 ml") < led("50 ml", "Mint") < 1
