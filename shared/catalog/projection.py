"""From a network's raw activations to the unit vectors that are compared by their cosine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from packsight.shared.catalog.arrays import open_array
from packsight.shared.vision.features import FloatArray


@dataclass(frozen=True, slots=True)
class Projection:
    """Centre, rotate, scale, normalise: PCA whitening (Jégou & Chum, Negative evidences and co-occurrences, 2012).

    mean: [dimension]. matrix: [dimension, projected]; no columns stand for the identity, the raw directions as they
    are.
    """

    mean: FloatArray
    matrix: FloatArray

    @property
    def dimension(self) -> int:
        """Length of a projected vector."""
        return self.matrix.shape[1] or len(self.mean)

    def __call__(self, raw: FloatArray) -> FloatArray:
        """Project [n, dimension] to unit rows [n, projected]; zeros where a row is not finite or has no length."""
        unit = unit_rows(raw)
        if self.matrix.shape[1]:
            unit = np.where(
                unit.any(axis=1, keepdims=True), unit_rows((unit - self.mean) @ self.matrix), np.float32(0.0)
            )
        return unit

    def save(self, folder: Path) -> None:
        """Write `projection.mean.npy` and `projection.matrix.npy`."""
        np.save(folder / "projection.mean.npy", self.mean)
        np.save(folder / "projection.matrix.npy", self.matrix)

    @classmethod
    def open(cls, folder: Path) -> Projection:
        """Memory-map what `save` wrote."""
        return cls(open_array(folder / "projection.mean.npy"), open_array(folder / "projection.matrix.npy"))

    @classmethod
    def identity(cls, dimension: int) -> Projection:
        """Only normalise: for catalogs too small to learn directions from."""
        return cls(np.zeros(dimension, np.float32), np.zeros((dimension, 0), np.float32))


def unit_rows(rows: npt.NDArray[Any]) -> FloatArray:
    """Scale rows to length 1; zeros where that is impossible."""
    finite = np.isfinite(rows).all(axis=1, keepdims=True)
    rows = np.where(finite, rows, 0.0).astype(np.float32)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    result: FloatArray = rows / np.maximum(length, 1e-12)
    return np.where(length > 1e-12, result, np.float32(0.0)).astype(np.float32)
