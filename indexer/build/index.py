"""The index of a version: exact while that is fast enough, then approximate if its measured recall allows it."""

from __future__ import annotations

from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

from packsight.indexer.build.parameters import FIT, IndexParameters
from packsight.shared.catalog.arrays import evenly_spread

_BATCH = 65_536
"""Vectors turned to float32 at a time, which bounds the memory."""


def build_index(vectors: npt.NDArray[np.float16], parameters: IndexParameters = FIT.index) -> tuple[Any, str]:
    """Return the index of unit vectors [photos, projected] under inner product, with its name.

    Above so many photos: an inverted file whose vectors are kept in 8 bits a value, with as few lists visited as reach the
    recall that is asked for; exact when none does.
    """
    if len(vectors) > parameters.exact_photos:
        approximate = _inverted(vectors, parameters)
        if approximate is not None:
            return approximate
    index = faiss.IndexFlatIP(vectors.shape[1])
    _add(index, vectors)
    return index, "Flat"


def _inverted(vectors: npt.NDArray[np.float16], parameters: IndexParameters) -> tuple[Any, str] | None:
    lists = int(parameters.lists_per_root * np.sqrt(len(vectors)))
    name = f"IVF{lists},SQ8"
    index: Any = faiss.index_factory(vectors.shape[1], name, faiss.METRIC_INNER_PRODUCT)
    chosen = np.sort(np.random.default_rng(0).permutation(len(vectors))[: parameters.trained_per_list * lists])
    index.train(vectors[chosen].astype(np.float32))
    _add(index, vectors)
    asked = evenly_spread(len(vectors), parameters.sample)
    queries = vectors[asked].astype(np.float32)
    exact = _exact(vectors, asked)
    for probes in parameters.probes:
        index.nprobe = probes
        _, found = index.search(queries, 3)
        if float((found == exact[:, None]).any(axis=1).mean()) >= parameters.recall:
            return index, f"{name},nprobe={probes}"
    return None


def _exact(vectors: npt.NDArray[np.float16], asked: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Nearest other photo of each photo asked, by comparing it with all."""
    queries = vectors[asked].astype(np.float32)
    best, place = np.full(len(asked), -np.inf, np.float32), np.zeros(len(asked), np.int64)
    for start in range(0, len(vectors), _BATCH):
        similarity = queries @ vectors[start : start + _BATCH].astype(np.float32).T
        own = np.flatnonzero((asked >= start) & (asked < start + similarity.shape[1]))
        similarity[own, asked[own] - start] = -np.inf
        first = similarity.argmax(axis=1)
        value = similarity[np.arange(len(asked)), first]
        better = value > best
        best[better], place[better] = value[better], first[better] + start
    return place


def _add(index: Any, vectors: npt.NDArray[np.float16]) -> None:
    for start in range(0, len(vectors), _BATCH):
        index.add(vectors[start : start + _BATCH].astype(np.float32))
