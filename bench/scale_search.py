"""The vectors of a version, and a batch of photos that are not in it, beside what else could search them: same vectors, one run.

Plain Faiss is tuned here, by hand as it were: of inverted files of several sizes the fastest that finds enough, and the fastest
that finds as much as the version's own index. Others are asked with the smallest parameter that finds enough, or the last; who is
not installed is left out.
"""

from __future__ import annotations

import importlib
import shutil
import tempfile
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

from bench.invented import Invented
from bench.memory import own_mb
from packsight.shared.catalog.arrays import evenly_spread
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.catalog.vector_index import VECTOR_INDEX
from packsight.shared.vision.features import FloatArray

BATCH, NEAR = 16, 64
"""Photos of a batch, and how many are wanted for each, as candidates are sought."""
RECALL = 0.99
"""Of the nearest photo in first place."""
SAME = 3e-4
"""Cosine by which one found may be farther than the nearest: codes differ in how they round."""
PROBES = tuple(dict.fromkeys(round(1.12**step) for step in range(50)))
"""As fine as those of the version."""
LISTS = (1, 2, 4, 8)
"""Lists of an inverted file, in roots of the number of vectors."""
BREADTHS = (64, 96, 128, 192, 256, 512)
"""Of the search in a graph."""
_BLOCK = 16_384

Ask = Callable[[FloatArray], npt.NDArray[Any]]
"""Numbers [queries, NEAR] of the nearest vectors."""


@dataclass(frozen=True)
class Question:
    """Vectors [n, dimension] and queries, none of which is one of them, with the cosine of each one's nearest."""

    vectors: FloatArray
    queries: FloatArray
    nearest: FloatArray

    @classmethod
    def of(cls, vectors: npt.NDArray[np.float16], queries: FloatArray) -> Question:
        """Compare all."""
        nearest = np.full(len(queries), -1, np.float32)
        for start in range(0, len(vectors), _BLOCK):
            block = vectors[start : start + _BLOCK].astype(np.float32)
            np.maximum(nearest, (queries @ block.T).max(axis=1), out=nearest)
        return cls(vectors.astype(np.float32), queries, nearest)

    def recall(self, ask: Ask) -> float:
        """Share of queries whose nearest comes first."""
        batches = range(0, len(self.queries), BATCH)
        first = np.concatenate([ask(self.queries[start : start + BATCH])[:, 0] for start in batches]).astype(np.int64)
        cosine = np.einsum("ij,ij->i", self.vectors[np.maximum(first, 0)], self.queries)
        return float((cosine >= self.nearest - SAME).mean())

    def batch_ms(self, ask: Ask) -> float:
        """Processor milliseconds of all threads for a batch, the median."""
        spent = []
        for start in range(0, len(self.queries) - BATCH + 1, BATCH):
            begun = time.process_time()
            ask(self.queries[start : start + BATCH])
            spent.append(1000 * (time.process_time() - begun))
        return float(np.median(spent))

    def row(self, name: str, ask: Ask, **more: float) -> dict[str, Any]:
        """What is told of one way."""
        recall = self.recall(ask)  # first, so that whatever is asked has been in memory once
        return {"name": name, "batch_ms": round(self.batch_ms(ask), 3), "recall": round(recall, 4), **more}


def search(shop: Invented, folder: Path, asked: int, beside: bool) -> list[dict[str, Any]]:
    """How the version's own index does and, where wanted, what stands beside it."""
    faiss.omp_set_num_threads(1)
    snapshot = Snapshot.open(folder)
    looks = shop.asked_looks(evenly_spread(shop.count, asked).tolist())
    question = Question.of(snapshot.vectors[:], snapshot.projection(looks).astype(np.float32))
    near = min(NEAR, len(question.vectors))
    size = round(sum(path.stat().st_size for path in folder.glob(f"{VECTOR_INDEX}.*")) / 1e6, 1)
    own = question.row(f"packsight: {snapshot.manifest.index}", lambda some: snapshot.index.search(some, near)[1], mb=size)
    return [own, *(_others(question, near, own["recall"]) if beside else ())]


def _others(question: Question, near: int, recall: float) -> Iterator[dict[str, Any]]:
    yield from _faiss(question, near, recall)
    for name, ways in (("hnswlib", _hnswlib), ("usearch", _usearch), ("lancedb", _lancedb)):
        try:
            library = importlib.import_module(name)
        except ImportError:
            continue
        yield from ways(library, question, near)


