"""Do two photos show the same flat print? Key points in geometric agreement.

Root-SIFT (Arandjelović & Zisserman, Three things everyone should know to improve object retrieval, 2012), ratio test
(Lowe, Distinctive image features from scale-invariant keypoints, 2004), homography by sampling the likeliest pairs first
(PROSAC, Chum & Matas, CVPR 2005; OpenCV's USAC, Barath et al.). Positions are shares of a photo's width and height.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from packsight.shared.parameters import MATCHING, GeometryParameters
from packsight.shared.vision.features import FloatArray, LocalFeatures

NEXT = np.array([1, 2, 3, 0])
"""The corner after each of four."""
_FARTHEST = 0.5**0.5
"""From a photo's middle to its corner."""


@dataclass(frozen=True, slots=True)
class GeometricMatch:
    """A query laid against a catalog photo.

    homography: [3, 3] from photo to query, None when they do not agree. hull: [corners, 2] convex hull of the inliers on the
    query: where the print is that both show. covered: area of the inliers' hull on the photo, as a share of the photo.
    """

    inliers: int
    homography: npt.NDArray[np.float64] | None
    hull: npt.NDArray[np.float32]
    covered: float = 0.0

    def outline(self, points: FloatArray, growth: float) -> npt.NDArray[np.float32]:
        """Corners [corners, 2] on the query of what has key points on the photo, grown; empty when they do not agree."""
        if self.homography is None or not len(points):
            return np.zeros((0, 2), np.float32)
        hull = cv2.convexHull(points)[:, 0]
        grown = hull.mean(axis=0) + growth * (hull - hull.mean(axis=0))
        laid = cv2.perspectiveTransform(grown[None].astype(np.float64), self.homography)[0]
        return np.asarray(cv2.convexHull(laid.astype(np.float32))[:, 0], np.float32)

    @property
    def area(self) -> float:
        """Share of the query that the hull covers, 0 to 1."""
        return min(float(cv2.contourArea(self.hull)), 1.0) if len(self.hull) else 0.0

    @property
    def off_centre(self) -> float:
        """How far the hull is from the query's middle, in sides: 0 where it covers that, the most where nothing agrees."""
        if not len(self.hull):
            return _FARTHEST
        return min(max(-cv2.pointPolygonTest(self.hull, (0.5, 0.5), measureDist=True), 0.0), _FARTHEST)


NO_AGREEMENT = GeometricMatch(0, None, np.zeros((0, 2), np.float32))


def verify(
    query: LocalFeatures, photo: LocalFeatures, parameters: GeometryParameters = MATCHING.geometry
) -> GeometricMatch:
    """Lay a catalog photo over the query, by all pairs of their points; deterministic."""
    if min(len(query.points), len(photo.points)) < parameters.min_inliers:
        return NO_AGREEMENT
    distance = _squared_distances(query, photo)
    points, first = np.arange(len(distance)), distance.argmin(axis=1)
    nearest = distance[points, first, None]
    distance *= parameters.ratio**2
    rivals = distance <= nearest
    rivals[points, first] = False
    # Of most points the very first rival stands elsewhere, so that all rivals are asked about of the few that are left.
    some = rivals.argmax(axis=1)
    good = ~(rivals[points, some] & _apart(photo, some, first, parameters))
    left = np.flatnonzero(good)
    row, rival = np.divmod(np.flatnonzero(rivals[left]), len(photo.points))
    good[left[row[_apart(photo, rival, first[left[row]], parameters)]]] = False
    likeliest = np.flatnonzero(good)[np.argsort(nearest[good, 0], kind="stable")]
    return lay(query.points[likeliest], photo.points[first[likeliest]], parameters)


def _apart(
    photo: LocalFeatures, some: npt.NDArray[np.int64], others: npt.NDArray[np.int64], parameters: GeometryParameters
) -> npt.NDArray[np.bool_]:
    """Which of some of a photo's points stand in another place than the others do, one by one."""
    return np.asarray((np.abs(photo.points[some] - photo.points[others]) >= parameters.elsewhere).any(axis=1), np.bool_)


def lay(
    query: FloatArray, photo: FloatArray, parameters: GeometryParameters = MATCHING.geometry
) -> GeometricMatch:
    """Find the homography that most pairs of points [pairs, 2] agree on: of the query, and of the photo, likeliest first."""
    if len(query) < parameters.min_inliers:
        return NO_AGREEMENT
    source, target = photo.astype(np.float64), query.astype(np.float64)
    found, mask = cv2.findHomography(
        source, target, cv2.USAC_PROSAC, parameters.reprojection, maxIters=parameters.max_iterations
    )
    homography = np.asarray(found, np.float64)
    if homography.shape != (3, 3):  # None where no four pairs agree
        return NO_AGREEMENT
    # A point of the query counts once, however many points of the photo it is paired with.
    agrees = mask.ravel() > 0
    inside = _distinct(target[agrees])
    if len(inside) < parameters.min_inliers or not _sound(homography, parameters.min_turn):
        return NO_AGREEMENT
    hull = cv2.convexHull(inside.astype(np.float32))[:, 0]
    hull = hull.mean(axis=0) + parameters.hull_growth * (hull - hull.mean(axis=0))
    covered = spread(source[agrees].astype(np.float32))
    return GeometricMatch(len(inside), homography, hull.astype(np.float32), covered)


def _distinct(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Points [n, 2] without those that stand there twice, in rising order; as complex numbers they are sorted fast."""
    return np.unique(points.view(np.complex128)).view(np.float64).reshape(-1, 2)


def spread(points: FloatArray) -> float:
    """Area of the convex hull of points [n, 2]."""
    return float(cv2.contourArea(cv2.convexHull(points))) if len(points) > 2 else 0.0


def _squared_distances(query: LocalFeatures, photo: LocalFeatures) -> npt.NDArray[np.float32]:
    """Squared Euclidean distances of descriptors [query's, photo's].

    Descriptors are small integers, so every sum is exact in float32.
    """
    a, b = query.descriptors.astype(np.float32), photo.descriptors.astype(np.float32)
    distance = (-2 * a) @ b.T
    distance += np.einsum("ij,ij->i", a, a)[:, None]
    distance += np.einsum("ij,ij->i", b, b)
    return distance


def _sound(homography: npt.NDArray[np.float64], min_turn: float) -> bool:
    """Neither mirrored nor folded nor shrunk to nothing: the corners keep their sense of rotation and some area."""
    corners = np.array([[[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]])
    laid = cv2.perspectiveTransform(corners, homography)[0]
    if not np.isfinite(laid).all():
        return False
    sides = laid[NEXT] - laid
    turns = sides[:, 0] * sides[NEXT, 1] - sides[:, 1] * sides[NEXT, 0]
    return bool((turns > min_turn).all())
