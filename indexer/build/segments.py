"""Which rows a version takes over from its parent, and which it writes.

Rows are only added, in segments that are never changed: new photos make one, and photos that are gone leave their rows behind. So
that neither segments nor such rows become many, a segment with too many of them, and segments that have become too many of like
size, are written again with the new one, as in a log-structured merge tree (O'Neil, Cheng, Gawlick & O'Neil, 1996).
"""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from packsight.indexer.build.parameters import ROWS, RowParameters
from packsight.shared.catalog.arrays import IntArray
from packsight.shared.catalog.manifest import FileEntry, Manifest, Segment
from packsight.shared.catalog.placement import Placement
from packsight.shared.catalog.tables import PHOTOS, PhotoTable

NEW = -1
"""Row of a photo that the version before has not."""


class Parent(Protocol):
    """The version that the new one follows."""

    @property
    def manifest(self) -> Manifest:
        """What it is."""

    @property
    def folder(self) -> Path | None:
        """Where its files are, checked; None where they are not at hand, so that all is written anew."""


@dataclass(frozen=True, slots=True)
class Before:
    """The version before, and where its files are."""

    manifest: Manifest
    folder: Path

    @property
    def segments(self) -> Sequence[Segment]:
        """Those of its rows."""
        return self.manifest.segments

    def rows(self, photos: PhotoTable) -> IntArray:
        """Of each of these photos its row in the version before, NEW where it has none; no two have the same one."""
        placement = Placement.open(self.folder, [segment.rows for segment in self.segments])
        place = places_again(photos.arrow["sha256"], PhotoTable(self.folder / PHOTOS).arrow["sha256"])
        return np.append(placement.photo_row, NEW)[place]


def places_again(photos: pa.ChunkedArray, before: pa.ChunkedArray) -> IntArray:
    """Where each photo stood before, by hash, NEW where it did not; the second with a hash stands where the second one stood."""
    names = pa.concat_arrays([*before.chunks, *photos.chunks]).dictionary_encode().indices.to_numpy().astype(np.int64)
    had, has = (_numbered(part) for part in np.split(names, [len(before)]))
    return np.asarray(pc.index_in(pa.array(has), value_set=pa.array(had)).fill_null(NEW).to_numpy(), np.int64)


def _numbered(names: IntArray) -> IntArray:
    """Numbers that are different for those of the same name too: the n-th of a name always has the same."""
    order = np.argsort(names, kind="stable")
    rising, nth = names[order], np.empty(len(names), np.int64)
    nth[order] = np.arange(len(names)) - np.searchsorted(rising, rising)
    return names << 32 | nth


@dataclass(frozen=True, slots=True)
class Arrangement:
    """Segments of a version and the rows of its photos.

    kept: segments that are the parent's. written: the one that is to be written, None when there is nothing to write; its rows
    are the photos `fresh`, in this order. added: photos that the parent had no row of.
    """

    kept: tuple[Segment, ...]
    written: Segment | None
    fresh: IntArray
    placement: Placement
    added: int

    @property
    def segments(self) -> tuple[Segment, ...]:
        """All of them, in the order of their rows."""
        return (*self.kept, self.written) if self.written is not None else self.kept


def all_anew(photos: int) -> Arrangement:
    """One segment of all photos, in their order."""
    return Arrangement((), Segment(name="s0000", rows=photos), np.arange(photos), Placement.in_order(photos), photos)


def arrange(segments: Sequence[Segment], rows: IntArray, parameters: RowParameters = ROWS) -> Arrangement:
    """Keep of the segments before those that are worth it, and put all other photos into a new one; rows: theirs, or NEW."""
    first = np.cumsum([0, *(segment.rows for segment in segments)], dtype=np.int64)
    owner = np.where(rows == NEW, NEW, np.searchsorted(first, rows, side="right") - 1)
    alive = np.bincount(owner[owner != NEW], minlength=len(segments)).tolist()
    kept = _kept([segment.rows for segment in segments], alive, len(rows), parameters)
    fresh = np.flatnonzero(~np.isin(owner, kept))
    sizes = [segments[number].rows for number in kept]
    shift = np.zeros(len(segments) + 1, np.int64)
    shift[kept] = np.cumsum([0, *sizes])[:-1] - first[kept]
    placed = rows + shift[owner]
    placed[fresh] = sum(sizes) + np.arange(len(fresh))
    written = None
    if len(fresh):
        name = 1 + max((int(segment.name[1:]) for segment in segments), default=-1)
        written = Segment(name=f"s{name:04d}", rows=len(fresh))
        sizes.append(written.rows)
    placement = Placement.of(placed, sizes)
    return Arrangement(tuple(segments[number] for number in kept), written, fresh, placement, int((rows == NEW).sum()))


def _kept(rows: Sequence[int], alive: Sequence[int], photos: int, parameters: RowParameters) -> list[int]:
    """Numbers of the segments that stay as they are."""
    kept = [number for number, left in enumerate(alive) if left > (1 - parameters.gone) * rows[number]]
    fresh = photos - sum(alive[number] for number in kept)
    while fresh:
        level = _level(fresh, photos, parameters)
        like = [number for number in kept if _level(alive[number], photos, parameters) <= level]
        if len(like) + 1 < parameters.fan:
            break
        kept = [number for number in kept if number not in like]
        fresh += sum(alive[number] for number in like)
    return kept


def _level(rows: int, photos: int, parameters: RowParameters) -> int:
    """Segments of the same level are of like size."""
    return max(0, math.floor(math.log(rows / (parameters.smallest * photos), parameters.fan)))


def take_over(before: Before, segments: Iterable[Segment], learned: Iterable[str], folder: Path) -> dict[str, FileEntry]:
    """Put files of the version before into a folder, by links where the disk knows them; return what its manifest says."""
    prefixes = tuple(segment.prefix for segment in segments)
    files = before.manifest.files
    names = [name for name in files if name in learned or (prefixes and name.startswith(prefixes))]
    for name in names:
        try:
            os.link(before.folder / name, folder / name)
        except OSError:
            shutil.copyfile(before.folder / name, folder / name)
    return {name: files[name] for name in names}
