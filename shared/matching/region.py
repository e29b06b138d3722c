"""Where on the photo a product is: a polygon of points [corners, 2], as shares of the photo's width and height.

By geometry, where the product's photo lies over the query: the hull of that photo's key points (its margins have none), laid
over the query by the homography and cut at its edges. Else by its words: the hull of the lines that speak for it.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.contract.outcomes import Polygon, WordRead
from packsight.shared.matching.candidates import Frame, Query
from packsight.shared.matching.close import Laid
from packsight.shared.matching.evidence import Compared
from packsight.shared.vision.features import FloatArray

_NOWHERE = np.zeros((0, 2), np.float32)


def region(query: Query, compared: Compared, row: int, snapshot: Snapshot, laid: Laid | None) -> FloatArray:
    """Where the candidate of that row is; without corners where nothing tells."""
    if laid is not None and laid.match.homography is not None:
        return outline(laid, query.edges, snapshot)
    speaking = _speaking(query, compared, row, snapshot)
    if not speaking:
        return _NOWHERE
    corners = query.frame.shares(np.array([line.box for line in speaking], np.float32).reshape(-1, 2))
    return _clipped(cv2.convexHull(corners)[:, 0].astype(np.float32), query.edges)


def outline(laid: Laid, edges: FloatArray, snapshot: Snapshot) -> FloatArray:
    """The hull of a photo's key points where it lies over a query with these edges; there must be a homography."""
    on_photo = _clipped(laid.match.outline(snapshot.local.points_of(laid.photo), 1.0), edges)
    return on_photo if len(on_photo) else laid.match.hull


def _speaking(query: Query, compared: Compared, row: int, snapshot: Snapshot) -> list[WordRead]:
    """Lines with the words that speak most for a candidate: what many products have may stand on another pack."""
    value = compared.explained.value[:, row] * query.words.confidence
    least = snapshot.parameters.region.telling * value.max(initial=0.0)
    words = np.flatnonzero((value > 0) & (value >= least)).tolist()
    return [query.lines[line] for line in sorted({line for word in words for line in query.words.lines[word]})]


def pixels(polygon: FloatArray, frame: Frame) -> Polygon | None:
    """Corners in pixels of the upright photo, as they are told; None of a region without any."""
    if not len(polygon):
        return None
    return [(round(x, 1), round(y, 1)) for x, y in frame.pixels(polygon).tolist()]


def _clipped(polygon: FloatArray, edges: FloatArray) -> FloatArray:
    """The part of a convex polygon that is on the photo."""
    area, kept = cv2.intersectConvexConvex(polygon, edges)
    return kept[:, 0].astype(np.float32) if area > 0 and kept is not None else _NOWHERE


def holds(polygon: FloatArray, points: FloatArray) -> npt.NDArray[np.bool_]:
    """Which points [n, 2] a convex polygon holds."""
    if not len(polygon):
        return np.zeros(len(points), bool)
    contour = polygon.astype(np.float32)
    return np.array([cv2.pointPolygonTest(contour, (float(x), float(y)), False) >= 0 for x, y in points], bool)
