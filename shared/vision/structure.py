"""What a file is made of, counted before anything is decoded: parts that cost time or memory without adding a pixel.

Decoders walk over them in full and cannot be stopped. Of several pictures or frames only the first is decoded, so those
behind it are not looked at and may be as many as they like. What is not understood here is left to the decoder to refuse.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from itertools import product

from packsight.shared.contract.errors import ErrorCode, ImageError
from packsight.shared.vision import iso

Size = tuple[int, int]
"""Width and height in pixels."""


@dataclass(frozen=True, slots=True)
class StructureParameters:
    """How many parts a file may have. What honest programs write lies far below."""

    scans: int = 64
    """Scans of a JPEG. libjpeg writes 10 for a progressive photo, 18 for one in CMYK. Each costs 21 ms at 36 megapixels,
    however few bytes it has: with 64 a CMYK of 51 megapixels takes 2 s."""
    parts: int = 200_000
    """Segments of a JPEG and bytes between them, chunks of a PNG, blocks before a GIF's first frame, numbers in one field of a
    TIFF. In 32 MB there are 500 full segments, or 4,000 of the chunks that libpng writes; a TIFF's table for 16-bit samples
    has 196,608 numbers. A chunk costs up to 2.6 µs, a tile of a TIFF 6 µs and 1 KB."""
    exif: int = 1_000_000
    """Bytes of EXIF in a JPEG, which one segment of at most 65,533 holds; Pillow reads any number of them as one."""
    headers: int = 1000
    """What looks like the beginning of EXIF in an AVIF or HEIC. Compressed pixels do once in 700 MB."""
    coded: int = 12_000_000
    """Bytes of an AVIF's or HEIC's pictures. Of a HEIC of 50 megapixels in tiles of grain 9 MB take 3.8 s of a processor, 20 MB
    5.4 s; 12 MB are 2 bits for each of 48 megapixels."""
    animated: int = 25_000_000
    """Pixels of a WebP of several frames, whose decoder keeps 16 bytes of each; no camera writes one."""
    run_length: int = 8_000_000
    """Bytes of a run-length encoded BMP, which Pillow decodes in Python, at 0.2 s per megabyte."""


STRUCTURE = StructureParameters()

# Fill bytes, stuffed zeros and restart marks are no markers.
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_SOF2, _SOI, _EOI, _SOS, _APP1 = 0xC2, 0xD8, 0xD9, 0xDA, 0xE1
_WITHOUT_LENGTH = {0x01, 0xC8, _SOI, _EOI, *range(0xF0, 0xFE)}
_TIFF = (b"MM\0*", b"II*\0", b"MM*\0", b"II\0*", b"MM\0+", b"II+\0")
_BYTES_OF_NUMBER = {3: 2, 4: 4, 5: 8, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8}  # bytes and text are read as they are
_COEFFICIENTS = 64
"""Of each block of each component."""
_COMMENT, _APPLICATION = 254, 255
_ANIMATION = 2
"""A flag of WebP."""


def examine(data: bytes, limits: StructureParameters = STRUCTURE) -> Size | None:
    """Count the parts of a file; return its size where the mere opening already reserves memory for pixels: GIF, WebP.

    Raises ImageError: IMAGE_BROKEN, FORMAT_UNSUPPORTED, of an animation IMAGE_TOO_MANY_PIXELS, of an AVIF or HEIC
    FILE_TOO_LARGE.
    """
    if data.startswith(b"\xff\xd8\xff"):
        _examine_jpeg(data, limits)
    elif data.startswith(b"\x89PNG\r\n\x1a\n"):
        _examine_png(data, limits)
    elif data.startswith(_TIFF):
        _examine_tiff(data, limits)
    elif data[4:8] == b"ftyp":
        _examine_iso(data, limits)
    elif data.startswith(b"BM"):
        _examine_bmp(data, limits)
    elif data.startswith((b"GIF87a", b"GIF89a")):
        return _examine_gif(data, limits)
    elif data.startswith(b"RIFF"):
        return _examine_webp(data, limits)
    return None


def _examine_jpeg(data: bytes, limits: StructureParameters) -> None:
    """Walk over the segments up to the end of the first picture (ITU-T T.81, B.1)."""
    at, scans, parts, exif, scanning = 2, 0, 0, 0, False
    while match := _MARKER.search(data, at):
        parts += 1 if scanning else 1 + match.start() - at
        marker, at = data[match.start() + 1], match.end()
        if marker == _EOI and scans:
            return
        if marker not in _WITHOUT_LENGTH:
            length = int.from_bytes(data[at : at + 2])
            if marker == _APP1 and data[at + 2 : at + 8] == b"Exif\0\0":
                exif += length
            at += max(2, length)
            scanning = marker == _SOS
            scans += scanning
        _limit(scans, limits.scans, "scans")
        _limit(parts, limits.parts, "segments, or bytes between them")
        _limit(exif, limits.exif, "bytes of EXIF")


def end_of_jpeg(data: bytes) -> int:
    """Where the end mark of a JPEG's first picture stands; the end of the file where it has none."""
    at, scanned = 2, False
    while match := _MARKER.search(data, at):
        marker, at = data[match.start() + 1], match.end()
        if marker == _EOI and scanned:
            return match.start()
        if marker not in _WITHOUT_LENGTH:
            at += max(2, int.from_bytes(data[at : at + 2]))
            scanned = scanned or marker == _SOS
    return len(data)


