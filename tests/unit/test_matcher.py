"""Decisions on small catalogs of made-up packs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from packsight.producer.evaluation.variants import Variant, match
from packsight.shared.catalog.evidence import AGAINST, LAID
from packsight.shared.contract.errors import CatalogError
from packsight.shared.contract.outcomes import Status
from packsight.shared.matching.candidates import Query
from packsight.shared.matching.evidence import compare, distinctive_words
from packsight.shared.matching.stages import rank_by_all
from packsight.shared.matching.stopping import is_confident, is_read_enough
from packsight.shared.parameters import MATCHING
from tests.unit.matching_catalog import Shop, build, photo, product


@pytest.fixture(scope="module")
def catalog(tiny_shop: Shop) -> Shop:
    return tiny_shop


def test_a_photo_with_looks_and_words_of_a_product_is_matched_with_evidence(catalog: Shop) -> None:
    snapshot, photos = catalog
    decision = match(photo("new", ["GRAVELLE", "Eye Serum"], 6), snapshot, top_k=3)
    assert decision.status is Status.MATCHED
    assert decision.product is not None and decision.product.id == "p6"
    evidence = decision.candidates[0].evidence
    assert evidence.nearest_photo in {features.sha256 for features in photos["p6"]}
    assert "GRAVELLE" in {word.read for word in evidence.words}
    assert "GRAVELLE" in decision.reason


def test_words_alone_find_a_product_that_no_photo_is_near(catalog: Shop) -> None:
    decision = match(photo("far", ["KERMOLO", "Beard Oil"], 99), catalog[0], top_k=3)
    assert decision.candidates[0].product.id == "p10"


def test_looks_alone_propose_a_product_when_nothing_was_read_and_match_none(catalog: Shop) -> None:
    decision = match(photo("mute", [], 4), catalog[0], top_k=12)
    looks = {one.product.id: one.evidence.visual_similarity or 0.0 for one in decision.candidates}
    assert max(looks, key=lambda product: looks[product]) == "p4"
    assert decision.status is not Status.MATCHED


@pytest.mark.parametrize("lines", [[], ["Rose"], ["KERMOLO", "Beard"]])
def test_a_closer_look_never_harms_those_that_get_one(catalog: Shop, lines: list[str]) -> None:
    ranking = rank_by_all(Query.of(photo("some", lines, 4), catalog[0]), catalog[0])
    looked = np.isin(np.arange(len(ranking.order)), list(ranking.laid))
    assert 0 < looked.sum() < len(looked)
    for name in (*LAID, "distinctive_words", "distinctive_missing", "distinctive_unseen"):
        values = ranking.compared.columns[name] * (-1 if name in AGAINST else 1)
        assert values[~looked].max() <= values[looked].min(), name


def test_a_misread_brand_still_counts(catalog: Shop) -> None:
    decision = match(photo("blurred", ["GRAVE1LE", "Lustrlne"], 99), catalog[0], top_k=3)
    assert decision.candidates[0].product.id == "p11"
    word = decision.candidates[0].evidence.words[0]
    assert (word.read, word.expected) == ("Lustrlne", "LUSTRINE")
    assert 0.8 < word.similarity < 1


@pytest.mark.parametrize("line", ["BEARDOIL KERMOLO", "Beard Oil Ker molo"])
def test_words_that_were_split_or_joined_by_the_spotter_count(catalog: Shop, line: str) -> None:
    decision = match(photo(line, [line], 99), catalog[0], top_k=3)
    first = decision.candidates[0]
    assert first.product.id == "p10"
    assert sum(word.similarity for word in first.evidence.words) >= 2


def test_a_photo_of_something_else_is_not_matched(catalog: Shop) -> None:
    decision = match(photo("stranger", ["Zyxwov", "Quantum Toothpaste"], 77), catalog[0], top_k=3)
    assert decision.status is not Status.MATCHED
    assert decision.product is None


def test_an_embedding_that_is_not_finite_leaves_the_words_to_decide(catalog: Shop) -> None:
    broken = photo("nan", ["DERVINA", "Rose Shampoo"], 3)
    broken = replace(broken, embedding=np.full_like(broken.embedding, np.nan))
    decision = match(broken, catalog[0], top_k=3)
    assert decision.candidates[0].product.id == "p3"
    assert decision.candidates[0].evidence.visual_similarity is None


def test_a_photo_with_neither_looks_nor_words_gets_an_answer(catalog: Shop) -> None:
    empty = replace(photo("void", [], 0), embedding=np.zeros(48, np.float32))
    decision = match(empty, catalog[0], top_k=3)
    assert (decision.status, decision.candidates) == (Status.AMBIGUOUS, [])
    assert decision.lacking, "whether the catalog has it cannot be known"


def test_an_embedding_of_another_length_is_refused(catalog: Shop) -> None:
    wrong = replace(photo("short", [], 0), embedding=np.zeros(7, np.float32))
    with pytest.raises(CatalogError, match="7 values"):
        match(wrong, catalog[0], top_k=3)


def test_the_same_photo_gets_the_same_decision(catalog: Shop) -> None:
    query = photo("twice", ["Arvelo", "cream"], 1)
    assert match(query, catalog[0], top_k=5) == match(query, catalog[0], top_k=5)


@pytest.mark.parametrize("variant", [Variant.FITTED, Variant.APPEARANCE, Variant.WORDS])
def test_every_variant_by_looks_or_words_names_the_product_of_an_easy_photo(catalog: Shop, variant: Variant) -> None:
    decision = match(photo("easy", ["HASTIRA", "Body Scrub"], 7, noise=0.1), catalog[0], top_k=3, variant=variant)
    assert decision.candidates[0].product.id == "p7"
    assert 0 <= decision.candidates[0].confidence <= 1


def test_reading_is_enough_when_the_whole_name_was_read_and_decides(catalog: Shop) -> None:
    snapshot, _ = catalog
    eager = replace(snapshot, model=snapshot.model.model_copy(update={"matched": 0.5, "sure": 0.5, "enough": 0.5}))
    whole = rank_by_all(Query.of(photo("whole", ["GRAVELLE", "Eye Serum"], 6), snapshot), snapshot)
    assert is_read_enough(whole, eager)
    part = rank_by_all(Query.of(photo("part", ["GRAVELLE", "Eye"], 6), snapshot), snapshot)
    assert is_confident(part, eager)
    assert not is_read_enough(part, eager), "what stands where its name goes on is not known yet"
    strict = replace(snapshot, model=snapshot.model.model_copy(update={"sure": 1.0, "enough": 1.0}))
    assert not is_confident(whole, strict) and not is_read_enough(whole, strict)


def test_a_query_with_other_words_is_as_if_made_of_them_but_is_not_searched_with_again(catalog: Shop) -> None:
    snapshot, _ = catalog
    part, whole = photo("part", ["GRAVELLE"], 6), photo("part", ["GRAVELLE", "Eye Serum"], 6)
    expected = rank_by_all(Query.of(whole, snapshot), snapshot)
    query = Query.of(part, snapshot)
    blind = replace(snapshot, index=None)
    ranking = rank_by_all(query.with_words(whole.words, query.frame, blind), blind)
    assert ranking.order.tolist() == expected.order.tolist()
    assert ranking.probability.tolist() == expected.probability.tolist()
    assert rank_by_all(query, blind).probability.tolist() != expected.probability.tolist()


def test_of_products_that_explain_all_words_the_name_of_the_one_without_others_is_read_whole(tmp_path: Path) -> None:
    names = ["Ultimune", "Ultimune Eyeshadow", "Ultimune Eyeshadow Palette"]
    products = [product(number, "Arvelo", name) for number, name in enumerate(names)]
    # The first one's photo shows much small print, which a small photo of it does not.
    print_ = ["Power Infusing", "Concentrate", "Activateur", "Energisant", "Technology", "75 ml"]
    photos = {"p0": [photo("0", ["ARVELO", "Ultimune", *print_], 0)]} | {
        f"p{n}": [photo(f"{n}", ["ARVELO", names[n]], n)] for n in (1, 2)
    }
    snapshot = build(tmp_path / "v", products, photos)
    query = Query.of(photo("query", ["ARVELO", "ULTIMUNE"], 9), snapshot)
    columns = compare(query, np.arange(3), snapshot).columns
    name, coverage = columns["name"], columns["coverage"]
    assert name[0] == pytest.approx(1, abs=0.1) and name[0] > 2 * name[1] > 2 * name[2]
    assert coverage[0] < coverage[1]


def test_a_word_of_another_products_name_speaks_against_a_product_also_beside_its_own(tmp_path: Path) -> None:
    products = [product(0, "Arvelo", "Mint Balm"), product(1, "Arvelo", "Rose Balm"), product(2, "Bontira", "Peach Soap")]
    photos = {one.id: [photo(one.id, [one.name], n)] for n, one in enumerate(products)}
    snapshot = build(tmp_path / "v", products, photos)

    def rival(*lines: str) -> list[float]:
        query = Query.of(photo("query", lines, 9), snapshot)
        return [float(value) for value in compare(query, np.arange(3), snapshot).columns["rival_name"]]

    assert rival("Arvelo Mint Balm")[0] == 0, "nothing but its own name was read"
    assert rival("Arvelo Mint Balm")[2] >= rival("Arvelo Mint Balm")[1] > 0
    assert rival("Arvelo Mint Balm", "Peach")[0] > 0, "a sibling's name may be its own and a word more"
    assert rival("Arvelo") == rival("Arvelo Fresh") == [0, 0, 0], "no name was read"


def test_words_that_only_photos_show_are_missed_apart_from_those_of_the_name(tmp_path: Path) -> None:
    products = [product(0, "Arvelo", "Balm"), product(1, "Arvelo", "Mint Balm")]
    photos = {"p0": [photo("0", ["Balm", "Technology"], 0)], "p1": [photo("1", ["Mint Balm"], 1)]}
    snapshot = build(tmp_path / "v", products, photos)
    query = Query.of(photo("query", ["Balm"], 9), snapshot)
    found = distinctive_words(compare(query, np.arange(2), snapshot), np.arange(2), MATCHING.close)
    missing, unseen = found["distinctive_missing"], found["distinctive_unseen"]
    assert missing[0] == 0 < missing[1]
    assert unseen[0] > 0 == unseen[1]
