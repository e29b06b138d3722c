"""The two looks at a photo that is asked about: the whole of it, and its middle."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.matching.candidates import Query
from packsight.shared.matching.evidence import compare_appearance
from packsight.shared.parameters import LookParameters
from packsight.shared.vision.features import FloatArray
from packsight.worker.pipeline.middle import middle
from tests.unit.matching_catalog import Shop, photo


@pytest.fixture(scope="module")
def snapshot(tiny_shop: Shop) -> Snapshot:
    return tiny_shop[0]


def seen(snapshot: Snapshot, whole: int, *, held: FloatArray | None = None) -> Query:
    """A photo that looks like a product as a whole, and in its middle like something else."""
    features = photo("seen", [], whole)
    return Query.of(features if held is None else replace(features, middle=held), snapshot)


def cosines(query: Query, snapshot: Snapshot) -> FloatArray:
    return np.asarray(compare_appearance(query, np.arange(len(snapshot.products)), snapshot).cosine, np.float32)


def test_the_middle_of_a_photo_is_around_its_centre_and_never_nothing() -> None:
    pixels = np.arange(100 * 50 * 3, dtype=np.uint32).reshape(100, 50, 3).astype(np.uint8)
    assert np.array_equal(middle(pixels, LookParameters(middle=0.6)), pixels[20:80, 10:40])
    assert np.array_equal(middle(pixels, LookParameters(middle=1.0)), pixels)
    for height, width in ((1, 1), (1, 900), (2, 3)):
        part = middle(np.zeros((height, width, 3), np.uint8), LookParameters(middle=0.2))
        assert min(part.shape) > 0


def test_a_product_in_the_middle_is_as_near_as_one_that_fills_the_photo(snapshot: Snapshot) -> None:
    held = photo("held", [], 9)
    whole, other, both = seen(snapshot, 4), Query.of(held, snapshot), seen(snapshot, 4, held=held.embedding)
    assert np.allclose(cosines(both, snapshot), np.maximum(cosines(whole, snapshot), cosines(other, snapshot)), atol=1e-6)


def test_photos_near_to_either_look_propose_their_products_and_no_more_than_one_look_would(snapshot: Snapshot) -> None:
    few = replace(snapshot, parameters=replace(
        snapshot.parameters, candidates=replace(snapshot.parameters.candidates, near_photos=4)
    ))  # fmt: skip
    both = seen(few, 4, held=photo("held", [], 9).embedding)
    assert len(both.near) == 4
    assert {int(few.photo_product[one]) for one in both.near} >= {4, 9}
    order = (np.asarray(few.vectors[both.near], np.float32) @ both.vectors.T).max(axis=1)
    assert (np.diff(order) <= 1e-3).all(), "nearest first"


def test_a_look_that_is_not_finite_counts_as_none(snapshot: Snapshot) -> None:
    broken = seen(snapshot, 4, held=np.full_like(photo("held", [], 9).embedding, np.nan))
    assert broken.vectors.shape == seen(snapshot, 4).vectors.shape
    assert np.array_equal(cosines(broken, snapshot), cosines(seen(snapshot, 4), snapshot))
