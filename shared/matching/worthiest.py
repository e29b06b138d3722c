"""Which of many key points are worth most: strong ones, and such as are far from stronger ones."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from packsight.shared.parameters import DETAILS, SpreadParameters
from packsight.shared.vision.features import ByteArray, FloatArray


def worthiest(points: FloatArray, descriptors: ByteArray, parameters: SpreadParameters) -> npt.NDArray[np.int64]:
    """Rows of key points, the worthiest first; points [n, 2] as shares of the sides and descriptors [n, 128], strongest first.

    How far a point is from the nearest stronger one is its radius in adaptive non-maximal suppression (Brown, Szeliski & Winder,
    "Multi-image matching using multi-scale oriented patches", CVPR 2005; here the larger of the distances along both sides).
    Radius alone would keep the faint points of blank places, strength alone those of the one place where print is boldest: the
    worthiest are those whose ranks by both have the smallest sum, of equal sums the stronger. Blobs that a stronger point shows
    already come after all others.
    """
    apart = _apart(points)
    values = descriptors.astype(np.float32)
    # Sums of small whole numbers are exact, whatever their order.
    shown = ((values @ values.T > parameters.alike * DETAILS.scale**2) & (apart < parameters.place)).any(axis=1)
    new = np.flatnonzero(~shown)
    apart += np.where(shown, np.float32(np.inf), np.float32(0))
    ranks = np.empty(len(new), np.int64)
    ranks[np.argsort(-apart.min(axis=1, initial=np.inf)[new], kind="stable")] = np.arange(len(new))
    best = new[np.argsort(ranks + np.arange(len(new)), kind="stable")]
    return np.concatenate([best, np.flatnonzero(shown)])


def _apart(points: FloatArray) -> FloatArray:
    """How far each point [n, 2] is from each stronger one, [n, n]; infinite where the other is not stronger."""
    across, down = (one[:, None] - one for one in points.T.astype(np.float32))
    apart: FloatArray = np.maximum(np.abs(across, out=across), np.abs(down, out=down), out=across)
    for row, others in enumerate(apart):
        others[row:] = np.inf
    return apart
