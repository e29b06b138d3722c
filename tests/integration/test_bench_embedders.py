"""The comparison of embedders counts what it says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.embedders import crops, found, looked_at
from bench.sets import sets_in

CATALOG = np.array([[1, 0, 0, 0], [0.9, 0.1, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 1, 0.1, 0]], np.float32)
PRODUCTS = np.array([0, 0, 1, 2, 2], np.int32)
"""Too few photos to whiten. The last one looks like the only photo of another product."""


def test_a_photo_is_found_by_the_whole_of_it_or_by_the_crop_that_comes_closest() -> None:
    looks = np.array([[[1, 0, 0, 0]] * 2, [[0.6, 0.5, 0, 0.6], [0, 1, 0, 0]], [[0, 0.9, 0.3, 0], [1, 0, 0, 0]]], np.float32)
    answers = found(CATALOG, PRODUCTS, looks, np.array([0, 1, 2], np.int32))
    assert answers.whole.tolist() == [True, False, True]
    assert answers.best_crop.tolist() == [True, True, False]


def test_only_photos_with_a_companion_are_left_out() -> None:
    answers = found(CATALOG, PRODUCTS, CATALOG[:1, np.newaxis], np.array([0], np.int32))
    assert answers.left_out.tolist() == [True, True, True, False]


def test_the_projection_has_not_seen_the_photo_that_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def recorded(projection: object, raw: object) -> object:
        seen.append(np.asarray(raw))
        return projection

    monkeypatch.setattr("bench.embedders.fit_like", recorded)
    found(CATALOG, PRODUCTS, CATALOG[:1, np.newaxis], np.array([0], np.int32))
    assert [rows.tolist() for rows in seen] == [np.delete(CATALOG, i, axis=0).tolist() for i in (0, 1, 3, 4)]


def test_crops_lie_in_the_centre_and_the_first_is_the_whole() -> None:
    image = np.arange(100 * 40 * 3, dtype=np.int64).astype(np.uint8).reshape(100, 40, 3)
    whole, larger, smaller = crops(image)
    np.testing.assert_array_equal(whole, image)
    assert larger.shape == (75, 30, 3)
    np.testing.assert_array_equal(smaller, image[20:80, 8:32])


def test_photos_of_products_that_the_catalog_lacks_are_not_asked(tmp_path: Path) -> None:
    for file in ("photos/a/1.jpg", "photos/b/1.jpg", "photos/b/2.jpg"):
        (tmp_path / "set" / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / file).touch()
    (tmp_path / "set" / "feed.xml").touch()
    (tmp_path / "set" / "labels.csv").write_text("image,product_id,nearest_id\nx.jpg,b,b\ny.jpg,,\nz.jpg,,a\n")
    (given,) = sets_in(tmp_path)
    every, one = looked_at(given, 0), looked_at(given, 1)
    assert [file.name for file in every.asked] == ["x.jpg", "z.jpg"]
    assert every.right.tolist() == [1, 0]
    assert every.products.tolist() == [0, 1, 1]
    assert [str(file.relative_to(given.root)) for file in one.catalog] == ["photos/a/1.jpg", "photos/b/1.jpg"]
