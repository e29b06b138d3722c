"""Of a TIFF with several pages that which is the picture is taken; kinds of files that nothing reads are named."""

from __future__ import annotations

import io
import struct
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from packsight.shared.contract.errors import ErrorCode
from packsight.shared.vision.tiff import at_its_picture
from packsight.worker.pipeline.decode import decode
from tests.unit.test_decode import LIMITS, distance, refusal, saved, scene

RGB, SENSOR = 2, 32803

Field = tuple[int, int, tuple[int, ...]]


def page(pixels: Image.Image, *more: Field, colours: int = RGB) -> tuple[list[Field], bytes]:
    """The fields of an unpacked page, and its pixels."""
    data = pixels.tobytes()
    samples = len(pixels.getbands())
    fields = [
        (256, 4, (pixels.width,)), (257, 4, (pixels.height,)), (258, 3, (8,) * samples), (259, 3, (1,)), (262, 3, (colours,)),
        (273, 4, (0,)), (277, 3, (samples,)), (278, 4, (pixels.height,)), (279, 4, (len(data),)), *more,
    ]  # fmt: skip
    return sorted(fields), data


def tiff(first: tuple[list[Field], bytes], *others: tuple[list[Field], bytes], below: bool, order: str, big: bool) -> bytes:
    """A file of pages, the others behind the first or below it."""
    number, field, offset, wide = ("Q", "HHQ", "Q", 8) if big else ("H", "HHI", "I", 4)
    body = bytearray(b"II" if order == "<" else b"MM")
    body += struct.pack(order + ("HHHQ" if big else "HI"), *((43, 8, 0) if big else (42,)), 0)
    links = [len(body) - wide]
    for told, pixels in (first, *others):
        place = len(body)
        body += pixels
        fields = sorted([*told, (330, 4, (0,) * len(others))]) if told is first[0] and below else told
        start = len(body)
        at = links.pop(0)
        body[at : at + wide] = struct.pack(order + offset, start)
        behind = start + struct.calcsize(order + number) + len(fields) * (struct.calcsize(order + field) + wide) + wide
        entries, apart = b"", b""
        for tag, kind, values in fields:
            numbers = struct.pack(f"{order}{len(values)}{'H' if kind == 3 else 'I'}", *((place,) if tag == 273 else values))
            entries += struct.pack(order + field, tag, kind, len(values))
            inside = len(numbers) <= wide
            if tag == 330:
                begin = start + struct.calcsize(order + number) + len(entries) if inside else behind + len(apart)
                links = [begin + 4 * one for one in range(len(values))]
            if not inside:
                entries += struct.pack(order + offset, behind + len(apart))
                apart += numbers
            else:
                entries += numbers.ljust(wide, b"\0")
        body += struct.pack(order + number, len(fields)) + entries + bytes(wide) + apart
        if not (links or below):
            links = [behind - wide]
    return bytes(body)


REDUCED: Field = (254, 4, (1,))
SMALL, LARGE = scene().resize((80, 48)), scene(640, 384)


@pytest.mark.parametrize(("order", "big"), [("<", False), (">", False), ("<", True)])
def test_behind_its_thumbnail_the_larger_page_is_taken(order: str, big: bool) -> None:
    data = tiff(page(SMALL, REDUCED), page(LARGE), below=False, order=order, big=big)
    photo = decode(data, LIMITS)
    assert (photo.width, photo.height) == LARGE.size
    assert distance(photo, LARGE) == 0


@pytest.mark.parametrize("order", ["<", ">"])
def test_below_its_thumbnail_the_larger_page_is_taken(order: str) -> None:
    middle = page(scene(320, 192), REDUCED)
    data = tiff(page(SMALL, REDUCED), middle, page(LARGE), below=True, order=order, big=False)
    assert distance(decode(data, LIMITS), LARGE) == 0


