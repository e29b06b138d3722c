"""Made-up photos for measuring: key points like real ones, the same each time."""

from __future__ import annotations

import cv2
import numpy as np

from bench.crowd import Crowd, mirror
from packsight.shared.catalog.arrays import Ragged

PHOTOS, EACH = 60, 50


def test_a_crowd_is_the_same_whichever_part_of_it_is_asked_for() -> None:
    chance, found = np.random.default_rng(7), []
    for _ in range(PHOTOS):
        histograms = cv2.SIFT.create(nfeatures=EACH).detectAndCompute(_grey(chance), None)[1][:EACH]
        root = np.sqrt(histograms / histograms.sum(axis=1, keepdims=True))
        found.append(np.minimum(np.rint(512 * root), 255).astype(np.uint8))
    descriptors = np.concatenate(found)
    crowd = Crowd.of(Ragged(EACH * np.arange(PHOTOS + 1), descriptors), photos=200, each=30)
    whole = crowd[0:6000]
    assert whole.shape == crowd.shape == (6000, 128)
    np.testing.assert_array_equal(crowd[2990:3010], whole[2990:3010])
    np.testing.assert_array_equal(crowd[np.array([0, 17, 5999])], whole[[0, 17, 5999]])
    assert len(np.unique(whole, axis=0)) > 5000


def test_a_mirrored_histogram_is_that_of_the_mirrored_picture() -> None:
    grey = _grey(np.random.default_rng(1))
    sift = cv2.SIFT.create()
    points = [cv2.KeyPoint(119.5 + 7, 119.5 - 3, 12.0, 33.0, 1.0, 0)]
    other_way = [cv2.KeyPoint(119.5 - 7, 119.5 - 3, 12.0, 180.0 - 33.0, 1.0, 0)]
    _, plain = sift.compute(grey, points)
    _, mirrored = sift.compute(np.ascontiguousarray(grey[:, ::-1]), other_way)
    assert np.abs(plain[0][mirror()] - mirrored[0]).max() < 0.1 * plain.max()
    assert np.abs(plain[0] - mirrored[0]).max() > 0.3 * plain.max()


def _grey(chance: np.random.Generator) -> cv2.typing.MatLike:
    """Blobs of all greys."""
    return cv2.resize(chance.integers(0, 256, (24, 24), np.uint8), (240, 240), interpolation=cv2.INTER_CUBIC)
