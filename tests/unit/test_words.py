"""Misread, split and joined words are found through an index, not by a scan."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from packsight.shared.catalog.arrays import IntArray, among, found_in
from packsight.shared.catalog.words import vocabulary as vocabulary_module
from packsight.shared.catalog.words.fuzzy_matches import look_up
from packsight.shared.catalog.words.name_correction import corrected, parted, split_names
from packsight.shared.catalog.words.normalise import Token, tokens
from packsight.shared.catalog.words.vocabulary import Vocabulary
from packsight.shared.catalog.words.word_index import WordIndex
from packsight.shared.contract.outcomes import WordRead
from packsight.shared.parameters import WORDS as RULES
from tests.unit.matching_catalog import BOX, product

WORDS = ["shampoo", "serum", "imperiale", "body", "wash", "superstay", "2.5%", "30ml", "50ml", "cream", "creme"]


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return vocabulary_of(WORDS)


def vocabulary_of(words: list[str], only_read: str = "") -> Vocabulary:
    return Vocabulary.build(words, [word.upper() for word in words], set(words) - {only_read})


def found(vocabulary: Vocabulary, word: str) -> dict[str, float]:
    [(terms, similarity)] = vocabulary.matches([word])
    return dict(zip(map(vocabulary.key, terms.tolist()), similarity.tolist(), strict=True))


def line(text: str) -> WordRead:
    return WordRead(text=text, confidence=1.0, box=BOX)


def test_the_same_word_has_similarity_one(vocabulary: Vocabulary) -> None:
    assert found(vocabulary, "shampoo") == {"shampoo": 1.0}


@pytest.mark.parametrize(
    ("misread", "word"), [("shampo", "shampoo"), ("serurn", ""), ("imperlaie", "imperiale"), ("semur", "")]
)
def test_a_misread_word_is_found_within_its_allowed_edits(vocabulary: Vocabulary, misread: str, word: str) -> None:
    assert set(found(vocabulary, misread)) == ({word} if word else set())


def test_words_are_looked_up_without_a_library_for_tables(vocabulary: Vocabulary, tmp_path: Path) -> None:
    vocabulary.save(tmp_path)
    script = """
