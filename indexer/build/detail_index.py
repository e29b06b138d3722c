"""The index of a catalog's key points: compressed, so that those of a hundred thousand photos fit into memory."""

from __future__ import annotations

from typing import Any

import faiss
import numpy as np

from packsight.indexer.build.parameters import FIT, DetailIndexParameters
from packsight.shared.catalog.arrays import evenly_spread
from packsight.shared.catalog.detail_index import unit
from packsight.shared.vision.features import ByteArray

_BATCH = 65_536
"""Descriptors turned to float32 at a time, which bounds the memory."""


def build_detail_index(descriptors: ByteArray, parameters: DetailIndexParameters = FIT.details) -> Any:
    """Index of descriptors [points, 128] by squared distance.

    An inverted file of product codes (Jégou, Douze & Schmid, Product quantization for nearest neighbor search, PAMI 2011)
    after a PCA; small catalogs are compared exactly, since there is too little to learn codes from.
    """
    count, dimension = descriptors.shape
    index: Any
    if count < parameters.exact_points:
        index = faiss.IndexFlatL2(dimension)
    else:
        lists = int(parameters.lists_per_root * np.sqrt(count))
        # np: codes in polysemous order are for a search that isn't used here, and half a minute's work.
        index = faiss.index_factory(dimension, f"PCA{parameters.dimension},IVF{lists},PQ{parameters.bytes}np")
        inverted = faiss.extract_index_ivf(index)
        inverted.cp.niter = parameters.rounds
        inverted.cp.max_points_per_centroid = parameters.trained_per_list
        inverted.nprobe = parameters.probes
        index.train(unit(descriptors[evenly_spread(count, parameters.trained_per_list * lists)]))
    for start in range(0, count, _BATCH):
        index.add(unit(descriptors[start : start + _BATCH]))
    return index
