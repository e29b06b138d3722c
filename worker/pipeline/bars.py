"""Where a photo has parallel bars, and those bars upright: what a reader of barcodes finds too turned, too small or too soft.

Cells with many gradients, all in one direction, are found by their structure tensor, the mean of the gradients' products
(Förstner & Gülch, 1987): its coherence is 1 where all gradients are parallel, 0 where they go everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from packsight.shared.parameters import BarcodeParameters
from packsight.shared.vision.features import FloatArray
from packsight.worker.pipeline.decode import Pixels

_STEP = 4
"""One gradient is taken of 4 × 4 pixels, between neighbours: the finest bars count in full, at a sixteenth of the price."""


@dataclass(frozen=True, slots=True)
class Gradients:
    """Means over cells, each [cells down, cells across]: magnitude in grey levels, products in their squares."""

    magnitude: FloatArray
    xx: FloatArray
    yy: FloatArray
    xy: FloatArray

    @classmethod
    def of(cls, grey: Pixels, cell: int) -> Gradients:
        """Of grey uint8 [height, width]; cells are squares of so many pixels, what is left over at the edges is left out."""
        down, across = grey.shape[0] // cell, grey.shape[1] // cell
        whole = grey[: down * cell, : across * cell]
        x, y = (
            cv2.subtract(whole[row::_STEP, column::_STEP], whole[::_STEP, ::_STEP], dtype=cv2.CV_32F)
            for row, column in ((0, 1), (1, 0))
        )

        def mean(values: FloatArray) -> FloatArray:
            # With the neighbours, since a cell alone has too few gradients.
            cells = cv2.resize(values, (across, down), interpolation=cv2.INTER_AREA)
            return np.asarray(cv2.blur(cells, (3, 3)), np.float32)

        xx, yy = x * x, y * y
        return cls(mean(np.sqrt(xx + yy)), mean(xx), mean(yy), mean(x * y))

    @property
    def coherence(self) -> FloatArray:
        """From 0 to 1."""
        parallel = np.hypot(self.xx - self.yy, 2 * self.xy)
        return np.asarray(parallel / np.maximum(self.xx + self.yy, np.float32(1e-6)), np.float32)

    def direction(self, region: npt.NDArray[np.bool_]) -> float:
        """Of a region's gradients on the whole, in radians: across its bars."""
        return float(0.5 * np.arctan2(2 * self.xy[region].sum(), (self.xx[region] - self.yy[region]).sum()))


def upright_bars(grey: Pixels, parameters: BarcodeParameters) -> Iterator[Pixels]:
    """Strips across the regions of parallel bars, the most striking first: bars stand upright, enlarged and sharpened.

    grey: uint8 [height, width].
    """
    if min(grey.shape) < parameters.cell:
        return
    gradients = Gradients.of(grey, parameters.cell)
    coherence = gradients.coherence
    striped = (gradients.magnitude > parameters.magnitude) & (coherence > parameters.coherence)
    closed = cv2.morphologyEx(striped.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    count, label, stats, _ = cv2.connectedComponentsWithStats(closed)
    weight = np.bincount(label.ravel(), (gradients.magnitude * coherence).ravel(), count)[1:]
    for number in (np.argsort(-weight)[: parameters.regions] + 1).tolist():
        if stats[number, cv2.CC_STAT_AREA] >= parameters.least_cells:
            region = label == number
            yield _strip(grey, np.argwhere(region), gradients.direction(region), parameters)


def _strip(grey: Pixels, cells: npt.NDArray[np.int64], direction: float, parameters: BarcodeParameters) -> Pixels:
    """The bars of a region, whose cells are [n, 2] rows and columns, laid upright."""
    across = np.array([np.cos(direction), np.sin(direction)])
    along = np.array([-across[1], across[0]])
    centres = (cells[:, ::-1] + 0.5) * parameters.cell
    x, y = centres @ across, centres @ along
    length, height = np.ptp(x) + 2 * parameters.margin, min(np.ptp(y) + parameters.cell, parameters.strip)
    origin = across * (x.min() - parameters.margin) + along * (y.mean() - height / 2)
    scale = min(parameters.enlarged, parameters.longest / length)
    matrix = np.column_stack([across / scale, along / scale, origin])
    size = (round(length * scale), round(height * scale))
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    strip = cv2.warpAffine(grey, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    soft = cv2.GaussianBlur(strip, (0, 0), parameters.unsharp_radius)
    return cv2.addWeighted(strip, 1 + parameters.unsharp, soft, -parameters.unsharp, 0).astype(np.uint8, copy=False)
