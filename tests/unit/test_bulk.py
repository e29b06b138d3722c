"""What is worked out in bulk is what one word, product and alternative after the other gives."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from rapidfuzz.distance import DamerauLevenshtein

from packsight.indexer.build.parameters import ProjectionParameters
from packsight.indexer.build.projection import fit_projection, sampled_photos
from packsight.shared.catalog.arrays import IntArray
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.catalog.words.fuzzy_matches import FuzzyMatches
from packsight.shared.catalog.words.normalise import is_number, tokens
from packsight.shared.catalog.words.vocabulary import Vocabulary, allowed_edits, deletions
from packsight.shared.catalog.words.word_index import WordIndex
from packsight.shared.contract.outcomes import WordRead
from packsight.shared.matching.candidates import Query, find_candidates
from packsight.shared.matching.evidence import _best_per_word
from packsight.shared.matching.exclusion import Exclusion
from packsight.shared.matching.shared_words import _foremost
from packsight.shared.parameters import MATCHING
from packsight.shared.vision.features import FloatArray
from tests.unit.matching_catalog import BOX, build, photo, product

LETTERS = list("abcde")


def drawn_words(seed: int, count: int) -> list[str]:
    rng = np.random.default_rng(seed)
    words = {"".join(rng.choice(LETTERS, int(rng.integers(2, 12)))) for _ in range(count)}
    return sorted(words | {"2.5%", "25%", "50ml", "5.0ml", "505"})


@pytest.mark.parametrize("seed", range(5))
def test_misread_words_are_those_that_comparing_one_by_one_finds(seed: int) -> None:
    words = drawn_words(seed, 400)
    vocabulary = Vocabulary.build(words, words, set(words))
    for key in [*drawn_words(seed + 100, 100), *words[::9]]:
        expected = {word: 1.0 for word in words if word == key}
        for word in words:
            if not set(deletions(key)) & set(deletions(word)):
                continue
            edits = min(allowed_edits(key), allowed_edits(word))
            if is_number(key) or is_number(word):
                edits = int(key.replace(".", "") == word.replace(".", ""))
            if (distance := DamerauLevenshtein.distance(key, word)) <= edits:
                expected[word] = 1 - distance / max(len(key), len(word))
        [(terms, similarity)] = vocabulary.matches([key])
        found = dict(zip(map(vocabulary.key, terms.tolist()), similarity.tolist(), strict=True))
        assert found == expected, key


@pytest.mark.parametrize("seed", range(5))
def test_of_each_words_alternatives_the_greatest_counts(seed: int) -> None:
    rng = np.random.default_rng(seed)
    word = np.sort(rng.integers(0, 9, 40))
    value = rng.integers(0, 4, (40, 7)) / 4.0
    best = np.zeros((10, 7))
    for number, of in enumerate(word):
        best[of] = np.maximum(best[of], value[number])
    assert np.array_equal(_best_per_word(value, word, 10), best)


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """300 products of four words each, some of them on most."""
    rng = np.random.default_rng(3)
    usual, rare = [f"usual{letter * 3}" for letter in "bcdfgh"], [f"r{one}" for one in drawn_words(7, 120) if len(one) > 4]
    names = [f"{' '.join(rng.choice(usual, 3))} {rng.choice(rare)}" for _ in range(300)]
    folder: Path = tmp_path_factory.mktemp("crowd") / "v"
    return build(folder, [product(n, "", name) for n, name in enumerate(names)], {"p0": [photo("one", ["usualbbb"], 1)]})


def by_words(snapshot: Snapshot, lines: list[str], exclusion: Exclusion | None = None) -> list[int]:
    read = photo("q", lines, 1)
    query = Query.of_details(read.local, b"", snapshot)
    query = query.with_words(read.words, query.frame, snapshot)
    found: list[int] = find_candidates(query, query.votes(snapshot), snapshot, exclusion).tolist()
    return found


def one_by_one(snapshot: Snapshot, lines: list[str], exclusion: Exclusion | None = None) -> list[int]:
    """The products that share the most gain, by each product's words."""
    read: FuzzyMatches = Query.of_details(photo("q", [], 1).local, b"", snapshot).with_words(
        photo("q", lines, 1).words, Query.of_details(photo("q", [], 1).local, b"", snapshot).frame, snapshot
    ).words
    dropped = set() if exclusion is None else set(exclusion.dropped_terms.tolist())
    score = dict.fromkeys(range(len(snapshot.words.products)), 0.0)
    for number in range(len(snapshot.words.products)):
        own = set(snapshot.words.products.row(number).tolist())
        if exclusion is not None and number == exclusion.product:
            own -= dropped
        for word in range(len(read.keys)):
            gains = [0.0]
            for at in np.flatnonzero(read.word == word).tolist():
                frequency = snapshot.words.frequency(read.term[at : at + 1]) - (int(read.term[at]) in dropped)
                if int(read.term[at]) in own:
                    gains.append(float(read.confidence[word] * read.weight[at] * snapshot.words.rarity(frequency)[0]))
            score[number] += max(gains)
    ranked = sorted((number for number in score if score[number] > 0), key=lambda number: (-round(score[number], 9), number))
    left_out = exclusion is not None and exclusion.whole_product
    return sorted(number for number in ranked[: snapshot.parameters.candidates.by_words]
                  if not (left_out and exclusion is not None and number == exclusion.product))  # fmt: skip


