"""What an answer says of a candidate."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from packsight.producer.evaluation.variants import match
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.contract.outcomes import WordRead
from packsight.shared.matching.candidates import Query
from packsight.shared.matching.explain import all_words
from packsight.shared.matching.stages import rank_by_all
from packsight.shared.vision.features import Features
from tests.unit.matching_catalog import BOX, NAMES, build, photo, product


def read(features: Features, lines: dict[str, float]) -> Features:
    """The same photo with these lines read on it, each so clearly."""
    return replace(features, words=tuple(WordRead(text=text, confidence=sure, box=BOX) for text, sure in lines.items()))


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """Twelve products with a photo each; on that of the first two lines were read badly, one of them its name."""
    products = [product(number, *names) for number, names in enumerate(NAMES)]
    photos = {f"p{number}": [photo(name, [name.upper(), what], number)] for number, (name, what) in enumerate(NAMES)}
    photos["p0"] = [read(photo("Arvelo", [], 0), {"ARVELO": 0.95, "Night Cream": 0.6, "apvtwe": 0.6, "soothing": 0.93})]
    return build(tmp_path_factory.mktemp("catalog"), products, photos)


def test_all_words_of_a_product_are_known_however_they_were_read(snapshot: Snapshot) -> None:
    query = Query.of(photo("query", ["ARVELO"], 0), snapshot)
    ranking = rank_by_all(query, snapshot)
    assert ranking.order[0] == 0
    words = all_words(ranking.compared, int(ranking.rows[0]), snapshot)
    assert {word.lower() for word in words} == {"arvelo", "night", "cream", "apvtwe", "soothing"}


def test_a_photo_looks_at_most_wholly_like_another(tmp_path: Path) -> None:
    products = [product(number, f"Brand{number}", f"Model{number}") for number in range(60)]
    photos = {one.id: [photo(one.id, [], number)] for number, one in enumerate(products)}
    snapshot = build(tmp_path / "v", products, photos)
    found = [match(own, snapshot, top_k=1).candidates[0].evidence.visual_similarity or 0 for [own] in photos.values()]
    assert max(found) == 1, "though vectors are kept in half precision"
    assert min(found) > 0.999


def test_words_to_look_for_are_those_that_stand_on_the_pack_for_sure(snapshot: Snapshot) -> None:
    candidates = match(photo("query", ["ARVELO"], 0), snapshot, top_k=3).candidates
    assert candidates[0].product.id == "p0"
    assert set(candidates[0].evidence.missing_words) == {"Night", "Cream", "soothing"}, "of the feed, or clearly read"
