"""Inverted lists in files of their own, which processes map together.

An index that is trained once has as many sets of lists beside it as there are segments. Faiss searches four-bit product codes
with the processor's shuffles (André, Kermarrec & Le Scouarnec, "Cache locality is not enough: high-performance nearest neighbor
search with product quantization fast scan", VLDB 2015), a multiple as fast as others, but reads an index of them into the memory
of each process. Its on-disk lists are mapped; laid out as the search expects, they serve it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

from packsight.shared.catalog.arrays import open_array

_NUMBER = np.dtype(np.int64)

_List = tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]


@dataclass(frozen=True)
class _Place:
    """Of each list: how many codes it has, for how many there is room (whole blocks, where codes come in such), and the byte at
    which it starts.

    A list is its codes, then their numbers. total: bytes of all.
    """

    size: list[int]
    room: list[int]
    offset: list[int]
    total: int

    @classmethod
    def of(cls, sizes: npt.NDArray[np.int64], inverted: Any) -> _Place:
        block = int(getattr(inverted, "bbs", 1))
        room = -(-np.asarray(sizes, np.int64) // block) * block
        ends = np.cumsum(room * (int(inverted.code_size) + _NUMBER.itemsize))
        return cls(sizes.tolist(), room.tolist(), [0, *ends[:-1].tolist()], int(ends[-1]))


def save_lists(inverted: Any, folder: Path, name: str) -> None:
    """Write the lists of an inverted file as `<name>.lists` and `<name>.sizes.npy`."""
    lists: Any = faiss.downcast_InvertedLists(inverted.invlists)
    sizes = np.array([lists.list_size(number) for number in range(lists.nlist)], np.int64)
    room = _Place.of(sizes, inverted).room

    def held() -> Iterator[_List]:
        for number in np.flatnonzero(sizes).tolist():
            codes = faiss.rev_swig_ptr(lists.get_codes(number), room[number] * inverted.code_size)
            yield codes, faiss.rev_swig_ptr(lists.get_ids(number), int(sizes[number]))

    write_lists(inverted, sizes, held(), folder, name)


def write_lists(inverted: Any, sizes: npt.NDArray[np.int64], lists: Iterable[_List], folder: Path, name: str) -> None:
    """Write such files of lists that come one after the other, those left out of which nothing is.

    sizes: codes of each. lists: the codes of one, whole blocks where they come in such, and their numbers.
    """
    place = _Place.of(sizes, inverted)
    with (folder / f"{name}.lists").open("wb") as file:
        for number, (codes, numbers) in zip(np.flatnonzero(sizes).tolist(), lists, strict=True):
            file.write(codes.tobytes())
            file.write(numbers.tobytes())
            file.write(bytes((place.room[number] - place.size[number]) * _NUMBER.itemsize))
    np.save(folder / f"{name}.sizes.npy", sizes)


def map_lists(inverted: Any, folder: Path, name: str) -> None:
    """Give an inverted file the lists that `save_lists` wrote; raises OSError or ValueError when they are not there whole."""
    file = folder / f"{name}.lists"
    place = _Place.of(open_array(folder / f"{name}.sizes.npy"), inverted)
    if len(place.size) != inverted.nlist:
        raise ValueError(f"{file.name} has {len(place.size)} lists, its index {inverted.nlist}")
    if (found := file.stat().st_size) != place.total:
        raise ValueError(f"{file.name} has {found} bytes, its sizes say {place.total}")
    lists: Any = faiss.OnDiskInvertedLists()
    lists.filename, lists.read_only, lists.totsize = str(file), True, place.total
    lists.nlist, lists.code_size = len(place.size), inverted.code_size
    for size, room, offset in zip(place.size, place.room, place.offset, strict=True):
        one = faiss.OnDiskOneList()
        one.size, one.capacity, one.offset = size, room, offset
        lists.lists.push_back(one)
    lists.do_mmap()
    lists.thisown = False  # the index owns them
    inverted.replace_invlists(lists, True)
    inverted.ntotal = sum(place.size)
