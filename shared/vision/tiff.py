"""The pages of a TIFF: which of them is the picture, and what keeps one from being read (TIFF 6.0, TIFF/EP, DNG)."""

from __future__ import annotations

import struct
from collections import deque
from dataclasses import dataclass

from PIL import Image
from PIL.ImageFile import _Tile
from PIL.TiffImagePlugin import TiffImageFile

from packsight.shared.contract.errors import ErrorCode, ImageError

MARKS = (b"MM\0*", b"II*\0", b"MM\0+", b"II+\0")
_PAGES = 16
"""Pages that are looked at. A camera writes up to six, some of them below others."""
_FIELDS = 1000
"""Fields of a page that is looked at; cameras write up to a hundred."""
_NUMBERS = 64
"""Numbers of a field that is read: one for each sample of a pixel, or for each page below."""
_PREVIEW = 1000
"""Pixels of the longer side from which a preview stands for a camera's raw picture; they have 120 to 640, or 1,024 and more."""

_SUBFILE, _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _COLOURS, _SAMPLES, _BELOW, _FORMAT = 254, 256, 257, 258, 259, 262, 277, 330, 339
_PLANES, _APART = 284, 2
"""How samples are kept, and that those of each colour are kept apart."""
_LOOKED_AT = {_SUBFILE, _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _COLOURS, _SAMPLES, _BELOW, _FORMAT}
_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
"""Of a number of each type."""
_CODES = {3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
_SHOWN = {0, 1, 2, 3, 5, 6, 8}
"""Colours of pictures, not of masks, depths and what a sensor gives."""
_WHITE_IS_ZERO, _CMYK, _SENSOR = 0, 5, {32803, 34892}
_PACKINGS = {
    34712: "JPEG 2000", 33003: "JPEG 2000", 33005: "JPEG 2000", 50002: "JPEG XL", 52546: "JPEG XL", 50001: "WebP", 34887: "LERC",
    34661: "JBIG", 34676: "SGI LogLuv", 34677: "SGI LogLuv",
}  # fmt: skip
_FLOATS = 3
_WIDE = 16
"""Bits of a sample that Pillow takes for one of 8 where each colour has a plane of its own."""


@dataclass(frozen=True, slots=True)
class _Page:
    start: int
    """Where its directory stands, in bytes from the file's beginning."""
    following: int
    """Where the next page's does; 0 at the end."""
    fields: dict[int, tuple[int, ...]]
    """What is looked at, by tag."""

    def number(self, tag: int, default: int = 0) -> int:
        return next(iter(self.fields.get(tag, ())), default)

    @property
    def size(self) -> tuple[int, int]:
        return self.number(_WIDTH), self.number(_HEIGHT)

    @property
    def is_raw(self) -> bool:
        return self.number(_COLOURS) in _SENSOR


def at_its_picture(data: bytes) -> bytes:
    """The file, its header leading to the largest page that can be shown where the first is a reduced copy of another.

    Raises ImageError FORMAT_UNSUPPORTED for camera raw without a preview that could stand for it.
    """
    if not data.startswith(MARKS):
        return data
    pages = _pages(data)
    if not pages or not pages[0].number(_SUBFILE) & 1:
        return data
    best = max(pages, key=lambda page: (page.number(_COLOURS) in _SHOWN) * page.size[0] * page.size[1])
    if any(page.is_raw for page in pages) and max(best.size) < _PREVIEW:
        message = f"The file is camera raw with a preview of {best.size[0]} × {best.size[1]} pixels"
        raise ImageError(ErrorCode.FORMAT_UNSUPPORTED, message, remedy="Export it as a JPEG.")
    order, big = _layout(data)
    at, code = (8, "Q") if big else (4, "I")
    return data if best is pages[0] else data[:at] + struct.pack(order + code, best.start) + data[at + struct.calcsize(code) :]


def let_libtiff_read_planes(image: Image.Image) -> None:
    """Have wide samples that are not packed read as they are, where the file has a plane for each colour.

    Pillow itself takes them for samples of 8 bits.
    """
    if not isinstance(image, TiffImageFile) or image.tag_v2.get(_PLANES) != _APART or image.use_load_libtiff:
        return
    if max(image.tag_v2.get(_BITS, (1,))) == _WIDE:
        image.use_load_libtiff = True
        size = image.tag_v2[_WIDTH], image.tag_v2[_HEIGHT]
        image.tile = [_Tile("libtiff", (0, 0, *size), 0, (f"{image.mode};16N", False, image.tag_v2.offset))]


def scale(image: Image.Image) -> None:
    """Give loaded grey of more than 8 bits all of 16, white as the most, which Pillow leaves as it is stored."""
    if not isinstance(image, TiffImageFile):
        return
    bits, colours = max(image.tag_v2.get(_BITS, (1,))), image.tag_v2.get(_COLOURS, 1)
    factor, first = (2**_WIDE - 1) / (2**bits - 1), 0
    if colours == _WHITE_IS_ZERO:
        factor, first = -factor, 2**_WIDE - 1
    if (factor, first) != (1, 0):
        image.im = image.point(lambda sample: sample * factor + first).im


def kind_unread(data: bytes) -> str:
    """What the picture of a TIFF is, where it is of a kind that nothing here reads; else empty."""
    page = next(iter(_pages(data)), None)
    if page is None:
        return ""
    if page.is_raw:
        return "camera raw"
    if packing := _PACKINGS.get(page.number(_COMPRESSION)):
        return f"a TIFF packed with {packing}"
    if page.number(_FORMAT) == _FLOATS:
        return "a TIFF of floating-point numbers"
    if page.number(_COLOURS) == _CMYK and page.number(_SAMPLES) > 4:
        return "a CMYK TIFF with alpha"
    return ""


def claimed_bytes(data: bytes) -> int:
    """Where the first page's directory ends, or what its fields hold: often that is the end of the file."""
    order, big = _layout(data)
    number, field, offset = _codes(big)
    head = data.ljust(16, b"\0")
    (start,) = struct.unpack_from(order + offset, head, 8 if big else 4)
    size, each = struct.calcsize(order + number), struct.calcsize(order + field)
    count = min(_FIELDS, int.from_bytes(data[start : start + size], "little" if order == "<" else "big"))
    end = start + size + count * each + struct.calcsize(offset)
    if end <= len(data):
        for _, kind, many, value in struct.iter_unpack(order + field, data[start + size : start + size + count * each]):
            if (length := many * _BYTES.get(kind, 0)) > len(value):
                end = max(end, struct.unpack(order + offset, value)[0] + length)
    return int(end)


def _layout(data: bytes) -> tuple[str, bool]:
    """Byte order, as struct writes it, and whether the file is a BigTIFF."""
    return "<" if data.startswith(b"II") else ">", b"+" in data[2:4]


def _codes(big: bool) -> tuple[str, str, str]:
    """Of the number of fields, a field and an offset, as struct writes them."""
    return ("Q", "HHQ8s", "Q") if big else ("H", "HHI4s", "I")


def _pages(data: bytes) -> list[_Page]:
    """The first pages and those below them, as far as they can be read."""
    order, big = _layout(data)
    found: list[_Page] = []
    waiting, seen = deque(struct.unpack_from(order + _codes(big)[2], data.ljust(16, b"\0"), 8 if big else 4)), {0}
    while waiting and len(found) < _PAGES:
        start = waiting.popleft()
        if start not in seen and (page := _page(data, start, order, big)):
            found.append(page)
            waiting += (*page.fields.get(_BELOW, ()), page.following)
        seen.add(start)
    return found


def _page(data: bytes, start: int, order: str, big: bool) -> _Page | None:
    number, field, offset = _codes(big)
    fields: dict[int, tuple[int, ...]] = {}
    try:
        (count,) = struct.unpack_from(order + number, data, start)
        if count > _FIELDS:
            return None
        end = start + struct.calcsize(number) + count * struct.calcsize(order + field)
        (following,) = struct.unpack_from(order + offset, data, end)
        for tag, kind, many, value in struct.iter_unpack(order + field, data[start + struct.calcsize(number) : end]):
            if tag in _LOOKED_AT and kind in _CODES and many <= _NUMBERS:
                code = f"{order}{many}{_CODES[kind]}"
                if struct.calcsize(code) <= len(value):
                    fields[tag] = struct.unpack_from(code, value)
                else:
                    fields[tag] = struct.unpack_from(code, data, *struct.unpack(order + offset, value))
    except (OverflowError, struct.error):
        return None
    return _Page(start, following, fields)
