"""Key points as a version stores them: codes stand for what is like the descriptors, places for what is near."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from packsight.indexer.build.parameters import FIT
from packsight.indexer.build.point_codes import learn_codebook, write_codes
from packsight.shared.catalog.arrays import Ragged
from packsight.shared.catalog.placement import Placement
from packsight.shared.catalog.point_code import CODEBOOK, Codebook, places, stored_places
from packsight.shared.catalog.snapshot import LocalStore
from packsight.shared.matching.geometry import verify
from packsight.shared.vision.features import ByteArray, LocalFeatures


def histograms(count: int, seed: int = 0) -> ByteArray:
    """Descriptors as root-SIFT has them: variations of some hundred common patterns."""
    chance = np.random.default_rng(seed)
    pattern = np.random.default_rng(0).gamma(0.4, size=(200, 128))
    histogram = pattern[chance.integers(0, 200, count)] * chance.gamma(9, 1 / 9, (count, 128))
    root = np.sqrt(histogram / histogram.sum(axis=1, keepdims=True))
    return np.asarray(np.minimum(np.rint(root * 512), 255), np.uint8)


def test_a_code_of_eight_bytes_stands_for_what_is_nearer_than_any_other_descriptor() -> None:
    learned, others = histograms(4000), histograms(400, seed=1)
    codebook = learn_codebook(learned)
    codes = codebook.encode(others)
    assert codes.shape == (400, FIT.codes.bytes) and codes.dtype == np.uint8
    decoded = codebook.decode(codes)
    assert decoded.shape == others.shape and decoded.dtype == np.uint8
    distance = ((others[:, None].astype(int) - decoded[None]) ** 2).sum(axis=2)
    own = distance.diagonal()
    assert (own <= distance.min(axis=1)).mean() > 0.9
    assert own.mean() < 0.2 * np.median(distance)


def test_a_codebook_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    codebook = learn_codebook(histograms(600))
    codebook.save(tmp_path)
    again = Codebook.open(tmp_path)
    assert np.array_equal(again.words, codebook.words)
    assert np.array_equal(again.encode(histograms(50, seed=2)), codebook.encode(histograms(50, seed=2)))


def test_codes_of_parts_are_those_of_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("packsight.indexer.build.point_codes._BATCH", 7)
    codebook, descriptors = learn_codebook(histograms(300)), histograms(40, seed=3)
    write_codes(descriptors, codebook, tmp_path / "codes.npy")
    assert np.array_equal(np.load(tmp_path / "codes.npy"), codebook.encode(descriptors))


@pytest.mark.parametrize("count", [0, 1, 30])
def test_a_catalog_of_a_few_points_has_a_codebook_too(count: int) -> None:
    descriptors = histograms(count) if count else np.zeros((0, 128), np.uint8)
    codebook = learn_codebook(descriptors)
    assert np.array_equal(codebook.decode(codebook.encode(descriptors)), descriptors)


@pytest.mark.parametrize("words", [np.zeros((8, 255, 16), np.uint8), np.zeros((8, 256, 8), np.uint8), np.zeros((8, 256, 16))])
def test_a_codebook_of_another_shape_is_refused(tmp_path: Path, words: np.ndarray) -> None:
    np.save(tmp_path / CODEBOOK, words)
    with pytest.raises(ValueError, match="none of descriptors"):
        Codebook.open(tmp_path)


def test_places_are_kept_to_half_a_step_and_lie_on_the_photo() -> None:
    points = np.array([[0, 1], [0.5, 0.25], [0.999, 0.001]], np.float32)
    stored = stored_places(points)
    assert stored.dtype == np.uint8
    assert np.abs(places(stored) - points).max() <= 0.5 / 256


def _written(folder: Path, rows: list[LocalFeatures], codebook: Codebook) -> None:
    codebook.save(folder)
    Ragged.of([stored_places(one.points) for one in rows], np.uint8).save(folder, "s0000.points")
    write_codes(np.concatenate([one.descriptors for one in rows]), codebook, folder / "s0000.codes.npy")
    Ragged.of([np.frombuffer(b"webp", np.uint8)] * len(rows), np.uint8).save(folder, "s0000.thumbnails")


def _print(seed: int) -> LocalFeatures:
    return LocalFeatures(np.random.default_rng(seed).uniform(0, 1, (60, 2)).astype(np.float32), histograms(60, seed))


def test_a_photo_seen_again_agrees_with_what_is_stored_of_it_and_another_does_not(tmp_path: Path) -> None:
    rows = [_print(10), _print(11)]
    _written(tmp_path, rows, learn_codebook(np.concatenate([one.descriptors for one in rows])))
    store = LocalStore.open(tmp_path, ["s0000."], Placement.in_order(2), coded=True)
    shaken = np.random.default_rng(1).normal(0, 4, (60, 128))
    seen = LocalFeatures(rows[1].points, np.clip(rows[1].descriptors + shaken, 0, 255).astype(np.uint8))
    assert verify(seen, store.features(1)).inliers > 40
    assert verify(seen, store.features(0)).inliers == 0
    assert np.array_equal(store.places(np.array([60, 61])), store.features(1).points[:2])
    assert store.thumbnail(1) == b"webp"


def test_codes_of_another_codebook_are_refused(tmp_path: Path) -> None:
    _written(tmp_path, [_print(10)], learn_codebook(histograms(300)))
    Codebook.learn(histograms(300), 16, 2).save(tmp_path)
    with pytest.raises(ValueError, match="not those of the codebook"):
        LocalStore.open(tmp_path, ["s0000."], Placement.in_order(1), coded=True)


def test_what_a_version_before_codes_has_is_read_as_it_was_found(tmp_path: Path) -> None:
    rows = [_print(10), _print(11)]
    np.save(tmp_path / "points.npy", np.concatenate([one.points for one in rows]).astype(np.float16))
    Ragged.of([one.descriptors for one in rows], np.uint8).save(tmp_path, "descriptors")
    Ragged.of([np.frombuffer(b"jpeg", np.uint8)] * 2, np.uint8).save(tmp_path, "thumbnails")
    store = LocalStore.open(tmp_path, [""], Placement.in_order(2), coded=False)
    assert np.array_equal(store.features(1).descriptors, rows[1].descriptors)
    assert np.abs(store.features(1).points - rows[1].points).max() < 1e-3
    assert np.array_equal(store.places(np.array([60])), store.features(1).points[:1])
