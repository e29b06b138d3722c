"""HEIC and AVIF that are made of tiles, written box by box (ISO/IEC 23008-12, 6.6.2.3)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

_CODED = {"HEIF": (b"heic", b"hvc1", b"hvcC"), "AVIF": (b"avif", b"av01", b"av1C")}
"""Brand, kind of item and box of the decoder's configuration, by Pillow's name of the format."""
_HIDDEN = 1


@dataclass(frozen=True, slots=True)
class Grid:
    """A picture of equal tiles. However many, all lie at one place of the file, whose bytes are those of a picture given."""

    kind: str
    tile: bytes
    """A picture of that kind, square."""
    side: int
    rows: int
    columns: int
    items: int = 0
    """Of which the tiles are taken in turn; 0: as many as there are tiles."""
    version: int = 0
    """Of the list of places: 1 has an index for each, 2 wide numbers of items."""

    def file(self) -> bytes:
        count = self.rows * self.columns
        items = self.items or count
        brand, name, configuration = _CODED[self.kind]
        width, height = self.columns * self.side, self.rows * self.side
        pixels = _inside(self.tile, b"mdat")[8:]
        shape = struct.pack(">BBBBII", 0, 1, self.rows - 1, self.columns - 1, width, height)
        number = "I" if self.version == 2 else "H"

        def places(start: int) -> bytes:
            how = f">{number}{'H' if self.version else ''}HHII"
            rest = (0, 0, 1) if self.version else (0, 1)
            listed = [struct.pack(how, 1, *rest, start, len(shape))]
            listed += [struct.pack(how, 2 + item, *rest, start + len(shape), len(pixels)) for item in range(items)]
            return _box(b"iloc", b"\x44\0", struct.pack(f">{number}", len(listed)), *listed, full=self.version << 24)

        named = b"".join(struct.pack(">H", 2 + tile % items) for tile in range(count))
        entries = [_box(b"infe", struct.pack(">HH4s", 1, 0, b"grid"), b"\0", full=2 << 24)]
        entries += [_box(b"infe", struct.pack(">HH4s", 2 + n, 0, name), b"\0", full=2 << 24 | _HIDDEN) for n in range(items)]
        properties = [_box(b"ispe", struct.pack(">II", *size), full=0) for size in ((width, height), (self.side, self.side))]
        properties += [_inside(self.tile, b"meta", b"iprp", b"ipco", configuration), _box(b"pixi", b"\3\x08\x08\x08", full=0)]
        belong = struct.pack(">HBBB", 1, 2, 1, 4) + b"".join(struct.pack(">HBBBB", 2 + n, 3, 2, 0x83, 4) for n in range(items))
        told = (
            _box(b"hdlr", bytes(4), b"pict", bytes(13), full=0),
            _box(b"pitm", struct.pack(">H", 1), full=0),
            _box(b"iinf", struct.pack(">H", len(entries)), *entries, full=0),
            _box(b"iref", _box(b"dimg", struct.pack(">HH", 1, count), named), full=0),
            _box(b"iprp", _box(b"ipco", *properties), _box(b"ipma", struct.pack(">I", 1 + items), belong, full=0)),
        )
        start = _box(b"ftyp", brand, bytes(4), b"mif1", brand, b"miaf")
        before = len(start) + len(_box(b"meta", *told, places(0), full=0)) + 8
        return start + _box(b"meta", *told, places(before), full=0) + _box(b"mdat", shape, pixels)


def _box(name: bytes, *content: bytes, full: int | None = None) -> bytes:
    body = (b"" if full is None else struct.pack(">I", full)) + b"".join(content)
    return struct.pack(">I4s", 8 + len(body), name) + body


def _inside(data: bytes, *path: bytes) -> bytes:
    """The box at this path, its header with it."""
    at = 0
    for name in path:
        while data[at + 4 : at + 8] != name:
            at += int.from_bytes(data[at : at + 4])
        whole = data[at : at + int.from_bytes(data[at : at + 4])]
        at += 12 if name == b"meta" else 8
    return whole
