"""The index of a version: exact while that is fast enough, then approximate with a recall that was measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

from packsight.indexer.build.parameters import FIT, IndexParameters
from packsight.shared.catalog.arrays import IntArray, evenly_spread
from packsight.shared.catalog.placement import ByPhoto
from packsight.shared.catalog.vector_index import VectorIndex

Vectors = npt.NDArray[np.float16]
EXACT = "SQfp16"
"""Name of the index that compares every vector."""
_BATCH = 8_192
"""Vectors turned to float32 and compared with those asked at a time, which bounds the memory: 130 MB."""
_SAME = 1e-4
"""Cosine by which one found may be farther than the nearest and still be it: sums differ by the order of their terms."""


@dataclass(frozen=True)
class BuiltIndex:
    """An index with its Faiss name, and what it finds.

    recall: share of photos asked, none of them in the index then, whose nearest photo came first; asked: how many were.
    """

    index: Any
    name: str
    recall: float
    asked: int


def build_index(vectors: Vectors, parameters: IndexParameters = FIT.index) -> BuiltIndex:
    """Index unit vectors [photos, projected], which may be mapped, under inner product; codes are the vectors as they are stored.

    Above so many photos: an inverted file with as few lists visited as reach the recall that is asked for; exact when none does.
    """
    if len(vectors) > parameters.exact_photos:
        approximate = _inverted(vectors, parameters)
        if approximate is not None:
            return approximate
    index = faiss.IndexScalarQuantizer(vectors.shape[1], faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    index.train(np.zeros((1, vectors.shape[1]), np.float32))
    add_vectors(index, vectors)
    return BuiltIndex(index, EXACT, 1.0, 0)


def add_vectors(index: Any, vectors: Vectors) -> None:
    """Add unit vectors to an index that was trained."""
    for start in range(0, len(vectors), _BATCH):
        index.add(vectors[start : start + _BATCH].astype(np.float32))


def recall_of(index: VectorIndex, vectors: ByPhoto, parameters: IndexParameters) -> float:
    """Share of photos, each asked as if it were not in the index, whose nearest photo comes first; of as many as a build asks."""
    asked = evenly_spread(len(vectors), parameters.sample)
    queries, nearest = vectors[asked].astype(np.float32), np.full(len(asked), -1.0, np.float32)
    for start in range(0, len(vectors), _BATCH):
        cosine = queries @ vectors[start : start + _BATCH].astype(np.float32).T
        own = np.flatnonzero((asked >= start) & (asked < start + _BATCH))
        cosine[own, asked[own] - start] = -1.0
        np.maximum(nearest, cosine.max(axis=1, initial=-1.0), out=nearest)
    found, photo = index.search(queries, 2)
    first = np.where(photo[:, 0] == asked, found[:, 1], found[:, 0])
    return float((first >= nearest - _SAME).mean())


def _inverted(vectors: Vectors, parameters: IndexParameters) -> BuiltIndex | None:
    """The index, judged while some of the photos, evenly spread, are not in it yet: as those are that customers send."""
    index = _trained(vectors, parameters)
    asked = evenly_spread(len(vectors), parameters.sample)
    out = np.zeros(len(vectors), np.bool_)
    out[asked] = True
    queries, nearest = vectors[asked].astype(np.float32), np.full(len(asked), -1.0, np.float32)
    for start in range(0, len(vectors), _BATCH):
        rows = start + np.flatnonzero(~out[start : start + _BATCH])
        batch = vectors[rows].astype(np.float32)
        index.add_with_ids(batch, rows)
        np.maximum(nearest, (queries @ batch.T).max(axis=1, initial=-1.0), out=nearest)
    for probes in parameters.probes:
        index.nprobe = probes
        first = index.search(queries, 1)[0][:, 0]
        recall = float((first >= nearest - _SAME).mean())
        if surely(recall, len(asked), parameters.sureness) >= parameters.recall:
            index.add_with_ids(queries, asked)
            return BuiltIndex(index, f"IVF{index.nlist},{EXACT},nprobe={probes}", recall, len(asked))
    return None


def surely(share: float, count: int, z: float) -> float:
    """Lower end of Wilson's interval (1927) of a share counted among so many, z standard deviations wide on each side."""
    middle, width = share + z * z / (2 * count), z * np.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return float((middle - width) / (1 + z * z / count))


def _trained(vectors: Vectors, parameters: IndexParameters) -> Any:
    lists = int(parameters.lists_per_root * np.sqrt(len(vectors)))
    index: Any = faiss.index_factory(vectors.shape[1], f"IVF{lists},{EXACT}", faiss.METRIC_INNER_PRODUCT)
    index.by_residual = False  # codes are the vectors then, and cosines exact
    index.cp.niter = parameters.rounds
    index.cp.max_points_per_centroid = parameters.trained_per_list
    chosen: IntArray = np.random.default_rng(0).permutation(len(vectors))[: parameters.trained_per_list * lists]
    index.train(vectors[np.sort(chosen)].astype(np.float32))
    return index