def test_a_first_page_that_is_no_thumbnail_stays_the_picture() -> None:
    data = tiff(page(SMALL, (254, 4, (2,))), page(LARGE), below=False, order="<", big=False)
    assert at_its_picture(data) is data
    assert distance(decode(data, LIMITS), SMALL) == 0


def test_a_mask_is_no_picture() -> None:
    data = tiff(page(LARGE, REDUCED), page(scene(800, 600), colours=4), below=False, order="<", big=False)
    assert distance(decode(data, LIMITS), LARGE) == 0


def test_camera_raw_is_taken_by_a_large_preview_and_else_refused_by_name() -> None:
    sensor = page(Image.new("L", (3000, 2000), 60), colours=SENSOR)
    preview = scene(1200, 800)
    assert distance(decode(tiff(page(preview, REDUCED), sensor, below=True, order="<", big=False), LIMITS), preview) == 0
    error = refusal(tiff(page(SMALL, REDUCED), sensor, below=True, order="<", big=False))
    assert error.code is ErrorCode.FORMAT_UNSUPPORTED
    assert "camera raw with a preview of 80 × 48 pixels" in error.message
    assert "Export" in error.remedy


def test_pages_in_a_circle_come_to_an_end() -> None:
    data = bytearray(tiff(page(SMALL, REDUCED), below=False, order="<", big=False))
    start = struct.unpack_from("<I", data, 4)[0]
    end = start + 2 + 12 * struct.unpack_from("<H", data, start)[0]
    data[end : end + 4] = struct.pack("<I", start)
    assert at_its_picture(bytes(data)) == bytes(data)


def changed(data: bytes, place: bytes, by: int, value: int) -> bytes:
    at = data.index(place) + by
    return data[:at] + bytes([value]) + data[at + 1 :]


def encoded(suffix: str, pixels: Any) -> bytes:
    return bytes(cv2.imencode(suffix, pixels)[1].tobytes())


def packed(compression: int) -> bytes:
    fields, pixels = page(scene())
    told = [(tag, kind, (compression,) if tag == 259 else values) for tag, kind, values in fields]
    return tiff((told, pixels), below=False, order="<", big=False)


def video(brands: bytes) -> bytes:
    return struct.pack(">I", 8 + len(brands)) + b"ftyp" + brands + b"\0\0\1\0mdat" + bytes(248)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (changed(saved(scene(), "JPEG"), b"\xff\xc0", 4, 12), "a JPEG of 12 bits"),
        (changed(saved(scene(), "JPEG"), b"\xff\xc0", 1, 0xC3), "a lossless JPEG"),
        (encoded(".tiff", np.zeros((64, 64, 3), np.float32)), "a TIFF of floating-point numbers"),
        (packed(34712), "a TIFF packed with JPEG 2000"),
        (packed(52546), "a TIFF packed with JPEG XL"),
        (packed(50001), "a TIFF packed with WebP"),
        (packed(34887), "a TIFF packed with LERC"),
        (tiff(page(Image.new("L", (64, 64)), colours=SENSOR), below=False, order="<", big=False), "camera raw"),
        (video(b"isom\0\0\2\0isomiso2avc1mp41"), "a video"),
        (video(b"qt  \0\0\0\0qt  "), "a video"),
        (video(b"crx \0\0\0\1crx isom"), "camera raw"),
    ],
)
def test_a_kind_that_nothing_reads_is_named(data: bytes, kind: str) -> None:
    error = refusal(data)
    assert (error.code, error.message) == (ErrorCode.FORMAT_UNSUPPORTED, f"The file is {kind}, which is not read")
    assert "JPEG" in error.remedy


@pytest.mark.parametrize("kind", ["JPEG", "AVIF", "HEIF", "TIFF"])
def test_a_damaged_file_of_a_kind_that_is_read_is_not_taken_for_another(kind: str) -> None:
    buffer = io.BytesIO()
    scene().save(buffer, kind)
    assert refusal(buffer.getvalue()[:300]).code is ErrorCode.IMAGE_TRUNCATED
