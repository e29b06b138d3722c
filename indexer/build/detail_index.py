"""The index of a catalog's key points: compressed, so that those of a hundred thousand photos fit into memory."""

from __future__ import annotations

from typing import Any, Protocol

import faiss
import numpy as np

from packsight.indexer.build.parameters import FIT, DetailIndexParameters
from packsight.shared.catalog.arrays import evenly_spread
from packsight.shared.catalog.detail_index import unit

_BATCH = 65_536
"""Descriptors turned to float32 at a time, which bounds the memory."""


class Descriptors(Protocol):
    """Descriptors [points, 128], an array or what makes some of its rows when they are asked for."""

    @property
    def shape(self) -> tuple[int, ...]:
        """How many there are, and how long they are."""

    def __getitem__(self, rows: Any, /) -> Any:
        """Some of them: a slice, or numbers in rising order."""


def build_detail_index(descriptors: Descriptors, parameters: DetailIndexParameters = FIT.details) -> Any:
    """Index of descriptors by squared distance.

    An inverted file of product codes (Jégou, Douze & Schmid, Product quantization for nearest neighbor search, PAMI 2011) after a
    PCA and a rotation that spreads what varies over all parts of the code; small catalogs are compared exactly, since there is
    too little to learn codes from.
    """
    count, dimension = descriptors.shape
    if count < parameters.exact_points:
        index: Any = faiss.IndexFlatL2(dimension)
    else:
        index = _trained(descriptors, parameters)
    add_points(index, descriptors)
    return index


def add_points(index: Any, descriptors: Descriptors) -> None:
    """Add descriptors to an index that was trained."""
    for start in range(0, descriptors.shape[0], _BATCH):
        index.add(unit(descriptors[start : start + _BATCH]))


def _trained(descriptors: Descriptors, parameters: DetailIndexParameters) -> Any:
    count, dimension = descriptors.shape
    lists = int(parameters.lists_per_root * np.sqrt(count))
    codes = 2 * parameters.bytes
    index: Any = faiss.index_factory(dimension, f"PCAR{parameters.dimension},IVF{lists},PQ{codes}x4fs")
    inverted: Any = faiss.downcast_index(faiss.extract_index_ivf(index))
    inverted.by_residual = False  # one table of distances a point, not one for each list besides
    inverted.cp.niter = parameters.rounds
    inverted.cp.max_points_per_centroid = parameters.trained_per_list
    inverted.nprobe = parameters.probes
    index.train(unit(descriptors[evenly_spread(count, parameters.trained_per_list * lists)]))
    return index
