"""Inverted lists of four-bit product codes, in a file that processes map together.

Faiss searches such codes with the processor's shuffles (André, Kermarrec & Le Scouarnec, "Cache locality is not enough:
high-performance nearest neighbor search with product quantization fast scan", VLDB 2015), a multiple as fast as others, but reads
an index of them into the memory of each process. Its on-disk lists are mapped; laid out as the search expects, they serve it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

from packsight.shared.catalog.arrays import open_array

LISTS, SIZES = "details.lists", "details.sizes.npy"
_NUMBER = np.dtype(np.int64)


@dataclass(frozen=True)
class _Place:
    """Of each list: how many codes it has, for how many there is room (whole blocks), and the byte at which it starts.

    A list is its codes, then their numbers. total: bytes of all.
    """

    size: list[int]
    room: list[int]
    offset: list[int]
    total: int

    @classmethod
    def of(cls, sizes: npt.NDArray[np.int64], inverted: Any) -> _Place:
        block = int(inverted.bbs)
        room = -(-np.asarray(sizes, np.int64) // block) * block
        ends = np.cumsum(room * (int(inverted.code_size) + _NUMBER.itemsize))
        return cls(sizes.tolist(), room.tolist(), [0, *ends[:-1].tolist()], int(ends[-1]))


def save_lists(inverted: Any, folder: Path) -> None:
    """Move the lists of an IndexIVFPQFastScan into files of their own."""
    lists: Any = faiss.downcast_InvertedLists(inverted.invlists)
    sizes = np.array([lists.list_size(number) for number in range(lists.nlist)], np.int64)
    place = _Place.of(sizes, inverted)
    with (folder / LISTS).open("wb") as file:
        for number in np.flatnonzero(sizes).tolist():
            size, room = place.size[number], place.room[number]
            file.write(faiss.rev_swig_ptr(lists.get_codes(number), room * inverted.code_size).tobytes())
            file.write(faiss.rev_swig_ptr(lists.get_ids(number), size).tobytes())
            file.write(bytes((room - size) * _NUMBER.itemsize))
    np.save(folder / SIZES, sizes)
    lists.reset()


def map_lists(inverted: Any, folder: Path) -> None:
    """Put back what `save_lists` took; raises OSError or ValueError when it is not there whole."""
    place = _Place.of(open_array(folder / SIZES), inverted)
    if (found := (folder / LISTS).stat().st_size) != place.total or sum(place.size) != inverted.ntotal:
        raise ValueError(f"{LISTS} has {found} bytes, its sizes say {place.total} for {inverted.ntotal} points")
    lists: Any = faiss.OnDiskInvertedLists()
    lists.filename, lists.read_only, lists.totsize = str(folder / LISTS), True, place.total
    lists.nlist, lists.code_size = len(place.size), inverted.code_size
    for size, room, offset in zip(place.size, place.room, place.offset, strict=True):
        one = faiss.OnDiskOneList()
        one.size, one.capacity, one.offset = size, room, offset
        lists.lists.push_back(one)
    lists.do_mmap()
    lists.thisown = False  # the index owns them
    inverted.replace_invlists(lists, True)