import sys
from pathlib import Path
from packsight.shared.catalog.words.vocabulary import Vocabulary
vocabulary = Vocabulary.open(Path(sys.argv[1]))
[(terms, _)] = vocabulary.matches(["shampo"])
print(*map(vocabulary.key, terms.tolist()), "pandas" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "shampoo False", "it would take 44 MB of everybody who opens a catalog"


@pytest.mark.parametrize("terms", [np.array([3, 0], np.int32), np.arange(4)[::-3]])
def test_keys_are_those_of_the_terms_however_these_lie_in_memory(vocabulary: Vocabulary, terms: IntArray) -> None:
    assert vocabulary._keys_of(terms) == [vocabulary.key(3), vocabulary.key(0)]


def test_a_vocabulary_that_is_opened_is_mapped_and_not_copied(tmp_path: Path) -> None:
    vocabulary_of([f"word{number}" for number in range(5_000)]).save(tmp_path)
    before = pa.total_allocated_bytes()
    opened = Vocabulary.open(tmp_path)
    assert pa.total_allocated_bytes() - before < 10_000
    assert (opened.key(4), opened.text(4), bool(opened.named[4])) == ("word4", "WORD4", True)


def test_unlike_volumes_are_never_misreadings_of_each_other(vocabulary: Vocabulary) -> None:
    assert set(found(vocabulary, "30ml")) == {"30ml"}
    assert found(vocabulary, "80ml") == {}


def test_a_number_that_lost_its_point_is_found_with_less_similarity(vocabulary: Vocabulary) -> None:
    assert 0.5 < found(vocabulary, "25%")["2.5%"] < 1


def test_alike_words_are_both_found_the_same_one_first(vocabulary: Vocabulary) -> None:
    assert list(found(vocabulary, "cream")) == ["cream", "creme"][: len(found(vocabulary, "cream"))]


def test_words_read_without_a_gap_are_split(vocabulary: Vocabulary) -> None:
    assert look_up([line("BODYWASH")], vocabulary).keys == ("body", "wash")


def test_a_short_part_is_split_off_only_between_words_of_names() -> None:
    words = ["la", "tosca", "eyebrow"]
    assert look_up([line("LATOSCA")], vocabulary_of(words)).keys == ("la", "tosca")
    assert look_up([line("LATOSCA")], vocabulary_of(words, only_read="la")).keys == ("latosca",)


def test_words_of_its_name_run_together_on_a_products_own_photo_are_those_words() -> None:
    names, listed = tokens("Casamorati la tosca"), dict.fromkeys(["casamorati", "la", "tosca"], "")
    assert [token.key for token in corrected(tokens("LATOSCA 1888"), names, listed, {})] == ["la", "tosca", "1888"]
    assert [token.key for token in corrected(tokens("TOSCALA"), names, listed, {})] == ["toscala"]


def test_words_read_with_a_gap_are_joined_and_share_the_find(vocabulary: Vocabulary) -> None:
    reading = look_up([line("SUPER STAY")], vocabulary)
    assert {vocabulary.key(int(term)) for term in reading.term} == {"superstay"}
    assert reading.weight.sum() == pytest.approx(1.0)


def test_words_and_pairs_of_them_are_looked_up_together(monkeypatch: pytest.MonkeyPatch) -> None:
    fresh = vocabulary_of(WORDS)
    asked = Mock(wraps=fresh._look_up)
    monkeypatch.setattr(fresh, "_look_up", asked)
    look_up([line("SHAMPO IMPERLAIE SUPER STAY")], fresh)
    [[keys], _] = asked.call_args_list[0]
    assert asked.call_count == 1, "a look-up costs the same for a few words as for one"
    assert list(keys) == ["shampo", "imperlaie", "super", "stay", "shampo/imperlaie", "imperlaie/super"]


@pytest.mark.parametrize("rising", [[], [3], [0, 2, 5, 9]])
def test_numbers_among_others_are_those_that_numpy_finds(rising: list[int]) -> None:
    values = np.array([9, 0, 3, -1, 10, 2, 2, 4])
    assert among(values, np.array(rising, np.int64)).tolist() == np.isin(values, rising).tolist()
    assert among(values[:0], np.array(rising, np.int64)).tolist() == []


@given(st.lists(st.integers(0, 60_000)), st.sets(st.integers(0, 60_000)))
def test_of_many_numbers_those_among_a_few_are_found_with_their_places(values: list[int], few: set[int]) -> None:
    rising, many = np.array(sorted(few), np.int64), np.array([*values, *few], np.int64)
    here, there = found_in(many, rising)
    assert here.tolist() == np.flatnonzero(np.isin(many, rising)).tolist()
    assert rising[there].tolist() == many[here].tolist()


def test_a_further_line_takes_two_searches_for_words_as_they_stand(
    vocabulary: Vocabulary, monkeypatch: pytest.MonkeyPatch
) -> None:
    vocabulary.forget()
    monkeypatch.setattr(Vocabulary, "_find", find := Mock(side_effect=lambda keys: [-1] * len(keys)))
    look_up([WordRead(text=f"unheard{letter} SU{letter * 4}", confidence=1, box=BOX) for letter in "bcd"], vocabulary)
    assert find.call_count == 2  # one for all words and pairs of them, one for parts of those that are not known


def test_a_word_misread_as_two_with_a_mark_between_is_found() -> None:
    def stands_for(text: str, vocabulary: Vocabulary) -> set[str]:
        return {vocabulary.key(int(term)) for term in look_up([line(text)], vocabulary).term}

    words = ["shiseido", "superstay"]
    assert stands_for("SHL/EIDO", vocabulary_of(words)) == {"shiseido"}
    assert stands_for("SUPPER STOOL", vocabulary_of(words)) == set()
    # A part that stands in a name is that word; one that was only read on a photo may be a misreading there as well.
    assert stands_for("SHL/EIDO", vocabulary_of([*words, "eido"])) == {"eido"}
    assert stands_for("SHL/EIDO", vocabulary_of([*words, "eido"], only_read="eido")) == {"eido", "shiseido"}


def test_random_edits_of_a_large_vocabulary_are_found_without_a_scan() -> None:
    rng = np.random.default_rng(1)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    words = sorted({"".join(rng.choice(letters, int(rng.integers(5, 12)))) for _ in range(5000)})
    vocabulary = vocabulary_of(words)
    for word in words[::250]:
        at = int(rng.integers(len(word)))
        misread = word[:at] + ("z" if word[at] != "z" else "y") + word[at + 1 :]
        assert word in found(vocabulary, misread)


def test_words_of_photos_count_beside_those_of_the_feed_and_rare_ones_more() -> None:
    products = [product(0, "Arvelo", "Cream"), product(1, "Bontira", "Cream")]
    index = WordIndex.build(products, np.array([0, 1]), [[line("Wallflower")], [line("Cream")]])
    flower, cream = index.vocabulary.exact(["wallflower", "cream"])
    assert index.postings.row(flower).tolist() == [0]
    rarity = index.rarity(index.frequency(np.array([flower, cream])))
    assert rarity[0] > rarity[1]


def test_a_product_loses_the_words_that_only_its_left_out_photo_shows() -> None:
    products = [product(0, "Arvelo", "Cream")]
    index = WordIndex.build(products, np.array([0, 0]), [[line("Wallflower Cream")], [line("Cream")]])
    gone = {index.vocabulary.key(int(term)) for term in index.only_on(0, 0)}
    assert gone == {"wallflower"}


def test_a_misread_logo_on_a_products_own_photo_is_taken_for_its_name() -> None:
    def keys(text: str) -> list[str]:
        return [token.key for token in corrected(tokens(text), names, listed, {})]

    names, listed = tokens("Shiseido Ultimune"), dict.fromkeys(["shiseido", "ultimune", "shiseida"], "")
    assert keys("SHL/EIDO") == ["shiseido", "shiseido"]
    assert keys("LETIMUNE serum") == ["ultimune", "serum"]
    assert keys("SHISEIDA 30ml") == ["shiseida", "30ml"]


def test_a_logo_misread_in_two_parts_is_that_brand_on_the_photos_of_other_products_too() -> None:
    listed = {"shiseido": "Shiseido", "super": "SUPER", "waso": "Waso"}
    lines = ["WASO SHL/EIDO", "SUPER/EIDO", "SHL EIDO cream", "BODY/SOAP", "SHI/8"]
    split = split_names((pair for line in lines for pair in parted(line, listed)), listed)
    assert split == {("shl", "eido"): Token("shiseido", "Shiseido")}
    assert [token.key for token in corrected(tokens("SHL/EIDO"), [], listed, split)] == ["shiseido", "shiseido"]


def test_a_misread_logo_is_no_rare_word_of_the_product_on_whose_photo_it_was_read() -> None:
    products = [product(0, "Shiseido", "Waso"), product(1, "Shiseido", "Ultimune")]
    index = WordIndex.build(products, np.array([0]), [[WordRead(text="SHL/EIDO", confidence=0.9, box=BOX)]])
    assert index.vocabulary.exact(["shl", "eido"]) == [-1, -1]
    brand = index.vocabulary.exact(["shiseido"])[0]
    assert index.frequency(np.array([brand])).tolist() == [2]
    assert index.photos.row(0).tolist() == [brand]


def test_words_looked_up_from_several_threads_are_found_as_from_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vocabulary_module, "_CACHED_WORDS", 3)  # forgets all the time
    vocabulary, alone = vocabulary_of(WORDS), vocabulary_of(WORDS)
    asked = [[word, WORDS[place - 1], word[:-1]] for place, word in enumerate(WORDS)] * 40
    with ThreadPoolExecutor(4) as pool:
        for words, answers in zip(asked, pool.map(vocabulary.matches, asked), strict=True):
            for one, other in zip(answers, alone.matches(words), strict=True):
                assert [one.terms.tolist(), one.similarity.tolist()] == [other.terms.tolist(), other.similarity.tolist()]


