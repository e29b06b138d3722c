"""Every kind of picture ends upright in RGB, or as a typed refusal."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageDraw
from PIL.ExifTags import Base

from packsight.shared.contract.errors import ErrorCode, ImageError
from packsight.shared.settings import Decode
from packsight.worker.pipeline import decode as decoding
from packsight.worker.pipeline.decode import Photo, decode

LIMITS = Decode()
RED, GREEN, BLUE, GREY = (220, 30, 30), (30, 180, 60), (30, 60, 200), (128, 128, 128)


def scene(width: int = 160, height: int = 96) -> Image.Image:
    """Four quarters of different colours: every turn and mirror image of it is another picture."""
    image = Image.new("RGB", (width, height), GREY)
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, width // 2 - 1, height // 2 - 1), fill=RED)
    draw.rectangle((width // 2, 0, width, height // 2 - 1), fill=GREEN)
    draw.rectangle((0, height // 2, width // 2 - 1, height), fill=BLUE)
    return image


def noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(7).integers(0, 255, (height, width, 3), np.uint8))


FAST: dict[str, dict[str, Any]] = {"AVIF": {"speed": 10}, "HEIF": {"enc_params": {"preset": "ultrafast"}}}
"""Options with which a tenth of the work makes files that are a little larger."""


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **FAST.get(kind, {}), **options)
    return buffer.getvalue()


def distance(photo: Photo, image: Image.Image) -> float:
    """Mean absolute difference of the samples, 0 to 255."""
    expected = np.asarray(image.convert("RGB"), np.float32)
    assert photo.pixels.shape == expected.shape
    return float(np.abs(photo.pixels - expected).mean())


def refusal(data: bytes, limits: Decode = LIMITS) -> ImageError:
    with pytest.raises(ImageError) as caught:
        decode(data, limits)
    assert not caught.value.retryable
    assert caught.value.remedy
    return caught.value


def exif_orientation(value: int) -> bytes:
    exif = Image.Exif()
    exif[Base.Orientation] = value
    return exif.tobytes()


# How a camera that notes each orientation has stored the upright picture: the inverse of what a viewer does.
STORED: dict[int, list[Image.Transpose]] = {
    1: [],
    2: [Image.Transpose.FLIP_LEFT_RIGHT],
    3: [Image.Transpose.ROTATE_180],
    4: [Image.Transpose.FLIP_TOP_BOTTOM],
    5: [Image.Transpose.TRANSPOSE],
    6: [Image.Transpose.ROTATE_90],
    7: [Image.Transpose.TRANSVERSE],
    8: [Image.Transpose.ROTATE_270],
}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_gives_the_same_upright_picture(orientation: int, kind: str) -> None:
    stored = scene()
    for step in STORED[orientation]:
        stored = stored.transpose(step)
    photo = decode(saved(stored, kind, exif=exif_orientation(orientation)), LIMITS)
    assert (photo.width, photo.height) == (160, 96)
    assert distance(photo, scene()) < 3


def test_a_turned_photo_is_reduced_by_its_own_longer_side_and_reports_its_upright_size() -> None:
    stored = scene(1600, 960).transpose(Image.Transpose.ROTATE_90)
    photo = decode(saved(stored, "JPEG", exif=exif_orientation(6)), LIMITS, max_side=400)
    assert (photo.width, photo.height) == (1600, 960)
    assert distance(photo, scene(400, 240)) < 3


def test_a_turned_tiff_is_reduced_upright() -> None:
    stored = scene(1600, 960).transpose(Image.Transpose.ROTATE_90)
    photo = decode(saved(stored, "TIFF", exif=exif_orientation(6)), LIMITS, max_side=400)
    assert (photo.width, photo.height) == (1600, 960)
    assert distance(photo, scene(400, 240)) < 3


def test_an_orientation_that_does_not_exist_is_ignored() -> None:
    assert distance(decode(saved(scene(), "PNG", exif=exif_orientation(77)), LIMITS), scene()) == 0


def damaged_exif() -> bytes:
    return saved(scene(), "JPEG", exif=b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\xff\xff" + b"\xee" * 40)


# What the module asks for when it is imported; pytest starts each test with filters of its own.
@pytest.mark.filterwarnings(r"ignore:::PIL\.TiffImagePlugin")
def test_damaged_exif_does_not_cost_the_photo() -> None:
    assert distance(decode(damaged_exif(), LIMITS), scene()) < 3


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {"quality": 95}),
        ("JPEG", {"progressive": True, "quality": 95}),
        ("PNG", {}),
        ("PNG", {"compress_level": 0}),
        ("WEBP", {"lossless": True}),
        ("WEBP", {"quality": 90}),
        ("BMP", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("AVIF", {"quality": 90}),
        ("GIF", {}),
    ],
)
def test_each_format_gives_the_same_colours(kind: str, options: dict[str, Any]) -> None:
    photo = decode(saved(scene(), kind, **options), LIMITS)
    assert distance(photo, scene()) < 3
    assert photo.pixels.dtype == np.uint8
    assert photo.pixels.flags.c_contiguous
    assert photo.pixels.flags.writeable


def test_heic_gives_the_same_colours() -> None:
    assert distance(decode(saved(scene(), "HEIF", quality=90), LIMITS), scene()) < 4


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_a_turned_heic_is_turned_once(orientation: int) -> None:
    stored = scene()
    for step in STORED[orientation]:
        stored = stored.transpose(step)
    photo = decode(saved(stored, "HEIF", quality=90, exif=exif_orientation(orientation)), LIMITS)
    assert (photo.width, photo.height) == (160, 96)
    assert distance(photo, scene()) < 4


def test_of_a_heic_with_several_pictures_the_primary_one_is_taken() -> None:
    file = pillow_heif.from_pillow(Image.new("RGB", (64, 64), RED))
    file.add_from_pillow(scene())
    buffer = io.BytesIO()
    file.save(buffer, quality=90, primary_index=1)
    assert distance(decode(buffer.getvalue(), LIMITS), scene()) < 4


def test_of_an_mpo_the_first_picture_is_taken_and_reduced_like_a_jpeg() -> None:
    data = saved(scene(1600, 960), "MPO", save_all=True, append_images=[Image.new("RGB", (1600, 960), RED)])
    assert distance(decode(data, LIMITS, max_side=400), scene(400, 240)) < 3


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_an_animation_the_first_frame_is_taken(kind: str) -> None:
    data = saved(scene(), kind, save_all=True, append_images=[Image.new("RGB", (160, 96), c) for c in (RED, GREEN)])
    assert distance(decode(data, LIMITS), scene()) < 4


def test_cmyk_is_turned_into_rgb() -> None:
    assert distance(decode(saved(scene().convert("CMYK"), "JPEG", quality=95), LIMITS), scene()) < 3


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_grey_becomes_three_equal_channels(kind: str) -> None:
    photo = decode(saved(scene().convert("L"), kind), LIMITS)
    assert distance(photo, scene().convert("L")) < 3
    assert np.ptp(photo.pixels.astype(int), axis=2).max() <= 1


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bit_grey_is_scaled_instead_of_clipped(kind: str) -> None:
    ramp = np.tile(np.linspace(0, 65535, 256).astype(np.uint16), (32, 1))
    photo = decode(saved(Image.fromarray(ramp), kind), LIMITS)
    assert np.abs(photo.pixels[0, :, 0].astype(int) - np.arange(256)).max() <= 1


def png(width: int, height: int, depth: int, colour: int, rows: Callable[[int], bytes]) -> bytes:
    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(b"\0" + rows(y)) for y in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def test_sixteen_bit_colour_is_scaled_instead_of_clipped() -> None:
    wide = np.asarray(scene()).astype(">u2") * 257
    assert distance(decode(png(160, 96, 16, 2, lambda y: wide[y].tobytes()), LIMITS), scene()) <= 1


@pytest.mark.parametrize("hidden", ["black", "white", "red"])
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "AVIF"])
def test_transparent_pixels_become_white_whatever_colour_they_hide(kind: str, hidden: str) -> None:
    image = Image.new("RGBA", (64, 64), hidden)
    image.putalpha(0)
    image.paste((*BLUE, 255), (16, 16, 48, 48))
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    pixels = decode(saved(image, kind, **options), LIMITS).pixels
    assert pixels[4, 4].min() >= 252
    assert np.abs(pixels[32, 32].astype(int) - BLUE).max() < 6


def test_half_transparent_pixels_are_mixed_with_white() -> None:
    image = Image.new("RGBA", (32, 32), (0, 0, 0, 128))
    assert np.abs(decode(saved(image, "PNG"), LIMITS).pixels.astype(int) - 127).max() <= 1


def test_grey_with_alpha_lies_on_white() -> None:
    assert decode(saved(Image.new("LA", (32, 32), (0, 0)), "PNG"), LIMITS).pixels.min() == 255


def test_a_palette_gives_its_colours_and_its_transparent_entry_becomes_white() -> None:
    image = scene().quantize(8)
    assert distance(decode(saved(image, "PNG"), LIMITS), scene()) < 3
    red_entry = image.getpixel((10, 10))
    pixels = decode(saved(image, "PNG", transparency=red_entry), LIMITS).pixels
    assert pixels[10, 10].tolist() == [255, 255, 255]
    assert np.abs(pixels[10, 120].astype(int) - GREEN).max() < 10


def test_a_transparent_colour_of_an_rgb_png_becomes_white() -> None:
    assert decode(saved(scene(), "PNG", transparency=RED), LIMITS).pixels[10, 10].tolist() == [255, 255, 255]


def test_black_and_white_pictures_are_read() -> None:
    image = scene().convert("1")
    assert distance(decode(saved(image, "TIFF", compression="group4"), LIMITS), image) == 0


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_large_photo_is_reduced_to_the_side_asked_for_and_looks_the_same(kind: str) -> None:
    photo = decode(saved(scene(3000, 2000), kind), LIMITS, max_side=900)
    assert (photo.width, photo.height) == (3000, 2000)
    assert distance(photo, scene(900, 600)) < 3


def test_a_jpeg_keeps_all_the_detail_that_its_reduced_size_can_hold() -> None:
    data = saved(noise(200, 150).resize((1600, 1200), Image.Resampling.BICUBIC), "JPEG", quality=95)
    whole = decode(data, LIMITS, max_side=None).pixels
    reference = cv2.resize(whole, (700, 525), interpolation=cv2.INTER_AREA)
    assert distance(decode(data, LIMITS, max_side=700), Image.fromarray(reference)) < 2


def test_reduction_averages_over_areas_instead_of_picking_pixels() -> None:
    stripes = np.zeros((600, 600, 3), np.uint8)
    stripes[:, ::2] = 255
    pixels = decode(saved(Image.fromarray(stripes), "PNG"), LIMITS, max_side=100).pixels
    assert np.abs(pixels.astype(int) - 127).max() <= 2


def test_a_small_photo_is_not_enlarged_and_no_limit_means_no_reduction() -> None:
    assert decode(saved(scene(), "PNG"), LIMITS).pixels.shape == (96, 160, 3)
    assert decode(saved(scene(2600, 200), "JPEG"), LIMITS, max_side=None).pixels.shape == (200, 2600, 3)


def test_the_same_bytes_give_the_same_pixels_from_many_threads() -> None:
    files = [saved(scene(900, 700), kind) for kind in ("JPEG", "PNG", "WEBP", "GIF")] * 8
    alone = [decode(file, LIMITS, max_side=300).pixels for file in files]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda file: decode(file, LIMITS, max_side=300).pixels, files))
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))


def test_an_empty_file_is_named_so() -> None:
    assert refusal(b"").code is ErrorCode.FILE_EMPTY


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("Фото скоро будет".encode(), id="text"),
        pytest.param(b"<!doctype html><title>404</title>", id="html"),
        pytest.param(b"<svg xmlns='http://www.w3.org/2000/svg'/>", id="svg"),
        pytest.param(b"8BPS\x00\x01" + b"\0" * 60, id="psd"),
        pytest.param(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", id="eps"),
        pytest.param(b"%PDF-1.7\n", id="pdf"),
        pytest.param(b"SIMPLE  =                    T" + b" " * 2850, id="fits"),
        pytest.param(b"\0\0\0\x0cjP  \r\n\x87\n" + b"\0" * 40, id="jpeg2000"),
        pytest.param(b"\xff", id="one byte"),
    ],
)
def test_content_that_is_no_picture_of_ours_is_unsupported_whatever_its_name(content: bytes) -> None:
    assert refusal(content).code is ErrorCode.FORMAT_UNSUPPORTED


JFIF, PNG = b"\xff\xd8\xff\xe0\0\x10JFIF\0\1\1" + b"\0" * 40, b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + b"\0" * 40
AS_TEXT = "a picture that was converted as if it were text"


@pytest.mark.parametrize(
    ("content", "what", "remedy"),
    [
        (b"<!doctype html><title>404</title>", "an HTML page", "leads to a page: give that of the picture itself"),
        (b"\xef\xbb\xbf\r\n<!-- shop -->\n<HTML lang='ru'>", "an HTML page", "leads to a page"),
        (b'<?xml version="1.0"?><!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0"><html>', "an HTML page", "leads to a page"),
        (b"<p>Not found</p>", "a piece of HTML or XML", "leads to a page"),
        (b'{"error": "not found"}', "JSON", "leads to data"),
        (b'[\n {"id": 1}]', "JSON", "leads to data"),
        (
            b'<?xml version="1.0"?>\n<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>',
            "an error of object storage (AccessDenied)",
            "may be read",
        ),
        (b"<Error xmlns='a'><Resource/><Code>NoSuchKey</Code>", "an error of object storage (NoSuchKey)", "still holds"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG drawing", "PNG or JPEG"),
        (b'<?xml version="1.0"?><!-- drawn --><svg:svg xmlns:svg="a">', "an SVG drawing", "PNG or JPEG"),
        (b'<?xml version="1.0"?><yml_catalog/>', "XML", "leads to data"),
        (b"%PDF-1.7\n", "a PDF document", "JPEG"),
        (b"PK\x03\x04" + b"\0" * 40, "a ZIP archive", "one by one"),
        (b"\x1f\x8b\x08" + b"\0" * 40, "a gzip file that is damaged", "as it is"),
        (b"/9j/4AAQSkZJRgABAQ", "a picture as base64", "decode the text"),
        (b"iVBORw0KGgoAAAANSUhEUg", "a picture as base64", "decode the text"),
        (b"data:image/png;base64,iVBORw0KGgo", "a picture as a data URI", "decode the text"),
        (
            b'------WebKitFormBoundary7MA4YWxk\r\nContent-Disposition: form-data; name="file"\r\n\r\n\xff\xd8\xff\xe0',
            "the body of a form (multipart)",
            "without the lines around it",
        ),
        (b"404 page not found\n", "a piece of text", "Read what it says"),
        (b"Access denied", "a piece of text", "Read what it says"),
        ("Фото скоро будет".encode(), "a piece of text", "Read what it says"),
        ("Фото скоро будет".encode("cp1251"), "a piece of text", "Read what it says"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a", "a pointer of Git LFS", "git lfs pull"),
        (b"[InternetShortcut]\r\nURL=https://shop.example/", "a shortcut", "stands in it"),
        (b"8BPS\x00\x01" + b"\0" * 60, "a Photoshop document", "JPEG or PNG"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "a PostScript drawing", "PNG or JPEG"),
        (b"\0\0\0\x0cjP  \r\n\x87\n" + b"\0" * 40, "a JPEG 2000", "JPEG or PNG"),
        (b"\xef\xbb\xbf\xff\xd8\xff\xe0" + b"\0" * 40, "blank lines or a byte order mark with a picture", "own bytes alone"),
        (b"\r\n\n\x89PNG\r\n\x1a\n" + b"\0" * 40, "blank lines or a byte order mark with a picture", "own bytes alone"),
        (JFIF.decode(errors="replace").encode(), AS_TEXT, "as they are"),
        (JFIF.decode("ascii", "replace").replace("\ufffd", "?").encode(), AS_TEXT, "as they are"),
        (JFIF.decode("latin-1").encode(), AS_TEXT, "as they are"),
        (JFIF.decode("cp1251").encode(), AS_TEXT, "as they are"),
        (PNG.decode(errors="replace").encode(), AS_TEXT, "as they are"),
        (PNG.decode("cp1252").encode(), AS_TEXT, "as they are"),
        (PNG.replace(b"\r\n", b"\n"), AS_TEXT, "as they are"),
        (PNG.replace(b"\n", b"\r\n"), AS_TEXT, "as they are"),
        (b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\n\r\n" + JFIF, "an answer over HTTP with its headers", "body"),
        (b"\0\x05\x16\x07\0\2\0\0Mac OS X" + b"\0" * 40, "what macOS keeps beside a file", "without `._`"),
        (b"\0\0\0\x0cJXL \r\n\x87\n" + b"\0" * 40, "a JPEG XL", "JPEG or PNG"),
        (b"FUJIFILMCCD-RAW 0201" + b"\0" * 40, "camera raw", "JPEG or PNG"),
        (b"IIU\0\x18\0\0\0" + b"\0" * 40, "camera raw", "JPEG or PNG"),
        (b"\x1a\x45\xdf\xa3" + b"\0" * 40, "a video", "a frame of it"),
        (b"\0\0\0\x08wide\0\1\2\3mdat" + b"\0" * 40, "a video", "a frame of it"),
        (b"RIFF\0\1\0\0AVI LIST" + b"\0" * 40, "a video", "a frame of it"),
        (b"\x28\xb5\x2f\xfd" + b"\0" * 40, "a packed file that is not gzip", "packed with gzip"),
    ],
)
def test_what_came_instead_of_a_picture_is_named(content: bytes, what: str, remedy: str) -> None:
    error = refusal(content)
    assert (error.code, error.retryable) == (ErrorCode.FORMAT_UNSUPPORTED, False)
    assert error.message.startswith(f"The file is {what}")
    assert error.message.endswith(", no picture")
    assert remedy in error.remedy


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.9])
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("PNG", {}),
        ("GIF", {}),
        ("WEBP", {}),
        ("BMP", {}),
        ("TIFF", {}),
        ("AVIF", {}),
        ("HEIF", {}),
    ],
)
def test_a_file_that_ends_too_early_is_named_so(kind: str, options: dict[str, Any], share: float) -> None:
    whole = saved(noise(200, 150), kind, **options)
    assert refusal(whole[: int(len(whole) * share)]).code is ErrorCode.IMAGE_TRUNCATED


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "AVIF", "HEIF", "BMP"])
def test_damaged_bytes_give_a_picture_or_a_typed_refusal(kind: str) -> None:
    whole = saved(noise(64, 48), kind)
    random = np.random.default_rng(1)
    refused = 0
    for _ in range(60):
        damaged = bytearray(whole)
        for place in random.integers(0, len(whole), 12):
            damaged[place] = random.integers(256)
        try:
            decode(bytes(damaged), LIMITS)
        except ImageError as error:
            refused += 1
            assert error.code in {
                ErrorCode.IMAGE_BROKEN,
                ErrorCode.IMAGE_TRUNCATED,
                ErrorCode.FORMAT_UNSUPPORTED,
                ErrorCode.IMAGE_TOO_MANY_PIXELS,
                ErrorCode.IMAGE_TOO_SMALL,
            }
    assert refused or kind in {"BMP", "TIFF", "JPEG"}


def test_a_tiff_whose_directory_at_the_end_is_cut_off_ends_too_early() -> None:
    whole = saved(noise(64, 48), "TIFF")
    moved = whole[:4] + struct.pack("<I", len(whole)) + whole[8:]
    assert refusal(moved).code is ErrorCode.IMAGE_TRUNCATED


@pytest.mark.parametrize("kind", [np.float32, np.int32])
def test_samples_of_32_bits_are_refused_since_nobody_knows_their_range(kind: type) -> None:
    error = refusal(saved(Image.fromarray(np.zeros((32, 32), kind)), "TIFF"))
    assert error.code is ErrorCode.FORMAT_UNSUPPORTED
    assert "8 or 16 bits a sample" in error.remedy


def test_damage_inside_a_png_is_broken_and_not_truncated() -> None:
    data = bytearray(saved(noise(64, 64), "PNG"))
    data[data.index(b"IDAT") + 4 : data.index(b"IDAT") + 40] = b"\xaa" * 36
    assert refusal(bytes(data)).code is ErrorCode.IMAGE_BROKEN


@pytest.mark.parametrize(("width", "height"), [(1, 1), (20_000, 1), (1, 20_000), (15, 400)])
def test_a_picture_with_a_tiny_side_is_refused(width: int, height: int) -> None:
    error = refusal(saved(Image.new("L", (width, height)), "PNG"))
    assert error.code is ErrorCode.IMAGE_TOO_SMALL
    assert f"{width} × {height}" in error.message


def jpeg_claiming(width: int, height: int) -> bytes:
    data = bytearray(saved(scene(), "JPEG"))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def gif_claiming(width: int, height: int) -> bytes:
    """A frame far larger than its canvas that asks to be wiped: reading the header already reserves memory for it."""
    data = bytearray(saved(scene(), "GIF", transparency=0, disposal=2))
    at = data.index(b",\0\0\0\0" + struct.pack("<HH", 160, 96))
    data[at + 5 : at + 9] = struct.pack("<HH", width, height)
    return bytes(data)


def webp_claiming(width: int, height: int) -> bytes:
    frames = [scene().convert("RGBA"), Image.new("RGBA", (160, 96))]
    data = bytearray(saved(frames[0], "WEBP", save_all=True, append_images=frames[1:]))
    at = data.index(b"VP8X") + 12
    data[at : at + 6] = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return bytes(data)


def box_claiming(kind: str, width: int, height: int) -> bytes:
    """AVIF and HEIF: the size stands in the box `ispe`."""
    data = bytearray(saved(scene(), kind))
    at = data.index(b"ispe") + 8
    data[at : at + 8] = struct.pack(">II", width, height)
    return bytes(data)


def bmp_claiming(width: int, height: int) -> bytes:
    data = bytearray(saved(scene(), "BMP"))
    data[18:26] = struct.pack("<ii", width, height)
    return bytes(data)


def tiff_claiming(width: int, height: int) -> bytes:
    data = saved(scene(), "TIFF", compression="tiff_lzw")
    for tag, old, new in ((256, 160, width), (257, 96, height)):
        entry = struct.pack("<HHII", tag, 3, 1, old)
        assert entry in data
        data = data.replace(entry, struct.pack("<HHII", tag, 3, 1, new))
    return data


def peak_kib() -> int:
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak of resident memory from /proc")
@pytest.mark.parametrize(
    "bomb",
    [
        pytest.param(lambda: png(13_000, 13_000, 1, 0, lambda _: b"\0" * 1625), id="PNG of 169 million pixels"),
        pytest.param(lambda: png(30_000, 30_000, 1, 0, lambda _: b""), id="PNG of 900 million pixels"),
        pytest.param(lambda: jpeg_claiming(10_000, 10_000), id="JPEG of 100 million"),
        pytest.param(lambda: jpeg_claiming(60_000, 60_000), id="JPEG of 3.6 billion"),
        pytest.param(lambda: gif_claiming(60_000, 60_000), id="GIF of 3.6 billion"),
        pytest.param(lambda: webp_claiming(16_000, 16_000), id="WebP of 256 million"),
        pytest.param(lambda: box_claiming("AVIF", 16_000, 16_000), id="AVIF of 256 million"),
        pytest.param(lambda: box_claiming("HEIF", 16_000, 16_000), id="HEIC of 256 million"),
        pytest.param(lambda: bmp_claiming(30_000, 30_000), id="BMP of 900 million"),
        pytest.param(lambda: tiff_claiming(30_000, 30_000), id="TIFF of 900 million"),
    ],
)
def test_a_bomb_is_refused_before_its_pixels_take_memory(bomb: Callable[[], bytes]) -> None:
    data = bomb()
    assert len(data) < 60_000
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again at the present size
    before = peak_kib()
    assert refusal(data).code is ErrorCode.IMAGE_TOO_MANY_PIXELS
    assert peak_kib() - before < 50_000


def test_pictures_are_decoded_together_as_far_as_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    load = decoding._load
    busy: list[int] = []
    most = 0
    together = threading.Barrier(3)

    def watched(image: Image.Image, data: bytes, max_side: int | None) -> tuple[Photo, bool]:
        nonlocal most
        if image.width < 1000:
            together.wait(30)
            return load(image, data, max_side)
        busy.append(1)
        most = max(most, len(busy))
        photo = load(image, data, max_side)
        busy.pop()
        return photo

    monkeypatch.setattr(decoding, "_load", watched)
    large = saved(Image.new("L", (3500, 3500), 200), "JPEG")
    room_for_one = Decode(memory=100_000_000)
    with ThreadPoolExecutor(3) as pool:
        assert len(list(pool.map(lambda data: decode(data, room_for_one, max_side=64), [large] * 6))) == 6
        assert len(list(pool.map(lambda data: decode(data, LIMITS), [saved(scene(), "PNG")] * 3))) == 3
    assert most == 1


def test_remarks_of_the_decoders_reach_nobody_even_where_warnings_are_errors(tmp_path: Path) -> None:
    (tmp_path / "exif.jpg").write_bytes(damaged_exif())
    (tmp_path / "bomb.jpg").write_bytes(jpeg_claiming(10_000, 10_000))
    program = (
        "from pathlib import Path; from packsight.worker.pipeline.decode import decode\n"
        "from packsight.shared.settings import Decode\n"
        "print(decode(Path('exif.jpg').read_bytes(), Decode()).width)\n"
        "try: decode(Path('bomb.jpg').read_bytes(), Decode(max_pixels=60_000_000))\n"
        "except Exception as error: print(error.code)"
    )
    command = [sys.executable, "-W", "error", "-c", program]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (ended.stdout.split(), ended.stderr) == (["160", "image_too_many_pixels"], "")


def test_a_picture_of_exactly_the_allowed_size_is_decoded() -> None:
    assert decode(saved(scene(), "PNG"), Decode(max_pixels=160 * 96)).width == 160
    assert refusal(saved(scene(), "PNG"), Decode(max_pixels=160 * 96 - 1)).code is ErrorCode.IMAGE_TOO_MANY_PIXELS


def test_a_picture_above_pillows_own_limit_is_decoded_when_the_operator_allows_it() -> None:
    photo = decode(saved(Image.new("L", (9_700, 9_700), 255), "JPEG"), Decode(max_pixels=95_000_000), max_side=64)
    assert (photo.width, photo.pixels.shape, photo.pixels.min()) == (9_700, (64, 64, 3), 255)


def test_decoding_loads_no_library_for_tables() -> None:
    script = """
import io, sys
from PIL import Image
from packsight.worker.pipeline.decode import decode
from packsight.shared.settings import Decode
file = io.BytesIO()
Image.new("RGB", (64, 64)).save(file, "JPEG")
decode(file.getvalue(), Decode())
print("pandas" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "False", "it would take 50 MB of every child"


@pytest.mark.parametrize("cut", [2, 3, 10, 64])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0, "quality": 95}])
def test_a_jpeg_that_lacks_next_to_nothing_is_taken(cut: int, options: dict[str, Any]) -> None:
    image = noise(320, 640)
    data = saved(image, "JPEG", **options)
    whole, photo = decode(data, LIMITS), decode(data[:-cut], LIMITS)
    assert np.array_equal(photo.pixels[:620], whole.pixels[:620])


@pytest.mark.parametrize("options", [{}, {"progressive": True}])
@pytest.mark.parametrize("kept", [0.5, 0.9, 0.96])
def test_a_jpeg_that_lacks_more_is_refused(options: dict[str, Any], kept: float) -> None:
    data = saved(noise(320, 640), "JPEG", **options)
    assert refusal(data[: int(len(data) * kept)]).code is ErrorCode.IMAGE_TRUNCATED
