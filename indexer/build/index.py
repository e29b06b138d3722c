"""The index of a version: exact while that is fast enough, then approximate with a recall that was measured."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

from packsight.indexer.build.parameters import FIT, IndexParameters
from packsight.shared.catalog.arrays import IntArray, evenly_spread
from packsight.shared.catalog.placement import ByPhoto

Vectors = npt.NDArray[np.float16]
EXACT = "SQfp16"
"""Name of the index that compares every vector."""
_BATCH = 8_192
"""Vectors turned to float32 and compared with those asked at a time, which bounds the memory: 130 MB."""
_SAME = 1e-4
"""Cosine by which one found may be farther than the nearest and still be it: sums differ by the order of their terms."""


@dataclass(frozen=True)
class BuiltIndex:
    """An index with its Faiss name, and what it finds: its recall (`Question`), of so many photos asked."""

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


@dataclass(frozen=True)
class Question:
    """Photos as customers would send them, by which an index is judged, each as if its photo were not in the index.

    A photo left out lies as near to those of its product as shops' photos do to each other; what customers send lies farther. So
    each is moved by what sets another of them apart from its nearest: as far again, in a direction that photos do differ in.

    asked: numbers of the photos. queries: unit vectors. nearest: their cosines with the nearest of all other photos.
    """

    asked: IntArray
    queries: npt.NDArray[np.float32]
    nearest: npt.NDArray[np.float32]

    @classmethod
    def of(cls, vectors: Vectors | ByPhoto, count: int) -> Question:
        """Ask about so many of some photos, evenly spread."""
        asked = evenly_spread(len(vectors), count)
        own = vectors[asked].astype(np.float32)
        _, nearest = _compared(own, asked, vectors)
        apart = own - vectors[nearest].astype(np.float32)
        moved = own + apart[np.random.default_rng(0).permutation(len(asked))]
        queries = moved / np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), np.finfo(np.float32).tiny)
        return cls(asked, queries, _compared(queries, asked, vectors)[0])

    def recall(self, index: Any) -> float:
        """Share of the queries whose nearest photo comes first."""
        found, photo = index.search(self.queries, 2)
        first = np.where(photo[:, 0] == self.asked, found[:, 1], found[:, 0])
        return float((first >= self.nearest - _SAME).mean())


def _compared(
    queries: npt.NDArray[np.float32], own: IntArray, vectors: Vectors | ByPhoto
) -> tuple[npt.NDArray[np.float32], IntArray]:
    """Of each query the cosine with the nearest photo but its own, and that one's number."""
    nearest, number = np.full(len(queries), -np.inf, np.float32), np.zeros(len(queries), np.int64)
    for start in range(0, len(vectors), _BATCH):
        cosine = queries @ vectors[start : start + _BATCH].astype(np.float32).T
        inside = np.flatnonzero((own >= start) & (own < start + _BATCH))
        cosine[inside, own[inside] - start] = -np.inf
        best = cosine.argmax(axis=1)
        value = cosine[np.arange(len(queries)), best]
        nearer = value > nearest
        nearest[nearer], number[nearer] = value[nearer], start + best[nearer]
    return nearest, number


def _inverted(vectors: Vectors, parameters: IndexParameters) -> BuiltIndex | None:
    index = _trained(vectors, parameters)
    add_vectors(index, vectors)
    question, found = Question.of(vectors, parameters.sample), dict[int, float]()

    def is_enough(probes: int) -> bool:
        index.nprobe = probes
        found[probes] = question.recall(index)
        return surely(found[probes], len(question.asked), parameters.sureness) >= parameters.recall

    least = bisect_left(parameters.probes, True, key=is_enough)  # of more lists nothing nearer is missed
    if least == len(parameters.probes):
        return None
    index.nprobe = probes = parameters.probes[least]
    return BuiltIndex(index, f"IVF{index.nlist},{EXACT},nprobe={probes}", found[probes], len(question.asked))


def surely(share: float, count: int, z: float) -> float:
    """Lower end of Wilson's interval (1927) of a share counted among so many, z standard deviations wide on each side."""
    middle, width = share + z * z / (2 * count), z * np.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return float((middle - width) / (1 + z * z / count))


def _trained(vectors: Vectors, parameters: IndexParameters) -> Any:
    lists = min(int(parameters.lists_per_root * np.sqrt(len(vectors))), len(vectors))
    index: Any = faiss.index_factory(vectors.shape[1], f"IVF{lists},{EXACT}", faiss.METRIC_INNER_PRODUCT)
    index.by_residual = False  # codes are the vectors then, and cosines exact
    index.cp.niter = parameters.rounds
    index.cp.max_points_per_centroid = parameters.trained_per_list
    index.cp.min_points_per_centroid = 1  # fewer than 39 would be warned of: what the lists are worth is measured
    chosen: IntArray = np.random.default_rng(0).permutation(len(vectors))[: parameters.trained_per_list * lists]
    index.train(vectors[np.sort(chosen)].astype(np.float32))
    return index
