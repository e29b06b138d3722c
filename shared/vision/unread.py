"""Files that begin like a picture of ours and are of a kind that nothing here reads."""

from __future__ import annotations

from packsight.shared.contract.errors import ErrorCode, ImageError
from packsight.shared.vision import tiff

_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_LOSSLESS = frozenset((0xC3, 0xC7, 0xCB, 0xCF))
"""Marks of a JPEG's segment that says how it is coded (ITU-T T.81, B.1.1.3)."""
_PICTURES = frozenset(
    (b"avif", b"avis", b"mif1", b"msf1", b"mif2", b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"avci")
)
"""Brands of AVIF and HEIF (ISO/IEC 23008-12)."""
_BRANDS = 256
"""Bytes of the box that names a file's brands; the first is its own, the others are those of readers that may try it."""


def unread(data: bytes) -> ImageError | None:
    """The error for such a file, which names its kind; None for any other."""
    kind = _kind(data)
    if not kind:
        return None
    remedy = "Give a frame of it as a JPEG." if kind == "a video" else "Give it as an ordinary JPEG or PNG."
    return ImageError(ErrorCode.FORMAT_UNSUPPORTED, f"The file is {kind}, which is not read", remedy=remedy)


def _kind(data: bytes) -> str:
    if data.startswith(tiff.MARKS):
        return tiff.kind_unread(data)
    if data.startswith(b"\xff\xd8\xff"):
        return _kind_of_jpeg(data)
    if data[4:8] == b"ftyp":
        box = data[8 : min(int.from_bytes(data[:4]), _BRANDS)]
        brands = {box[at : at + 4] for at in range(0, len(box), 4)}
        if box.startswith(b"crx "):
            return "camera raw"
        return "a video" if brands.isdisjoint(_PICTURES) else ""
    return ""


def _kind_of_jpeg(data: bytes) -> str:
    at = 2
    while data[at : at + 1] == b"\xff" and at + 4 < len(data):
        mark, bits = data[at + 1], data[at + 4]
        if mark in _LOSSLESS:
            return "a lossless JPEG"
        if mark in _FRAMES:
            return f"a JPEG of {bits} bits" if bits != 8 else ""
        at += 2 + int.from_bytes(data[at + 2 : at + 4])
    return ""
