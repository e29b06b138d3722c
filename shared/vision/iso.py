"""What a decoder of HEIC or AVIF may go through, by the boxes of the file (ISO/IEC 14496-12 and 23008-12).

A picture may be a grid of tiles. Many tiles may lie at one place of the file, and one tile may stand in many places of the grid:
a small file can be more work than a large one.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator

_VERSION = 4
"""Bytes of version and flags, with which the content of some boxes begins."""


def coded(data: bytes) -> Iterator[int]:
    """Bytes of each item, pictures and others, and again of each as often as a picture is derived from it once more; 0 for a box.

    What the boxes do not tell, since they end too early, is left to the decoder to refuse.
    """
    try:
        for name, at, end in _boxes(data, 0, len(data)):
            yield 0
            if name == b"meta":
                yield from _coded(data, at + _VERSION, end)
    except (struct.error, IndexError):
        return


def _coded(data: bytes, at: int, end: int) -> Iterator[int]:
    lengths: Counter[int] = Counter()
    references = []
    for name, start, stop in _boxes(data, at, end):
        yield 0
        if name == b"iloc":
            for item, length in _locations(data, start):
                lengths[item] += length
                yield length
        elif name == b"iref":
            references.append((start, stop))
    derived: set[int] = set()
    for start, stop in references:
        for name, reference, _ in _boxes(data, start + _VERSION, stop):
            yield 0
            for item in _listed(data, reference, wide=data[start] > 0) if name == b"dimg" else ():
                yield lengths[item] if item in derived else 0
                derived.add(item)


def _boxes(data: bytes, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Name, start and end of the content of the boxes in a range (ISO/IEC 14496-12, 4.2)."""
    while at + 16 <= end:
        size, name, large = struct.unpack_from(">I4sQ", data, at)
        header = 8
        if size == 1:
            size, header = large, 16
        stop = at + size if size else end
        if size and size < header:
            return
        yield name, at + header, min(stop, end)
        at = stop


def _locations(data: bytes, at: int) -> Iterator[tuple[int, int]]:
    """Number and bytes of each item (ISO/IEC 14496-12, 8.11.3)."""
    version, widths, more = struct.unpack_from(">B3xBB", data, at)
    offset, length, base, index = widths >> 4, widths & 15, more >> 4, more & 15 if version else 0
    number = "I" if version == 2 else "H"
    head = struct.Struct(f">{number}{'2x' if version else ''}2x{base}xH")
    (count,) = struct.unpack_from(f">{number}", data, at + 6)
    at += 6 + struct.calcsize(number)
    for _ in range(count):
        item, extents = head.unpack_from(data, at)
        at += head.size
        places = _taken(data, at, extents * (index + offset + length))
        at += len(places)
        if not places:
            yield item, extents * len(data)
        for (extent,) in struct.iter_unpack(f"{index + offset}x{length}s", places) if places else ():
            yield item, int.from_bytes(extent) or len(data)  # 0 is all of the file


def _listed(data: bytes, at: int, *, wide: bool) -> Iterator[int]:
    """Number of each item that a picture is made of, as often as it is (ISO/IEC 14496-12, 8.11.12; ISO/IEC 23008-12, 6.6)."""
    number, size = ("I", 4) if wide else ("H", 2)
    (count,) = struct.unpack_from(">H", data, at + size)
    return (item for (item,) in struct.iter_unpack(f">{number}", _taken(data, at + size + 2, count * size)))


def _taken(data: bytes, at: int, count: int) -> bytes:
    if at + count > len(data):
        raise struct.error
    return data[at : at + count]
