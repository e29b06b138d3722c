"""Words get one spelling on both sides."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packsight.shared.catalog.words.normalise import tokens


def keys(text: str) -> list[str]:
    return [token.key for token in tokens(text)]


@pytest.mark.parametrize("text", ["50 мл", "50ml", "50 ML", "5O ml", "50МЛ", "050 мл"])
def test_a_volume_has_one_key_however_it_is_written(text: str) -> None:
    assert keys(text) == ["50ml"]


@pytest.mark.parametrize("text", ["3,2 %", "3.2%", "3,20%"])
def test_a_decimal_share_has_one_key(text: str) -> None:
    assert keys(text) == ["3.2%"]


def test_unlike_volumes_have_unlike_keys() -> None:
    assert keys("30 мл") != keys("50 мл")
    assert keys("1.5 l") != keys("15 l")


def test_cyrillic_letters_are_read_as_the_latin_ones_they_look_like() -> None:
    assert keys("СОСО") == keys("COCO")
    assert keys("КРЕМ") == keys("KPEM")


def test_accents_case_and_apostrophes_do_not_matter() -> None:
    assert keys("L’ORÉAL") == keys("l'oreal") == ["loreal"]
    assert keys("Crème Brûlée") == keys("creme brulee")


def test_lines_are_split_at_signs_and_single_letters_are_dropped() -> None:
    assert keys("Hydra-Essentiel & T") == ["hydra", "essentiel"]


def test_single_digits_are_kept() -> None:
    assert keys("№ 5") == ["5"]


def test_the_spelling_is_kept_beside_the_key() -> None:
    assert tokens("ORCHIDÉE")[0].text == "ORCHIDÉE"


@given(st.text(max_size=40))
def test_any_text_is_taken_and_keys_are_stable(text: str) -> None:
    for token in tokens(text):
        assert token.key
        assert token.key == token.key.strip()
