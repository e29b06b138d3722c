"""How far colours alone go: nearest neighbour of colour histograms, printed by the demo beside its own figure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from packsight.shared.tables.labels import Label


def histogram(path: Path) -> npt.NDArray[np.float32]:
    """Colour histogram of a picture's middle: 8 × 8 × 8 cells in HSV, sum 1."""
    pixels = cv2.imread(str(path), cv2.IMREAD_REDUCED_COLOR_4)
    if pixels is None:
        raise ValueError(f"{path} is not a picture")
    h, w = pixels.shape[:2]
    middle = cv2.cvtColor(pixels[h // 8 : h - h // 8, w // 6 : w - w // 6], cv2.COLOR_BGR2HSV)
    cells = cv2.calcHist([middle], [0, 1, 2], None, [8, 8, 8], [0, 180, 0, 256, 0, 256]).ravel()
    return np.asarray(cells / cells.sum(), np.float32)


def histogram_top1(folder: Path, labels: Sequence[Label]) -> float:
    """Share of the present products that the nearest catalog photo by histogram intersection names rightly."""
    photos = sorted((folder / "photos").glob("*/*.jpg"))
    catalog = np.stack([histogram(photo) for photo in photos])
    present = [label for label in labels if label.group == "present"]
    right = 0
    for label in present:
        overlap = np.minimum(catalog, histogram(folder / label.image)).sum(1)
        right += photos[int(overlap.argmax())].parent.name == label.product_id
    return right / len(present)
