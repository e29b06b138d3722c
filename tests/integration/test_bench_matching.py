"""The bench of matching: its catalog is what it says, its figures are all there; no time is judged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.matching import measure
from bench.stress import Shop, drawn_shop, published, with_distractors
from packsight.shared.contract.messages import PARTS
from packsight.shared.storage.feature_store import encode
from tests.unit.matching_catalog import shop as tiny_shop


@pytest.fixture(scope="module")
def shop() -> Shop:
    shop = drawn_shop(1)
    return Shop(shop.products, shop.photos, shop.features, shop.asked[:3])


def test_distractors_are_other_products_of_the_same_vocabulary(shop: Shop) -> None:
    stocked = with_distractors(shop, 40)
    added = stocked.products[len(shop.products) :]
    assert len(added) == 40
    words = {word for product in shop.products for word in product.name.split()}
    names = {frozenset(product.name.casefold().split()) for product in shop.products}
    assert all(set(product.name.split()) <= words for product in added)
    assert not any(frozenset(product.name.casefold().split()) in names for product in added)
    assert stocked.asked == shop.asked
    assert len(stocked.features) == len(stocked.photos) == len(shop.photos) + 40


def test_the_same_catalog_is_made_each_time(shop: Shop) -> None:
    one, two = with_distractors(shop, 5), with_distractors(shop, 5)
    assert one.products == two.products and one.photos == two.photos
    for sha256, photo in one.features.items():
        assert np.array_equal(photo.embedding, two.features[sha256].embedding)
        assert photo.words == two.features[sha256].words


def test_distractors_cost_at_most_one_photo_and_every_figure_is_there(shop: Shop) -> None:
    document = measure(shop, 15, rounds=0)
    alone, among = document["alone"], document["among_distractors"]
    assert among["products"] == alone["products"] + 15
    count = alone["answers"]["photos"]
    assert count == len(shop.asked) == 3
    assert count * (alone["answers"]["top1"] - among["answers"]["top1"]) <= 1 + 1e-6
    assert alone.keys() == among.keys()
    assert "as_served" in alone["match_ms"]
    for one in (alone, among):
        assert one["match_ms"].keys() == alone["match_ms"].keys()
        assert all(0 < ms["p50"] <= ms["p95"] for ms in one["match_ms"].values())
        assert one["files_mb"] > 0
        assert one["build"]["seconds"] > 0


def test_a_published_version_is_asked_about_photos_that_it_is_built_without(tmp_path: Path) -> None:
    _, photos = tiny_shop(tmp_path / "v")
    known = [one for group in photos.values() for one in group]
    shards = [tmp_path / f"{part}.parquet" for part in PARTS]
    for part, shard in zip(PARTS, shards, strict=True):
        shard.write_bytes(encode(part, known))
    shop = published(tmp_path / "v", shards)
    assert [product for product, _ in shop.asked] == list(photos)
    assert len(shop.photos) == 24
    assert not {photo.sha256 for _, photo in shop.asked} & set(shop.features)
