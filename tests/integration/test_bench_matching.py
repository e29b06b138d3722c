"""The bench of matching: its catalog is what it says, its figures are all there; no time is judged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.matching import measure
from bench.stress import Shop, by_networks, drawn_shop, published, with_distractors
from packsight.shared.catalog.words.normalise import tokens
from packsight.shared.contract.messages import PARTS
from packsight.shared.contract.outcomes import WordRead
from packsight.shared.storage.feature_store import encode
from packsight.shared.vision.features import Features
from packsight.worker.networks.base import Embedder, Spotter
from tests.unit.matching_catalog import shop as tiny_shop


@pytest.fixture(scope="module")
def shop(networks: tuple[Embedder, Spotter]) -> Shop:
    shop = drawn_shop(by_networks(*networks), 1, spare=1)
    return Shop(shop.products, shop.photos, shop.features, shop.asked[:3], shop.spare)


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


def test_names_are_read_where_they_stand_and_no_photo_is_shown_twice(shop: Shop) -> None:
    brands = [next(line for line in photo.words if line.text == "ORISTO") for photo in shop.features.values()]
    assert len({str(line.box) for line in brands}) == len(brands)
    for line, photo in zip(brands, shop.features.values(), strict=True):
        x, y = np.mean(line.box, axis=0) / (photo.width, photo.height)
        assert 0.3 < x < 0.7 and y < 0.5  # the brand is at a pack's top, in its middle
    assert len(shop.spare) == len(shop.products)
    photos = [*shop.features.values(), *(photo for _, photo in shop.asked + shop.spare)]
    assert len({photo.sha256 for photo in photos}) == len(photos)


def test_distractors_show_their_own_name_on_the_lines_and_key_points_of_a_siblings_photo(shop: Shop) -> None:
    stocked = with_distractors(shop, 40)
    names = {product.id: product for product in shop.products}
    for product, row in zip(stocked.products[len(shop.products) :], stocked.photos[len(shop.photos) :], strict=True):
        photo = stocked.features[row.sha256]
        sibling, copied = next((names[id_], one) for id_, one in shop.spare if _points(photo) <= _points(one))
        assert 0 < len(photo.local.points) < len(copied.local.points)
        places = {str(line.box): line.text for line in copied.words}
        assert all(str(line.box) in places for line in photo.words)
        assert product.vendor == sibling.vendor
        for line in photo.words:
            if line.text == places[str(line.box)]:
                assert _keys(line.text) & _keys(sibling.name) <= _keys(product.name)
            else:
                assert not _on(line, copied).intersection(map(tuple, photo.local.points.tolist()))


def _keys(text: str) -> set[str]:
    return {token.key for token in tokens(text)}


def _on(line: WordRead, photo: Features) -> set[tuple[float, ...]]:
    """Key points of a photo on a line, all but those at its edges."""
    box = np.array(line.box) / (photo.width, photo.height)
    least, most = box.min(axis=0) + 1e-4, box.max(axis=0) - 1e-4
    there = ((photo.local.points > least) & (photo.local.points < most)).all(axis=1)
    return set(map(tuple, photo.local.points[there].tolist()))


def _points(photo: Features) -> set[bytes]:
    return {point.tobytes() + values.tobytes() for point, values in zip(photo.local.points, photo.local.descriptors, strict=True)}


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
    assert among["badly_read"].keys() == among["answers"].keys()
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
