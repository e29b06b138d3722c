"""What of a confirmed photo is its product's: customers photograph packs among others.

Key points and words around the pack would be taken for the product's: whatever is seen on other photos of the same shelf would
look like it, and a pack that is seen beside it like its sibling.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from packsight.shared.matching.geometry import GeometricMatch, verify
from packsight.shared.parameters import MATCHING
from packsight.shared.vision.features import Features, FloatArray, LocalFeatures


@dataclass(frozen=True)
class Outlined(Mapping[str, Features]):
    """Features by sha256, those of confirmed photos without what surrounds the product.

    own: hashes of the other photos of its product, by that of each confirmed photo.
    """

    features: Mapping[str, Features]
    own: Mapping[str, Sequence[str]]

    def __getitem__(self, sha256: str) -> Features:
        photo = self.features[sha256]
        others = [self.features[one] for one in self.own.get(sha256, ()) if one in self.features]
        return outlined(photo, others) if others else photo

    def __iter__(self) -> Iterator[str]:
        return iter(self.features)

    def __len__(self) -> int:
        return len(self.features)


def outlined(photo: Features, others: Sequence[Features]) -> Features:
    """The photo with what it shows where one of the others lies over it, the one that agrees best; whole where none does.

    Where a pack lies is known by its print: what none of the others shows, as a pack's back, is not cut.
    """
    laid: list[tuple[GeometricMatch, LocalFeatures]] = [(verify(photo.local, one.local), one.local) for one in others]
    best, local = max(laid, key=lambda one: one[0].inliers, default=(None, photo.local))
    if best is None or not best.inliers:
        return photo
    outline = best.outline(local.points, MATCHING.geometry.hull_growth)
    points = _inside(photo.local.points, outline)
    boxes = np.array([line.box for line in photo.words], np.float32).reshape(-1, 4, 2)
    lines = _inside(boxes.mean(axis=1) / np.array([photo.width, photo.height], np.float32), outline)
    return replace(
        photo,
        local=_taken(photo.local, points),
        words=tuple(line for line, inside in zip(photo.words, lines.tolist(), strict=True) if inside),
    )


def _inside(points: FloatArray, outline: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    return np.array([cv2.pointPolygonTest(outline, (float(x), float(y)), measureDist=False) >= 0 for x, y in points], np.bool_)


def _taken(local: LocalFeatures, rows: npt.NDArray[np.bool_]) -> LocalFeatures:
    leading = None if local.leading is None else int(rows[: local.leading].sum())
    return LocalFeatures(local.points[rows], local.descriptors[rows], leading)
