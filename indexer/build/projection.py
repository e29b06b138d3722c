"""Fit the projection on a catalog's raw embeddings: PCA whitening, its size chosen by leaving photos out."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from packsight.indexer.build.parameters import FIT, ProjectionParameters
from packsight.shared.catalog.arrays import IntArray, evenly_spread
from packsight.shared.catalog.projection import Projection, unit_rows
from packsight.shared.vision.features import FloatArray

_STRIPS = 200
"""Strips of a catalog that is sampled: a hundred photos in each, of more products than a line has varieties."""

RawArray = npt.NDArray[np.float16] | FloatArray


def whitening(raw: FloatArray, dimension: int, parameters: ProjectionParameters = FIT.projection) -> Projection:
    """PCA whitening: directions of the covariance, each divided by the root of its eigenvalue.

    Eigenvalues are drawn towards their mean (shrinkage: Ledoit & Wolf, 2004), so that directions hardly seen are
    not blown up.
    """
    unit = unit_rows(raw[evenly_spread(len(raw), parameters.max_photos)]).astype(np.float64)
    mean = unit.mean(axis=0)
    centred = unit - mean
    variance, directions = _principal(centred)
    kept = max(1, min(dimension, int((variance > parameters.min_variance * variance[0]).sum())))
    if variance[0] <= 0:  # all photos alike: nothing to learn
        return Projection.identity(raw.shape[1])
    variance = (1 - parameters.shrinkage) * variance + parameters.shrinkage * variance.mean()
    matrix = directions[:, :kept] / np.sqrt(variance[:kept])
    return Projection(mean.astype(np.float32), matrix.astype(np.float32))


def fit_like(
    projection: Projection, raw: FloatArray, parameters: ProjectionParameters = FIT.projection
) -> Projection:
    """Fit a projection of the same kind and size on other photos."""
    usable = raw[np.isfinite(raw).all(axis=1)]
    if not projection.matrix.shape[1] or len(usable) < parameters.min_photos:
        return projection
    return whitening(usable, projection.dimension, parameters)


def fit_projection(
    raw: RawArray, photo_product: npt.NDArray[np.int32], parameters: ProjectionParameters = FIT.projection
) -> Projection:
    """Choose and fit the projection for a catalog; raw [photos, dimension], which may be mapped, photo_product [photos] rising.

    It sees a sample of so many photos at most, so that its price does not grow with the catalog.
    """
    photos = sampled_photos(len(raw), parameters.max_photos)
    seen, products = np.asarray(raw[photos], np.float32), photo_product[photos]
    usable = np.isfinite(seen).all(axis=1)
    seen, products = seen[usable], products[usable]
    if len(seen) < parameters.min_photos:
        return Projection.identity(raw.shape[1])
    return whitening(seen, _best_dimension(seen, products, parameters), parameters)


def sampled_photos(photos: int, most: int) -> IntArray:
    """Numbers of all photos, or of so many in strips evenly spread: neighbours in the feed, often siblings, stay together."""
    if photos <= most:
        return np.arange(photos)
    strip = max(most // _STRIPS, 1)
    first = np.linspace(0, photos - strip, most // strip).astype(np.int64)
    return np.asarray((first[:, None] + np.arange(strip)).ravel(), np.int64)


def _best_dimension(raw: FloatArray, photo_product: npt.NDArray[np.int32], parameters: ProjectionParameters) -> int:
    """Smallest size that no larger one beats by what is worth it, judged by photos that the projection has not seen."""
    paired = np.flatnonzero(np.bincount(photo_product)[photo_product] > 1)
    if not len(paired):
        return parameters.usual_dimension
    asked = paired[evenly_spread(len(paired), parameters.max_asked)]
    ranks = {dimension: np.zeros(len(asked)) for dimension in parameters.dimensions}
    for fold in range(parameters.folds):
        held = np.arange(fold, len(asked), parameters.folds)
        whole = whitening(np.delete(raw, asked[held], axis=0), max(parameters.dimensions), parameters)
        for dimension in parameters.dimensions:
            projection = Projection(whole.mean, np.ascontiguousarray(whole.matrix[:, :dimension]))
            ranks[dimension][held] = _reciprocal_ranks(projection(raw), asked[held], photo_product)
    best = max(float(rank.mean()) for rank in ranks.values())
    good = best - parameters.worth
    return next(dimension for dimension in parameters.dimensions if float(ranks[dimension].mean()) >= good)


def _reciprocal_ranks(
    vectors: FloatArray, asked: npt.NDArray[np.int64], photo_product: npt.NDArray[np.int32]
) -> npt.NDArray[np.float64]:
    """1 ÷ rank of the right product by its nearest photo, the photo asked left out."""
    similarity = vectors[asked] @ vectors.T
    similarity[np.arange(len(asked)), asked] = -np.inf
    products, starts = np.unique(photo_product, return_index=True)
    nearest = np.maximum.reduceat(similarity, starts, axis=1)
    right = nearest[np.arange(len(asked)), np.searchsorted(products, photo_product[asked])]
    return np.asarray(1 / (1 + (nearest > right[:, None]).sum(axis=1)), np.float64)


def _principal(centred: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Variances, falling, and directions as columns."""
    photos, dimension = centred.shape
    if photos <= dimension:
        _, singular, rows = np.linalg.svd(centred, full_matrices=False)
        return singular**2 / max(photos - 1, 1), rows.T
    value, vector = np.linalg.eigh(centred.T @ centred / (photos - 1))
    return np.maximum(value[::-1], 0.0), vector[:, ::-1]
