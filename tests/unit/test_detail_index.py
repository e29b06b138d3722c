"""The index of key points finds the photo that a point is on, compared exactly or by codes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest

from packsight.indexer.build import detail_index
from packsight.indexer.build.detail_index import learned, write_points
from packsight.indexer.build.parameters import FIT, DetailIndexParameters
from packsight.shared.catalog.detail_index import DETAILS_INDEX, DetailIndex, IntArray, unit
from packsight.shared.catalog.mapped_lists import save_lists
from packsight.shared.catalog.placement import Placement
from packsight.shared.catalog.segmented_index import Part, SegmentedIndex, inverted_file, write_trained
from packsight.shared.vision.features import ByteArray

POINTS = 20
"""Of each photo."""
PHOTOS = 120
STARTS = np.arange(PHOTOS + 1, dtype=np.int64) * POINTS
EXACT = replace(FIT.details, exact_points=PHOTOS * POINTS + 1)
COMPRESSED = replace(FIT.details, exact_points=PHOTOS * POINTS)


PART = "s0000.details"


def over(index: SegmentedIndex, starts: IntArray) -> DetailIndex:
    """The index of photos that stand in one segment."""
    return DetailIndex(index, [starts], Placement.in_order(len(starts) - 1))


def held(index: Any, starts: IntArray) -> DetailIndex:
    return over(SegmentedIndex.of([Part.of(index)], [True]), starts)


def added(descriptors: ByteArray, parameters: DetailIndexParameters = FIT.details) -> Any:
    """An index to which Faiss itself has added all of them."""
    index = learned(descriptors, parameters)
    index.add(unit(descriptors))
    return index


def write(descriptors: ByteArray, parameters: DetailIndexParameters, folder: Path) -> None:
    index = learned(descriptors, parameters)
    write_points(index, descriptors, folder, PART)
    write_trained(index, folder, DETAILS_INDEX)


def opened(folder: Path) -> DetailIndex:
    return over(SegmentedIndex.open(folder, DETAILS_INDEX, [PART], [True]), STARTS)


@dataclass(frozen=True)
class Built:
    """An index as it was built, and as it was opened from its files, of which one holds the points."""

    exact: bool
    before: Any
    index: DetailIndex
    file: Path


@pytest.fixture(scope="module")
def descriptors() -> ByteArray:
    """Histograms as root-SIFT has them: many small values, and variations of some hundred common patterns."""
    rng = np.random.default_rng(0)
    pattern = rng.gamma(0.4, size=(200, 128))
    histogram = pattern[rng.integers(0, 200, PHOTOS * POINTS)] * rng.gamma(2, 0.5, (PHOTOS * POINTS, 128))
    root = np.sqrt(histogram / histogram.sum(axis=1, keepdims=True))
    return np.asarray(np.minimum(np.rint(root * 512), 255), np.uint8)


@pytest.fixture(scope="module", params=[EXACT, COMPRESSED], ids=["exact", "compressed"])
def built(request: pytest.FixtureRequest, descriptors: ByteArray, tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("index")
    write(descriptors, request.param, folder)
    exact = request.param is EXACT
    index = added(descriptors, request.param)
    return Built(exact, index, opened(folder), folder / (f"{PART}.faiss" if exact else f"{PART}.lists"))


def seen_again(descriptors: ByteArray) -> ByteArray:
    noise = np.random.default_rng(1).normal(0, 6, descriptors.shape)
    return np.clip(np.rint(descriptors + noise), 0, 255).astype(np.uint8)


def test_a_point_that_is_seen_again_is_found_on_its_photo(built: Built, descriptors: ByteArray) -> None:
    distance, near = built.index.search(seen_again(descriptors), 3)
    assert (np.diff(distance, axis=1) >= 0).all() and distance.min() >= 0 and distance.max() <= 4
    right = built.index.photo(near[:, 0]).reshape(PHOTOS, POINTS) == np.arange(PHOTOS)[:, None]
    assert right.mean() > (0.99 if built.exact else 0.75)
    assert (right.mean(axis=1) > 0.5).all(), "each photo has most of its points"


def test_it_is_mapped_into_memory_and_answers_as_when_it_was_built(built: Built, descriptors: ByteArray) -> None:
    assert str(built.file) in Path("/proc/self/maps").read_text()
    asked = seen_again(descriptors[:50])
    distance, near = built.index.search(asked, 4)
    for again in (held(built.before, STARTS), built.index):
        assert np.array_equal(near, again.search(asked, 4)[1])
        assert np.array_equal(distance, again.search(asked, 4)[0])


def test_a_code_takes_an_eighth_of_a_descriptor(built: Built) -> None:
    if built.exact:
        assert isinstance(built.before, faiss.IndexFlat)
    else:
        assert faiss.extract_index_ivf(built.before).code_size * 8 == 128
        room = -(-PHOTOS * POINTS // 32) * 32  # codes come in blocks of 32, each with its number
        lists = int(COMPRESSED.lists_per_root * np.sqrt(PHOTOS * POINTS))
        assert PHOTOS * POINTS * 24 <= built.file.stat().st_size <= (room + 32 * lists) * 24


@pytest.mark.parametrize("gathered", [1, 700])
def test_lists_are_as_faiss_makes_them_however_few_are_put_together_at_a_time(
    gathered: int, descriptors: ByteArray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detail_index, "_GATHERED", gathered)
    monkeypatch.setattr(detail_index, "_BATCH", 1000)
    write(descriptors, COMPRESSED, tmp_path)
    whole = added(descriptors, COMPRESSED)
    save_lists(inverted_file(whole), tmp_path, "whole")
    for kind in ("lists", "sizes.npy"):
        assert (tmp_path / f"{PART}.{kind}").read_bytes() == (tmp_path / f"whole.{kind}").read_bytes()
    assert {file.name.split(".")[0] for file in tmp_path.iterdir()} == {"details", "s0000", "whole"}


def test_lists_that_are_cut_off_are_refused(descriptors: ByteArray, tmp_path: Path) -> None:
    write(descriptors, COMPRESSED, tmp_path)
    lists = tmp_path / f"{PART}.lists"
    lists.write_bytes(lists.read_bytes()[:-8])
    with pytest.raises(ValueError, match=r"details\.lists has \d+ bytes"):
        opened(tmp_path)


def test_points_are_those_of_their_photos_also_beside_photos_without_any(descriptors: ByteArray) -> None:
    index = held(added(descriptors[:5]), np.array([0, 0, 3, 3, 3, 5, 5]))
    assert index.photo(np.arange(5)).tolist() == [1, 1, 1, 4, 4]


def test_where_there_are_fewer_points_than_asked_for_the_rest_is_infinitely_far(descriptors: ByteArray) -> None:
    index = held(added(descriptors[:2]), np.array([0, 2]))
    distance, near = index.search(descriptors[:1], 4)
    assert np.isfinite(distance).tolist() == [[True, True, False, False]]
    assert near[0].tolist() == [0, 1, -1, -1]


def test_neither_an_empty_catalog_nor_a_photo_without_points_is_an_error(descriptors: ByteArray) -> None:
    nothing = np.zeros((0, 128), np.uint8)
    empty = held(added(nothing), np.zeros(1, np.int64))
    distance, near = empty.search(descriptors[:2], 3)
    assert np.isinf(distance).all() and (near == -1).all() and near.shape == (2, 3)
    full = held(added(descriptors[:9]), np.array([0, 9]))
    assert full.search(nothing, 3)[1].shape == (0, 3)
