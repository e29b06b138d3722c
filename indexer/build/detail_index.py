"""The index of a catalog's key points: compressed, so that those of a hundred thousand photos fit into memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import faiss
import numpy as np
import numpy.typing as npt

from packsight.indexer.build.growing import GrowingArray, passing
from packsight.indexer.build.parameters import FIT, DetailIndexParameters
from packsight.shared.catalog.arrays import evenly_spread, open_array
from packsight.shared.catalog.detail_index import unit
from packsight.shared.catalog.mapped_lists import write_lists
from packsight.shared.catalog.segmented_index import inverted_file, write_part
from packsight.shared.vision.features import ByteArray, FloatArray

_BATCH = 65_536
"""Descriptors turned to float32 at a time, which bounds the memory."""
_GATHERED = 4_000_000
"""Points whose lists are put together at a time, unless one list has more: some 200 MB."""


class Descriptors(Protocol):
    """Descriptors [points, 128], an array or what makes some of its rows when they are asked for."""

    @property
    def shape(self) -> tuple[int, ...]:
        """How many there are, and how long they are."""

    def __getitem__(self, rows: Any, /) -> Any:
        """Some of them: a slice, or numbers in rising order."""


def learned(descriptors: Descriptors, parameters: DetailIndexParameters = FIT.details) -> Any:
    """An index, with nothing in it, by squared distance of such descriptors.

    An inverted file of product codes (Jégou, Douze & Schmid, Product quantization for nearest neighbor search, PAMI 2011) after a
    PCA and a rotation that spreads what varies over all parts of the code; small catalogs are compared exactly, since there is
    too little to learn codes from.
    """
    count, dimension = descriptors.shape
    return faiss.IndexFlatL2(dimension) if count < parameters.exact_points else _trained(descriptors, parameters)


def write_points(index: Any, descriptors: Descriptors, folder: Path, name: str) -> None:
    """Write descriptors as a segment of an index that learned, as `write_part` would have it after all were added.

    Their codes come onto the disk as they are made, and from there into the lists, some of them at a time: all would be up to two
    times the bytes of the file, since lists grow by doubling.
    """
    inverted = inverted_file(index)
    if inverted is None:
        for part in _parts(descriptors):
            index.add(unit(part))
        write_part(index, folder, name)
        return
    sizes = np.zeros(inverted.nlist, np.int64)
    with passing(folder / "codes.npy") as codes, passing(folder / "list_of.npy") as list_of:
        with GrowingArray(codes, np.uint8, inverted.code_size) as own_codes, GrowingArray(list_of, np.int32) as own_lists:
            for part in _parts(descriptors):
                found, coded = _coded(index, inverted, unit(part))
                own_lists.append(found)
                own_codes.append(coded)
                sizes += np.bincount(found, minlength=inverted.nlist)
        write_lists(inverted, sizes, _lists(inverted, sizes, open_array(codes), open_array(list_of)), folder, name)


def _parts(descriptors: Descriptors) -> Iterator[ByteArray]:
    return (descriptors[start : start + _BATCH] for start in range(0, descriptors.shape[0], _BATCH))


def _coded(index: Any, inverted: Any, points: FloatArray) -> tuple[npt.NDArray[np.int64], ByteArray]:
    """The list of each point, and its code [points, bytes]."""
    for number in range(index.chain.size()):
        points = index.chain.at(number).apply(points)
    found = inverted.quantizer.search(points, 1)[1].ravel()
    codes = np.empty((len(points), inverted.code_size), np.uint8)
    inverted.encode_vectors(len(points), *map(faiss.swig_ptr, (points, found, codes)))
    return found, codes


def _lists(
    inverted: Any, sizes: npt.NDArray[np.int64], codes: ByteArray, list_of: npt.NDArray[np.int32]
) -> Iterator[tuple[ByteArray, npt.NDArray[np.int64]]]:
    """Codes, packed as they are searched, and numbers of every list that has any."""
    packer, ends, first = inverted.get_CodePacker(), np.cumsum(sizes), 0
    while first < len(sizes):
        start = int(ends[first] - sizes[first])
        beyond = max(int(np.searchsorted(ends, start + _GATHERED, side="right")), first + 1)
        points = np.flatnonzero((list_of >= first) & (list_of < beyond))
        order = np.argsort(list_of[points], kind="stable")
        gathered, points = codes[points][order], points[order]
        for number in np.flatnonzero(sizes[first:beyond]).tolist():
            end = int(ends[first + number]) - start
            mine = slice(end - int(sizes[first + number]), end)
            yield _packed(packer, gathered[mine]), points[mine]
        first = beyond


def _packed(packer: Any, codes: ByteArray) -> ByteArray:
    filled = np.zeros((-(-len(codes) // packer.nvec), packer.nvec, packer.code_size), np.uint8)
    filled.reshape(-1, packer.code_size)[: len(codes)] = codes
    packed = np.empty((len(filled), packer.block_size), np.uint8)
    for block, room in zip(filled, packed, strict=True):
        packer.pack_all(faiss.swig_ptr(block), faiss.swig_ptr(room))
    return packed


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
