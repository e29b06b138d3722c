"""PNG files without what says nothing of their pixels: remarks, colour profiles and editors' own notes, damaged or however long.

Browsers skip a chunk that they need not know where it is damaged (PNG 3, section 13.1). Pillow refuses the whole file for it, for
a profile or text that unpacks to a megabyte, and for one that stands among the pixels.
"""

from __future__ import annotations

import zlib

_MARK = b"\x89PNG\r\n\x1a\n"
_TELLING = (b"tRNS", b"eXIf")
"""Chunks that a decoder need not know, but that tell what is transparent and which way up the picture is."""
_AROUND = 12
"""Bytes of a chunk beside what it holds: length, name and checksum (PNG 3, section 5.3)."""
_NEEDLESS = 0x20
"""Bit of the first letter of a chunk that a decoder need not know."""


def pixels_alone(data: bytes) -> bytes:
    """The file with the chunks that its pixels need, up to its end; as it is where it has no others, and any other file."""
    if not data.startswith(_MARK):
        return data
    view = memoryview(data)
    kept = [view[: len(_MARK)]]
    at, whole = len(_MARK), True
    while at + _AROUND <= len(data):
        name, end = data[at + 4 : at + 8], at + _AROUND + int.from_bytes(data[at : at + 4])
        if end > len(data):
            break
        if not name[0] & _NEEDLESS or (name in _TELLING and _is_sound(view[at:end])):
            kept.append(view[at:end])
        else:
            whole = False
        at = end
        if name == b"IEND":
            return data if whole and at == len(data) else b"".join(kept)
    return data if whole else b"".join((*kept, view[at:]))


def _is_sound(chunk: memoryview) -> bool:
    """Whether the checksum of a chunk is right."""
    return zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:])