@pytest.mark.parametrize("number", [0, 17, 140, 299])
def test_candidates_by_words_are_those_that_share_most_by_every_products_own_words(crowd: Snapshot, number: int) -> None:
    lines = crowd.products[number].model.split()
    assert by_words(crowd, lines) == one_by_one(crowd, lines)
    for exclusion in (Exclusion.of_product(crowd, number), Exclusion.of_photo(crowd, 0)):
        assert by_words(crowd, lines, exclusion) == one_by_one(crowd, lines, exclusion)


@pytest.mark.parametrize("most", [1, 7, 30, 99])
def test_of_products_that_share_as_much_the_first_are_taken(most: int) -> None:
    rng = np.random.default_rng(most)
    products, score = np.unique(rng.integers(0, 500, 60)), rng.integers(1, 5, 60) / 4.0
    score = score[: len(products)]
    expected = sorted(products[np.lexsort((products, -score))[:most]].tolist())
    assert _foremost(products, score, most).tolist() == expected


def test_a_word_counts_once_for_a_product_by_the_best_of_what_it_may_stand_for(tmp_path: Path) -> None:
    names = ["aromatica", "aromatica aromatico", *(f"other{letter}" for letter in "bcdfghjklmnpqrst")]
    products = [product(number, "", name) for number, name in enumerate(names)]
    snapshot = build(tmp_path / "v", products, {"p0": [photo("one", [], 1)]})
    one = replace(snapshot, parameters=replace(MATCHING, candidates=replace(MATCHING.candidates, by_words=1)))
    assert by_words(one, ["aromatica"]) == one_by_one(one, ["aromatica"]) == [1]


def test_where_postings_are_too_many_to_be_read_the_words_of_those_proposed_find_the_same(crowd: Snapshot) -> None:
    few = replace(crowd, parameters=replace(MATCHING, candidates=replace(MATCHING.candidates, max_postings=150, by_words=1)))
    all_ = replace(crowd, parameters=replace(MATCHING, candidates=replace(MATCHING.candidates, by_words=1)))
    asked = [crowd.products[number].model.split() for number in range(0, 300, 10)]
    assert [by_words(few, lines) for lines in asked] == [by_words(all_, lines) for lines in asked]


def test_what_is_noted_of_words_is_what_counting_them_gives() -> None:
    products = [product(0, "Arvelo", "Night Cream"), product(1, "Bontira", "cream"), product(2, "ARVELO", "Balm")]
    texts = [["Night CREAM", "rose Rose"], ["Cream cream"], [], ["rosé oil", "ARVELO"]]
    owner = np.array([0, 0, 1, 2])
    words = [[WordRead(text=text, confidence=0.9, box=BOX) for text in photo_] for photo_ in texts]
    index = WordIndex.build(products, owner, words)
    vocabulary = index.vocabulary
    has: list[Counter[str]] = [Counter() for _ in products]
    spellings: dict[str, Counter[str]] = {}
    for number, row in enumerate(products):
        for token in tokens(f"{row.name} {row.model} {row.vendor}"):
            has[number][token.key] += 0
            spellings.setdefault(token.key, Counter())[token.text] += 1
    for number, lines in zip(owner.tolist(), texts, strict=True):
        for key, text in {token.key: token.text for line in lines for token in tokens(line)}.items():
            has[number][key] += 1
            spellings.setdefault(key, Counter())[text] += 1
    frequency = Counter(key for one in has for key in one)
    keys = sorted(frequency, key=lambda key: (-frequency[key], key))
    assert [vocabulary.key(term) for term in range(len(vocabulary))] == keys
    assert [vocabulary.text(term) for term in range(len(vocabulary))] == [
        min(spellings[key], key=lambda text: (-spellings[key][text], text)) for key in keys
    ]
    for number, one in enumerate(has):
        of_product = slice(*index.products.starts[number : number + 2].tolist())
        seen_on = index.photo_frequency[of_product].tolist()
        found = dict(zip(index.products.row(number).tolist(), seen_on, strict=True))
        assert {keys[term]: seen for term, seen in found.items()} == dict(one)
    assert [sorted(keys[term] for term in index.photos.row(number)) for number in range(4)] == [
        sorted({token.key for line in lines for token in tokens(line)}) for lines in texts
    ]


def test_a_projection_sees_no_more_of_a_large_catalog_than_of_one_as_large_as_its_sample() -> None:
    class Watched:
        shape = (5000, 12)
        rows = 0

        def __len__(self) -> int:
            return self.shape[0]

        def __getitem__(self, wanted: IntArray) -> FloatArray:
            self.rows += len(wanted)
            return np.asarray(raw[wanted], np.float32)

    raw, watched = np.random.default_rng(0).normal(size=Watched.shape).astype(np.float16), Watched()
    rules = ProjectionParameters(max_photos=1000, max_asked=50)
    fit_projection(cast("FloatArray", watched), np.repeat(np.arange(2500, dtype=np.int32), 2), rules)
    assert watched.rows == 1000
    assert np.array_equal(sampled_photos(900, 1000), np.arange(900))
    chosen = sampled_photos(5000, 1000)
    assert len(np.unique(chosen)) == 1000
    assert (chosen[0], chosen[-1]) == (0, 4999)
