"""Fit the projection on a catalog's raw embeddings: PCA whitening, its size chosen by leaving photos out."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from shared.features import FloatArray
from shared.matching.projection import Projection, unit_rows

MIN_PHOTOS = 16
"""Photos below which nothing is learned."""
SHRINKAGE = 0.02


def whitening(raw: FloatArray, dimension: int, shrinkage: float = SHRINKAGE) -> Projection:
    """PCA whitening: directions of the covariance, each divided by the root of its eigenvalue.

    Eigenvalues are drawn towards their mean by `shrinkage` (Ledoit & Wolf, 2004), so that directions hardly seen are
    not blown up.
    """
    unit = unit_rows(raw).astype(np.float64)
    mean = unit.mean(axis=0)
    centred = unit - mean
    _, singular, directions = (
        np.linalg.svd(centred, full_matrices=False) if len(raw) <= raw.shape[1] else _covariance(centred)
    )
    variance = singular**2 / max(len(raw) - 1, 1)
    kept = min(dimension, int((variance > 1e-9 * variance[0]).sum()))
    variance = (1 - shrinkage) * variance + shrinkage * variance.mean()
    matrix = directions[:kept].T / np.sqrt(variance[:kept])
    return Projection(mean.astype(np.float32), matrix.astype(np.float32))


def _covariance(centred: npt.NDArray[np.float64]) -> tuple[None, npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    value, vector = np.linalg.eigh(centred.T @ centred)
    return None, np.sqrt(np.maximum(value[::-1], 0)), vector[:, ::-1].T


def fit_like(projection: Projection, raw: FloatArray) -> Projection:
    """Fit a projection of the same kind and size on other photos."""
    usable = raw[np.isfinite(raw).all(axis=1)]
    if not projection.matrix.shape[1] or len(usable) < MIN_PHOTOS:
        return projection
    return whitening(usable, projection.dimension)


def fit_projection(raw: FloatArray, photo_product: npt.NDArray[np.int32]) -> Projection:
    """Choose and fit the projection for a catalog; raw [photos, dimension]."""
    usable = np.isfinite(raw).all(axis=1)
    if int(usable.sum()) < MIN_PHOTOS:
        return Projection.identity(raw.shape[1])
    return whitening(raw[usable], 64)