def last_scan(data: bytes) -> int:
    """Where what is coded in a progressive JPEG's last scan begins, which says what is still open of any coefficient; else 0.

    Segments are those of ITU-T T.81, B.2.2 and B.2.3.
    """
    at, components, exact = 2, b"", set[tuple[int, int]]()
    begin = 0
    while match := _MARKER.search(data, at):
        marker, at = data[match.start() + 1], match.end()
        if marker in _WITHOUT_LENGTH:
            continue
        length = int.from_bytes(data[at : at + 2])
        segment = data[at + 2 : at + length]
        at += max(2, length)
        if marker == _SOF2:
            components = segment[6::3]
        elif marker == _SOS and len(segment) == 4 + 2 * segment[0] and not segment[-1] & 0x0F:
            exact.update(product(segment[1:-3:2], range(segment[-3], segment[-2] + 1)))
            begin = at
    return begin if components and len(exact) >= _COEFFICIENTS * len(components) else 0


def _examine_png(data: bytes, limits: StructureParameters) -> None:
    at, chunks = 8, 0
    while at + 8 <= len(data) and data[at + 4 : at + 8] != b"IEND":
        chunks += 1
        _limit(chunks, limits.parts, "chunks")
        at += 12 + int.from_bytes(data[at : at + 4])


def _examine_tiff(data: bytes, limits: StructureParameters, at: int = 0) -> None:
    """Look at the fields of the first page (TIFF 6.0, section 2; BigTIFF has wider ones), or of EXIF, which begins `at`."""
    order, big = "<" if data.startswith(b"II", at) else ">", b"+" in data[at + 2 : at + 4]
    header, number, field = ("8xQ", "Q", "HHQ8x") if big else ("4xI", "H", "HHI4x")
    try:
        start = at + struct.unpack_from(order + header, data, at)[0]
        (count,) = struct.unpack_from(order + number, data, start)
    except struct.error:
        return
    start += struct.calcsize(order + number)
    size = struct.calcsize(order + field)
    count = min(count, (len(data) - start) // size)
    _limit(count, limits.parts, "fields")
    for _, kind, numbers in struct.iter_unpack(order + field, data[start : start + count * size]):
        if numbers * _BYTES_OF_NUMBER.get(kind, len(data)) < len(data):  # others are not read
            _limit(numbers, limits.parts, "numbers in a field")


def _examine_iso(data: bytes, limits: StructureParameters) -> None:
    """Look at what an AVIF or HEIC has of pictures, and at whatever may be EXIF, which is read while the file is opened."""
    whole = 0
    for parts, length in enumerate(iso.coded(data), 1):
        whole += length
        _limit(parts, limits.parts, "boxes, pictures and tiles")
        if whole > limits.coded:
            message = f"The pictures in the file have more than {limits.coded:,} bytes, too many to be decoded in time"
            raise ImageError(ErrorCode.FILE_TOO_LARGE, message, remedy="Save the photo as a JPEG, or with a lower quality.")
    found = 0
    for header in _TIFF:
        at = data.find(header)
        while at >= 0:
            found += 1
            _limit(found, limits.headers, "headers of EXIF")
            _examine_tiff(data, limits, at)
            at = data.find(header, at + 1)


def _examine_bmp(data: bytes, limits: StructureParameters) -> None:
    if len(data) > limits.run_length and int.from_bytes(data[30:34], "little") in {1, 2}:
        raise ImageError(ErrorCode.FORMAT_UNSUPPORTED, f"A run-length encoded BMP of more than {limits.run_length} bytes")


def _examine_gif(data: bytes, limits: StructureParameters) -> Size | None:
    """Walk to the first frame as Pillow does (GIF89a, sections 18 to 26); return the size that it makes of it."""
    at, blocks = 13, 0
    if len(data) > at and data[10] & 128:
        at += 3 << (data[10] & 7) + 1

    def block() -> bytes:
        nonlocal at, blocks
        length = data[at] if at < len(data) else 0
        blocks += 1
        _limit(blocks, limits.parts, "blocks before its first frame")
        at += 1 + length
        return data[at - length : at]

    while at + 10 <= len(data):
        mark = data[at]
        if mark == ord(","):
            width, height, left, top, wide, high = struct.unpack_from("<HH", data, 6) + struct.unpack_from("<HHHH", data, at + 1)
            return max(width, left + wide), max(height, top + high)
        if mark == ord(";"):
            return None
        if mark != ord("!"):  # Pillow looks for the next mark at the next byte
            at += 1
            continue
        label, at = data[at + 1], at + 2
        first = block()
        if label == _COMMENT and not first:
            continue
        if label == _APPLICATION and first.startswith(b"NETSCAPE2.0"):
            block()
        while block():
            pass
    return None


def _examine_webp(data: bytes, limits: StructureParameters) -> Size | None:
    size = _webp_size(data)
    if size and data[12:16] == b"VP8X" and data[20] & _ANIMATION and size[0] * size[1] > limits.animated:
        message = f"The animated WebP is {size[0]} × {size[1]} pixels, more than {limits.animated}"
        raise ImageError(ErrorCode.IMAGE_TOO_MANY_PIXELS, message, remedy="Send one of its pictures.")
    return size


def _webp_size(data: bytes) -> Size | None:
    """Size of the canvas (WebP container specification; RFC 6386, 9.1; WebP lossless, 3)."""
    if len(data) < 30:
        return None
    match data[12:16]:
        case b"VP8X":
            return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
        case b"VP8L":
            bits = int.from_bytes(data[21:25], "little")
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8 ":
            width, height = struct.unpack_from("<HH", data, 26)
            return width & 0x3FFF, height & 0x3FFF
    return None


def _limit(count: int, most: int, what: str) -> None:
    if count > most:
        message = f"The file has more than {most:,} {what}, which no camera or program writes"
        raise ImageError(ErrorCode.IMAGE_BROKEN, message, remedy="Save the photo again in another program.")