def _built(make: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    begun, before = time.process_time(), own_mb()
    made = make()
    return made, {"build_s": round(time.process_time() - begun, 2), "memory_mb": round(own_mb() - before)}


def _numbers(index: Any, near: int) -> Ask:
    return lambda some: index.search(some, near)[1]


def _first(question: Question, values: tuple[int, ...], ask: Callable[[int], Ask], recall: float = RECALL) -> tuple[int, Ask]:
    """The smallest parameter with which enough is found, or the last."""
    least = bisect_left(values[:-1], True, key=lambda value: question.recall(ask(value)) >= recall)
    return values[least], ask(values[least])


def _faiss(question: Question, near: int, recall: float) -> Iterator[dict[str, Any]]:
    count, dimension = question.vectors.shape

    def made(factory: str) -> Any:
        index: Any = faiss.index_factory(dimension, factory, faiss.METRIC_INNER_PRODUCT)
        if not index.is_trained:
            lists = getattr(index, "nlist", 1)
            index.train(question.vectors[evenly_spread(count, 64 * max(lists, 64))])
        index.add(question.vectors)
        return index

    for factory in ("Flat", "SQfp16"):
        index, spent = _built(partial(made, factory))
        yield question.row(f"Faiss {factory}", _numbers(index, near), **spent)
    tuned: dict[float, list[dict[str, Any]]] = {RECALL: [], max(recall, RECALL): []}
    for root in LISTS:
        lists = max(min(int(root * np.sqrt(count)), count // 2), 1)
        index, spent = _built(partial(made, f"IVF{lists},SQfp16"))

        def ask(probes: int, index: Any = index) -> Ask:
            def answer(some: FloatArray) -> npt.NDArray[Any]:
                index.nprobe = probes
                found: npt.NDArray[Any] = index.search(some, near)[1]
                return found

            return answer

        for goal, rows in tuned.items():
            probes, way = _first(question, PROBES, ask, goal)
            rows.append(question.row(f"Faiss IVF{lists},SQfp16, nprobe {probes}", way, **spent))
    enough = ([row for row in rows if row["recall"] >= goal] or rows for goal, rows in tuned.items())
    best = [min(rows, key=itemgetter("batch_ms")) for rows in enough]
    yield from {row["name"]: row for row in best}.values()
    index, spent = _built(partial(made, "HNSW16"))

    def walk(breadth: int) -> Ask:
        def answer(some: FloatArray) -> npt.NDArray[Any]:
            index.hnsw.efSearch = breadth
            found: npt.NDArray[Any] = index.search(some, near)[1]
            return found

        return answer

    breadth, way = _first(question, BREADTHS, walk)
    yield question.row(f"Faiss HNSW16, efSearch {breadth}", way, **spent)


def _hnswlib(library: Any, question: Question, near: int) -> Iterator[dict[str, Any]]:
    count, dimension = question.vectors.shape

    def make() -> Any:
        index = library.Index(space="ip", dim=dimension)
        index.init_index(max_elements=count, M=16, ef_construction=100)
        index.set_num_threads(1)
        index.add_items(question.vectors)
        return index

    index, spent = _built(make)

    def ask(breadth: int) -> Ask:
        def answer(some: FloatArray) -> npt.NDArray[Any]:
            index.set_ef(breadth)
            found: npt.NDArray[Any] = index.knn_query(some, near, num_threads=1)[0]
            return found

        return answer

    breadth, way = _first(question, BREADTHS, ask)
    yield question.row(f"hnswlib M 16, ef {breadth}", way, **spent)


def _usearch(_: Any, question: Question, near: int) -> Iterator[dict[str, Any]]:
    graph = importlib.import_module("usearch.index")

    def make() -> Any:
        index = graph.Index(ndim=question.vectors.shape[1], metric="ip", dtype="f16", connectivity=16)
        index.add(np.arange(len(question.vectors)), question.vectors, threads=1)
        return index

    index, spent = _built(make)

    def ask(breadth: int) -> Ask:
        def answer(some: FloatArray) -> npt.NDArray[Any]:
            index.expansion_search = breadth
            found: npt.NDArray[Any] = np.asarray(index.search(some, near, threads=1).keys, np.int64).reshape(len(some), -1)
            return found

        return answer

    breadth, way = _first(question, BREADTHS, ask)
    yield question.row(f"usearch f16 M 16, expansion {breadth}", way, **spent)


def _lancedb(library: Any, question: Question, near: int) -> Iterator[dict[str, Any]]:
    import pyarrow as pa  # noqa: PLC0415 - only where the database is

    few = Question(question.vectors, question.queries[: 4 * BATCH], question.nearest[: 4 * BATCH])
    folder = tempfile.mkdtemp(prefix="packsight-lancedb-")
    try:
        def make() -> Any:
            flat = pa.array(question.vectors.reshape(-1), pa.float32())
            vectors = pa.FixedSizeListArray.from_arrays(flat, question.vectors.shape[1])
            rows = pa.table({"number": np.arange(len(vectors)), "vector": vectors})
            table = library.connect(folder).create_table("photos", rows)
            table.create_index("vector", config=importlib.import_module("lancedb.index").IvfPq(distance_type="dot"))
            return table

        table, spent = _built(make)
        size = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file()) / 1e6

        def ask(probes: int) -> Ask:
            def one(vector: FloatArray) -> npt.NDArray[Any]:
                wanted = table.search(vector).distance_type("dot").nprobes(probes).refine_factor(8).limit(near)
                found = wanted.select(["number", "_distance"]).to_arrow()["number"].to_numpy()
                return np.pad(found, (0, near - len(found)), constant_values=-1)

            return lambda some: np.stack([one(vector) for vector in some])

        probes, way = _first(few, (8, 16, 32, 64, 128), ask)
        yield few.row(f"LanceDB IVF_PQ, nprobes {probes}, refined 8 times", way, **spent, mb=round(size, 1))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