@pytest.mark.parametrize(
    ("form", "word"),
    [
        ("апельсинами", "апельсин"), ("маслами", "масло"), ("зелёного", "зеленый"), ("кремы", "крем"),
        ("синему", "синий"), ("облепихой", "облепиха"), ("Ёлками", "ёлка"),
    ],
)  # fmt: skip
def test_a_word_in_another_case_is_found_and_is_less_than_the_same_word(form: str, word: str) -> None:
    names = ("апельсин", "масло", "зеленый", "крем", "синий", "облепиха", "ёлка", "лимон", "лимонад")
    keys = [tokens(name)[0].key for name in names]
    [similarity] = [
        value for key, value in found(vocabulary_of(keys), tokens(form)[0].key).items() if key == tokens(word)[0].key
    ]
    assert 0.4 < similarity < 1


def test_a_word_is_no_case_of_one_that_only_begins_alike_nor_a_latin_one_of_anything() -> None:
    keys = [tokens(name)[0].key for name in ("лимон", "pasta", "creme")]
    asked = vocabulary_of(keys)
    assert found(asked, tokens("лимонадами")[0].key) == {}
    assert found(asked, "pastami") == {}
    assert found(asked, "cremeami") == {}


def test_words_in_another_case_are_found_in_a_vocabulary_that_was_written(tmp_path: Path) -> None:
    keys = [tokens(name)[0].key for name in ("апельсин", "масло")]
    vocabulary_of(keys).save(tmp_path)
    assert set(found(Vocabulary.open(tmp_path), tokens("маслами")[0].key)) == {keys[1]}


def test_a_vocabulary_of_an_earlier_release_opens_without_stems(tmp_path: Path) -> None:
    keys = [tokens(name)[0].key for name in ("апельсин", "масло")]
    vocabulary_of(keys).save(tmp_path)
    for file in tmp_path.glob("stems.*"):
        file.unlink()
    older = Vocabulary.open(tmp_path)
    assert found(older, tokens("маслами")[0].key) == {}
    assert found(older, keys[1]) == {keys[1]: 1.0}


def test_other_rules_for_misread_words_find_others() -> None:
    strict = Vocabulary.build(WORDS, WORDS, set(WORDS), replace(RULES, two_edits_from=20))
    assert found(strict, "imporiala") == {}
    assert set(found(vocabulary_of(WORDS), "imporiala")) == {"imperiale"}


def test_photos_that_do_not_come_in_the_order_of_their_products_are_refused() -> None:
    with pytest.raises(ValueError, match="a photo of product 0 after one of 1"):
        WordIndex.build([product(0, "Arvelo", "Serum"), product(1, "Arvelo", "Cream")], np.array([1, 0]), [[], []])
