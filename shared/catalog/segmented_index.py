"""An index over several segments that was trained once: it is asked as if all had been added to one.

Faiss finds the lists to be visited once, and each segment's own part of them is searched. Rows that are gone stay in their lists;
of a segment that has such ones more is asked for, until enough of what is found is alive.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

from packsight.shared.catalog.arrays import IntArray
from packsight.shared.catalog.mapped_lists import map_lists, save_lists
from packsight.shared.vision.features import FloatArray

faiss.set_deserialization_vector_byte_limit(1 << 36)
faiss.set_deserialization_loop_limit(1 << 27)

Alive = Callable[[IntArray], npt.NDArray[np.bool_]]
"""Which of some numbers are those of rows that are there still."""


@dataclass(frozen=True)
class Part:
    """The index of one segment, and what of it is searched: the inverted file behind its transform, or all of it."""

    index: Any
    searched: Any

    @classmethod
    def of(cls, index: Any) -> Part:
        """An index as Faiss reads it."""
        inverted = inverted_file(index)
        return cls(index, index if inverted is None else inverted)


@dataclass(frozen=True)
class _Asked:
    """Queries as the parts are asked with them. lists, distance: [n, probes] lists to visit; None where all is compared."""

    queries: FloatArray
    lists: IntArray | None
    distance: FloatArray | None

    def of(self, rows: IntArray) -> _Asked:
        if self.lists is None or self.distance is None:
            return _Asked(self.queries[rows], None, None)
        return _Asked(self.queries[rows], self.lists[rows], self.distance[rows])


@dataclass(frozen=True)
class SegmentedIndex:
    """Vectors are numbered through all segments.

    starts: [segments + 1] first number of each. whole: of each, whether nothing of it is gone.
    """

    parts: tuple[Part, ...]
    starts: IntArray
    whole: tuple[bool, ...]

    @property
    def ntotal(self) -> int:
        """How many there are, what is gone among them."""
        return int(self.starts[-1])

    @property
    def d(self) -> int:
        """Length of a vector."""
        return int(self.parts[0].index.d)

    def search(self, queries: FloatArray, wanted: int, alive: Alive) -> tuple[FloatArray, IntArray]:
        """The nearest to queries [n, d] by the metric of the index, nearest first: values and numbers [n, wanted].

        Where there are not so many, the number is -1.
        """
        asked = self._asked(queries)
        if self.whole == (True,) and self.ntotal:
            return _found(self.parts[0], asked, wanted)
        rising = self.parts[0].searched.metric_type == faiss.METRIC_L2
        worst = float(np.finfo(np.float32).max) * (1 if rising else -1)
        heap = faiss.ResultHeap(len(queries), wanted, keep_max=not rising)
        for part, first, whole in zip(self.parts, self.starts.tolist(), self.whole, strict=False):
            if not part.searched.ntotal:
                continue
            value, number = _found(part, asked, wanted) if whole else _found_alive(part, asked, wanted, worst, alive, first)
            heap.add_result(value, np.where(number < 0, -1, number + first))
        heap.finalize()
        return heap.D, heap.I

    def _asked(self, queries: FloatArray) -> _Asked:
        index, searched = self.parts[0].index, self.parts[0].searched
        if searched is index:
            return _Asked(queries, None, None)
        if isinstance(index, faiss.IndexPreTransform):
            chain: Any = index.chain
            for number in range(chain.size()):
                queries = chain.at(number).apply(queries)
        distance, lists = searched.quantizer.search(queries, searched.nprobe)
        return _Asked(queries, lists, distance)

    @classmethod
    def of(cls, parts: Sequence[Part], whole: Sequence[bool]) -> SegmentedIndex:
        """Number the vectors of parts through."""
        return cls(tuple(parts), np.cumsum([0, *(part.searched.ntotal for part in parts)], dtype=np.int64), tuple(whole))

    @classmethod
    def open(cls, folder: Path, trained: str, names: Sequence[str], whole: Sequence[bool]) -> SegmentedIndex:
        """Memory-map what `write_part` wrote of some segments; raises OSError, RuntimeError or ValueError when it is damaged."""
        return cls.of([Part.of(_opened(folder, trained, name)) for name in names], whole)


def _found(part: Part, asked: _Asked, wanted: int) -> tuple[FloatArray, IntArray]:
    if asked.lists is None:
        value, number = part.searched.search(asked.queries, wanted)
    else:
        value, number = part.searched.search_preassigned(asked.queries, wanted, asked.lists, asked.distance)
    return value, np.asarray(number, np.int64)


def _found_alive(
    part: Part, asked: _Asked, wanted: int, worst: float, alive: Alive, first_number: int
) -> tuple[FloatArray, IntArray]:
    """The same without what is gone: half as many more are asked for, and twice as many again where that is not enough."""
    values = np.full((len(asked.queries), wanted), worst, np.float32)
    numbers = np.full((len(asked.queries), wanted), -1, np.int64)
    lacking, most = np.arange(len(asked.queries)), wanted + wanted // 2 + 1
    while len(lacking):
        value, number = _found(part, asked.of(lacking), most)
        there = number >= 0
        good = there & alive(number + first_number)
        first = np.argsort(~good, axis=1, kind="stable")[:, :wanted]
        kept = np.take_along_axis(good, first, axis=1)
        values[lacking] = np.where(kept, np.take_along_axis(value, first, axis=1), worst)
        numbers[lacking] = np.where(kept, np.take_along_axis(number, first, axis=1), -1)
        lacking, most = lacking[there.all(axis=1) & (good.sum(axis=1) < wanted)], 2 * most
    return values, numbers


def inverted_file(index: Any) -> Any:
    """The inverted file behind an index's transform; None for an index that compares everything."""
    found = faiss.try_extract_index_ivf(index)
    return None if found is None else faiss.downcast_index(found)


def write_trained(index: Any, folder: Path, trained: str) -> None:
    """Write what an index has learned as `<trained>.faiss`; it is empty afterwards."""
    index.reset()
    faiss.write_index(index, str(folder / f"{trained}.faiss"))


def write_part(index: Any, folder: Path, name: str) -> None:
    """Write the vectors of a segment: as lists of their own, or as an index that compares them all."""
    inverted = inverted_file(index)
    if inverted is None:
        faiss.write_index(index, str(folder / f"{name}.faiss"))
    else:
        save_lists(inverted, folder, name)


def read_trained(folder: Path, trained: str) -> Any:
    """What `write_trained` wrote, to be added to."""
    return faiss.read_index(str(folder / f"{trained}.faiss"))


def _opened(folder: Path, trained: str, name: str) -> Any:
    has_lists = (folder / f"{name}.lists").exists()
    index = faiss.read_index(str(folder / f"{trained if has_lists else name}.faiss"), faiss.IO_FLAG_MMAP_IFC)
    if has_lists:
        map_lists(inverted_file(index), folder, name)
    return index
