"""Of a PNG the chunks that its pixels do not need may be damaged, long or in the wrong place."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from packsight.shared.contract.errors import ErrorCode, ImageError
from packsight.shared.settings import Decode
from packsight.shared.vision.png import pixels_alone
from packsight.worker.pipeline.decode import decode
from tests.unit.test_decode import exif_orientation, refusal, saved, scene

LIMITS = Decode()
HEAD = 8 + 12 + 13
"""Bytes up to the end of the first chunk."""


def chunk(name: bytes, content: bytes, *, wrong: bool = False) -> bytes:
    checksum = zlib.crc32(name + content) ^ wrong
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)


def put(data: bytes, *chunks: bytes) -> bytes:
    return data[:HEAD] + b"".join(chunks) + data[HEAD:]


LONG = zlib.compress(b"a" * 3_000_000)
BESIDE = {
    "text": chunk(b"tEXt", b"Software\0editor", wrong=True),
    "time": chunk(b"tIME", b"\7\xea\1\1\0\0\0", wrong=True),
    "an editor's own": chunk(b"prVW", b"x" * 100, wrong=True),
    "a profile": chunk(b"iCCP", b"printer\0\0" + LONG),
    "a profile that is none": chunk(b"iCCP", b""),
    "packed text": chunk(b"zTXt", b"Raw profile type iptc\0\0" + LONG),
    "a note of where things come from": chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + LONG),
    "a size": chunk(b"pHYs", b"\0"),
    "gamma": chunk(b"gAMA", b"\0"),
    "an animation": chunk(b"acTL", b"\0"),
    "EXIF that is damaged": chunk(b"eXIf", exif_orientation(6).removeprefix(b"Exif\0\0"), wrong=True),
    "transparency that is damaged": chunk(b"tRNS", b"\0\xdc\0\x1e\0\x1e", wrong=True),
}


@pytest.mark.parametrize("name", BESIDE)
def test_what_stands_beside_the_pixels_costs_no_photo(name: str) -> None:
    photo = decode(put(saved(scene(), "PNG"), BESIDE[name]), LIMITS)
    assert np.array_equal(photo.pixels, np.asarray(scene()))


def parts(data: bytes, size: int) -> Iterator[bytes]:
    """The chunks of a PNG, its pixels in several with a remark between."""
    at = 8
    while at < len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        content = data[at + 8 : at + 8 + length]
        if name == b"IDAT":
            yield chunk(b"tEXt", b"a\0b").join(chunk(name, content[begin : begin + size]) for begin in range(0, length, size))
        else:
            yield chunk(name, content)
        at += 12 + length


def test_a_remark_among_the_pixels_costs_no_photo() -> None:
    data = saved(scene(), "PNG")
    photo = decode(data[:8] + b"".join(parts(data, 100)), LIMITS)
    assert np.array_equal(photo.pixels, np.asarray(scene()))


def test_what_tells_of_the_pixels_stays() -> None:
    turned = saved(scene().transpose(Image.Transpose.ROTATE_90), "PNG", exif=exif_orientation(6))
    assert np.array_equal(decode(turned, LIMITS).pixels, np.asarray(scene()))
    holed = put(saved(scene(), "PNG"), chunk(b"tRNS", b"\0\xdc\0\x1e\0\x1e"))
    assert decode(holed, LIMITS).pixels[0, 0].tolist() == [255, 255, 255]


def test_a_photo_whose_own_chunks_are_damaged_is_refused_as_before() -> None:
    data = bytearray(saved(scene(), "PNG"))
    data[HEAD - 1] ^= 1
    assert refusal(bytes(data)).code is ErrorCode.IMAGE_BROKEN


def test_a_file_that_ends_early_keeps_its_end_and_others_stay_as_they_are() -> None:
    data = saved(scene(), "PNG")
    assert pixels_alone(data + b"behind") == data
    for end in range(len(data)):
        assert pixels_alone(data[:end]) == data[:end]
    with pytest.raises(ImageError):
        decode(put(data, BESIDE["text"])[: len(data) // 2], LIMITS)
    assert pixels_alone(b"\xff\xd8\xff") == b"\xff\xd8\xff"
