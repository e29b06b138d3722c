"""Siblings: products of one line told apart by what differs, the words and the regions of their photos.

For each of a few candidates, against its nearest catalog photo:
- inliers: ln(1 + key points in geometric agreement) ÷ ln 100: root-SIFT (Arandjelović & Zisserman, 2012), ratio test
  (Lowe, 2004), homography by RANSAC (Fischler & Bolles, 1981);
- alignment: inliers as a share of the best candidate's;
- colour: likeness of the two packs' colours once the catalog photo is laid over the query by that homography;
- telling_words: words read that the candidate has and its rivals lack, by their rarity among these candidates;
- telling_missing: words expected on the candidate and not on its rivals that were not read.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from shared.features import LocalFeatures
from shared.matching.candidates import IntArray, Leave, Query
from shared.matching.evidence import NO_PHOTO, Gathered
from shared.matching.model import CLEAR, CLOSE, Matrix
from shared.matching.snapshot import Snapshot

RATIO = 0.8
REPROJECTION = 0.02
"""Of the photo's longer side: how far an inlier may lie from where the homography puts it."""
MIN_INLIERS = 8
SIDE = 64
NAMES = CLOSE[len(CLEAR) :]


@dataclass(frozen=True, slots=True)
class Compared:
    """Close evidence [candidates, NAMES] and inliers of each."""

    matrix: Matrix
    inliers: IntArray


def compare(
    query: Query, gathered: Gathered, places: IntArray, snapshot: Snapshot, leave: Leave | None = None
) -> Compared:
    """Compare a few candidates, given by their row in `gathered`."""
    columns = {name: np.zeros(len(places)) for name in NAMES}
    inliers = np.zeros(len(places), np.int64)
    thumbnail = _pixels(query.features.thumbnail)
    for row, place in enumerate(places.tolist()):
        photo = int(gathered.nearest[place])
        if photo == NO_PHOTO:
            continue
        matches, homography = verify(query.features.local, snapshot.local.features(photo))
        inliers[row] = matches
        if homography is not None:
            columns["colour"][row] = _colour(thumbnail, _pixels(snapshot.local.thumbnail(photo)), homography)
    columns["inliers"] = np.log1p(inliers) / np.log(100)
    columns["alignment"] = inliers / max(int(inliers.max(initial=0)), 1)
    return Compared(np.stack([columns[name] for name in NAMES], axis=1), inliers)


def verify(query: LocalFeatures, photo: LocalFeatures) -> tuple[int, Matrix | None]:
    """Count the key points that one homography brings from photo to query; positions are shares of width and height."""
    if min(len(query.points), len(photo.points)) < MIN_INLIERS:
        return 0, None
    a, b = query.descriptors.astype(np.float32), photo.descriptors.astype(np.float32)
    similarity = a @ b.T
    distance = (a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * similarity
    two = np.argpartition(distance, 1, axis=1)[:, :2]
    near = np.take_along_axis(distance, two, axis=1)
    swap = near[:, 0] > near[:, 1]
    first = np.where(swap, two[:, 1], two[:, 0])
    good = np.flatnonzero(near.min(1) < RATIO**2 * near.max(1))
    if len(good) < MIN_INLIERS:
        return 0, None
    cv2.setRNGSeed(0)
    found, mask = cv2.findHomography(
        photo.points[first[good]].astype(np.float64),
        query.points[good].astype(np.float64),
        cv2.RANSAC,
        REPROJECTION,
        maxIters=500,
    )
    count = 0 if mask is None else int(mask.sum())
    if found is None or count < MIN_INLIERS:
        return 0, None
    return count, found.astype(np.float64)


def _pixels(jpeg: bytes) -> npt.NDArray[np.float32]:
    """CIE Lab pixels [SIDE, SIDE, 3] of a thumbnail, squashed to a square; grey when it cannot be read."""
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR) if jpeg else None
    if image is None:
        return np.full((SIDE, SIDE, 3), 128, np.float32)
    image = cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(image, cv2.COLOR_BGR2LAB).astype(np.float32)


def _colour(query: npt.NDArray[np.float32], photo: npt.NDArray[np.float32], homography: Matrix) -> float:
    """1 for equal colours, falling with the mean difference of hue and chroma where the photo covers the query."""
    scale = np.diag([SIDE, SIDE, 1.0])
    whole = scale @ homography @ np.linalg.inv(scale)
    laid = cv2.warpPerspective(photo, whole, (SIDE, SIDE))
    covered = cv2.warpPerspective(np.ones((SIDE, SIDE), np.uint8), whole, (SIDE, SIDE)) > 0
    if covered.sum() < 64:
        return 0.0
    difference = (laid - query)[covered][:, 1:]
    difference = difference - np.median(difference, axis=0)  # the light's colour
    return float(np.exp(-np.hypot(difference[:, 0], difference[:, 1]).mean() / 10))
