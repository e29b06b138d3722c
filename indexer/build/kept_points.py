"""Which key points of a photo a version keeps: as many of every photo, of each blob one, spread over the print.

The strongest blobs stand together where the print is boldest, and a blob is found in several copies of a photo. What a photo that
is asked about shows of a pack may be any part of it. So those that repeat another come last, and of the others those come first
that are far from all stronger ones (adaptive non-maximal suppression: Brown, Szeliski & Winder, "Multi-image matching using
multi-scale oriented patches", CVPR 2005).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from packsight.indexer.build.parameters import FIT, KeptParameters
from packsight.shared.parameters import DETAILS
from packsight.shared.vision.features import LocalFeatures


def kept_points(local: LocalFeatures, parameters: KeptParameters = FIT.kept) -> LocalFeatures:
    """At most so many of a photo's key points, all of them where there are not more; strongest first."""
    order = _by_strength(local)
    if len(order) > parameters.points:
        points = local.points[order]
        apart = np.hypot(*(np.subtract.outer(side, side) for side in points.T))
        earlier = np.tri(len(order), k=-1, dtype=np.bool_)
        repeats = _repeats(local.descriptors[order], earlier & (apart < parameters.reach), parameters)
        last = np.argsort(repeats, kind="stable")
        order, apart = order[last], apart[np.ix_(last, last)]
        alone = np.where(earlier, apart, np.inf).min(axis=1, initial=np.inf)
        place = np.empty(len(order))
        place[np.argsort(-alone, kind="stable")] = np.arange(len(order))
        chosen = np.argsort(place + parameters.strength * np.arange(len(order)), kind="stable")[: parameters.points]
        order = order[np.sort(chosen)]
    return LocalFeatures(local.points[order], local.descriptors[order])


def _by_strength(local: LocalFeatures) -> npt.NDArray[np.int64]:
    """Numbers of a photo's points by their rank in the copy that they were found in, since strengths of copies are not alike."""
    leading = len(local.points) if local.leading is None else local.leading
    number = np.arange(len(local.points))
    rank = np.where(number < leading, number, (number - leading) // max(len(DETAILS.further_scales), 1))
    return np.argsort(rank, kind="stable")


def _repeats(
    descriptors: npt.NDArray[np.uint8], near: npt.NDArray[np.bool_], parameters: KeptParameters
) -> npt.NDArray[np.bool_]:
    """Which points are like an earlier one in the same place. near: [n, n] pairs of a point and an earlier one near it."""
    point, other = np.nonzero(near)
    gap = descriptors[point].astype(np.float32) - descriptors[other]
    alike = np.einsum("ij,ij->i", gap, gap) < parameters.alike * DETAILS.scale**2
    found = np.zeros(len(descriptors), np.bool_)
    found[point[alike]] = True
    return found

