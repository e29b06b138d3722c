"""Decisions on small catalogs of made-up packs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from shared.errors import CatalogError
from shared.features import Features
from shared.matching.matcher import Variant, decided, match
from shared.matching.snapshot import Snapshot
from shared.outcomes import Status
from tests.unit.matching_catalog import photo, shop


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> tuple[Snapshot, dict[str, list[Features]]]:
    return shop(tmp_path_factory.mktemp("catalog") / "v")


Catalog = tuple[Snapshot, dict[str, list[Features]]]


def test_a_photo_with_looks_and_words_of_a_product_is_matched_with_evidence(catalog: Catalog) -> None:
    snapshot, photos = catalog
    decision = match(photo("new", ["GRAVELLE", "Eye Serum"], 6), snapshot, top_k=3)
    assert decision.status is Status.MATCHED
    assert decision.product is not None and decision.product.id == "p6"
    evidence = decision.candidates[0].evidence
    assert evidence.nearest_photo in {features.sha256 for features in photos["p6"]}
    assert "GRAVELLE" in {word.read for word in evidence.words}
    assert "GRAVELLE" in decision.reason


def test_words_alone_find_a_product_that_no_photo_is_near(catalog: Catalog) -> None:
    decision = match(photo("far", ["KERMOLO", "Beard Oil"], 99), catalog[0], top_k=3)
    assert decision.candidates[0].product.id == "p10"


def test_looks_alone_find_a_product_when_nothing_was_read(catalog: Catalog) -> None:
    decision = match(photo("mute", [], 4), catalog[0], top_k=3)
    assert decision.candidates[0].product.id == "p4"


def test_a_misread_brand_still_counts(catalog: Catalog) -> None:
    decision = match(photo("blurred", ["GRAVE1LE", "Lustrlne"], 99), catalog[0], top_k=3)
    assert decision.candidates[0].product.id == "p11"
    word = decision.candidates[0].evidence.words[0]
    assert (word.read, word.expected) == ("Lustrlne", "LUSTRINE")
    assert 0.8 < word.similarity < 1


@pytest.mark.parametrize("line", ["BEARDOIL KERMOLO", "Beard Oil Ker molo"])
def test_words_that_were_split_or_joined_by_the_spotter_count(catalog: Catalog, line: str) -> None:
    decision = match(photo(line, [line], 99), catalog[0], top_k=3)
    first = decision.candidates[0]
    assert first.product.id == "p10"
    assert sum(word.similarity for word in first.evidence.words) >= 2


def test_a_photo_of_something_else_is_not_matched(catalog: Catalog) -> None:
    decision = match(photo("stranger", ["Zyxwov", "Quantum Toothpaste"], 77), catalog[0], top_k=3)
    assert decision.status is not Status.MATCHED
    assert decision.product is None


def test_an_embedding_that_is_not_finite_leaves_the_words_to_decide(catalog: Catalog) -> None:
    broken = photo("nan", ["DERVINA", "Rose Shampoo"], 3)
    broken = replace(broken, embedding=np.full_like(broken.embedding, np.nan))
    decision = match(broken, catalog[0], top_k=3)
    assert decision.candidates[0].product.id == "p3"
    assert decision.candidates[0].evidence.visual_similarity is None


def test_a_photo_with_neither_looks_nor_words_gets_an_answer(catalog: Catalog) -> None:
    empty = replace(photo("void", [], 0), embedding=np.zeros(48, np.float32))
    assert match(empty, catalog[0], top_k=3).status is Status.NO_MATCH


def test_an_embedding_of_another_length_is_refused(catalog: Catalog) -> None:
    wrong = replace(photo("short", [], 0), embedding=np.zeros(7, np.float32))
    with pytest.raises(CatalogError, match="7 values"):
        match(wrong, catalog[0], top_k=3)


def test_the_same_photo_gets_the_same_decision(catalog: Catalog) -> None:
    query = photo("twice", ["Arvelo", "cream"], 1)
    assert match(query, catalog[0], top_k=5) == match(query, catalog[0], top_k=5)


@pytest.mark.parametrize("variant", list(Variant))
def test_every_variant_names_the_product_of_an_easy_photo(catalog: Catalog, variant: Variant) -> None:
    decision = match(photo("easy", ["HASTIRA", "Body Scrub"], 7, noise=0.1), catalog[0], top_k=3, variant=variant)
    assert decision.candidates[0].product.id == "p7"
    assert 0 <= decision.candidates[0].confidence <= 1


def test_reading_is_enough_when_the_whole_name_was_read_and_decides(catalog: Catalog) -> None:
    snapshot, _ = catalog
    eager = replace(snapshot, model=snapshot.model.model_copy(update={"matched": 0.5}))
    assert decided(photo("whole", ["GRAVELLE", "Eye Serum"], 6), eager)
    part = photo("part", ["GRAVELLE", "Eye"], 6)
    assert match(part, eager, top_k=1).status is Status.MATCHED
    assert not decided(part, eager), "what stands where its name goes on is not known yet"
    strict = replace(snapshot, model=snapshot.model.model_copy(update={"matched": 1.0}))
    assert not decided(photo("whole", ["GRAVELLE", "Eye Serum"], 6), strict)
