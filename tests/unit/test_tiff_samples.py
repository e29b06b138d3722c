"""Samples of a TIFF have their colours, however wide they are and whatever order they stand in."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from packsight.shared.settings import Decode
from packsight.shared.vision.small import reduced
from packsight.worker.pipeline.decode import Photo, decode
from tests.unit.test_decode import distance, scene

LIMITS = Decode()
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, CMYK = 0, 1, 2, 5
SIZE = 160, 96


def tiff(strips: list[bytes], bits: int, colours: int, samples: int = 1, *, order: str = "<", more: int = 0) -> bytes:
    """An unpacked TIFF, with a plane for each sample where there are several strips; more: 1 where the last is alpha."""
    many = len(strips)
    head = 8 + 2 + 12 * (10 + more) + 4
    wide, lists = head, head + 2 * samples
    pixels = lists + 8 * many
    places = [pixels + sum(map(len, strips[:index])) for index in range(many)]
    inside = many == 1
    fields = [
        (256, 3, 1, SIZE[0]), (257, 3, 1, SIZE[1]), (258, 3, samples, bits if samples == 1 else wide), (259, 3, 1, 1),
        (262, 3, 1, colours), (273, 4, many, places[0] if inside else lists), (277, 3, 1, samples), (278, 3, 1, SIZE[1]),
        (279, 4, many, len(strips[0]) if inside else lists + 4 * many), (284, 3, 1, 1 if inside else 2),
        *[(338, 3, 1, 2)] * more,
    ]  # fmt: skip
    data = b"II*\0" if order == "<" else b"MM\0*"
    data += struct.pack(order + "IH", 8, len(fields))
    for tag, kind, count, value in fields:
        short = kind == 3 and count <= 2
        data += struct.pack(order + ("HHIHH" if short else "HHII"), tag, kind, count, value, *((0,) if short else ()))
    data += struct.pack(order + "I", 0) + struct.pack(f"{order}{samples}H", *(bits,) * samples)
    data += struct.pack(f"{order}{2 * many}I", *places, *map(len, strips))
    return data + b"".join(strips)


def planes(bands: np.ndarray, order: str) -> list[bytes]:
    return [band.astype(f"{order}u2").tobytes() for band in np.moveaxis(bands.astype(np.uint16) * 256 + 255 - bands, -1, 0)]


@pytest.mark.parametrize("order", ["<", ">"])
def test_wide_samples_that_each_have_a_plane_of_their_own_keep_their_colours(order: str) -> None:
    colours = np.asarray(scene())
    assert distance(decode(tiff(planes(colours, order), 16, RGB, 3, order=order), LIMITS), scene()) <= 1
    opaque = np.dstack([colours, np.full(SIZE[::-1], 255, np.uint8)])
    assert distance(decode(tiff(planes(opaque, order), 16, RGB, 4, order=order, more=1), LIMITS), scene()) <= 1
    inks = np.asarray(scene().convert("CMYK"))
    assert distance(decode(tiff(planes(inks, order), 16, CMYK, 4, order=order), LIMITS), scene()) <= 1


def grey() -> np.ndarray:
    return np.asarray(scene().convert("L")).astype(np.uint16)


def check_grey(data: bytes) -> None:
    found: Photo = decode(data, LIMITS)
    assert distance(found, scene().convert("L")) <= 0.5
    small = np.asarray(reduced(data, LIMITS, 80).convert("L"), float)
    assert np.abs(small - np.asarray(scene().convert("L").resize((80, 48)), float)).mean() < 2


def test_wide_grey_of_which_white_is_zero_is_not_turned_into_its_negative() -> None:
    check_grey(tiff([(65535 - grey() * 257).astype("<u2").tobytes()], 16, WHITE_IS_ZERO))


@pytest.mark.parametrize("order", ["<", ">"])
def test_wide_grey_is_shown_small_whatever_the_order_of_its_bytes(order: str) -> None:
    check_grey(tiff([(grey() * 257).astype(f"{order}u2").tobytes()], 16, BLACK_IS_ZERO, order=order))


def test_grey_of_12_bits_is_as_bright_as_any() -> None:
    pairs = (grey().astype(np.uint32) << 4 | grey() >> 4).reshape(SIZE[1], -1, 2)
    both = pairs[:, :, 0] << 12 | pairs[:, :, 1]
    packed = np.stack([both >> 16, both >> 8 & 255, both & 255], axis=-1).astype(np.uint8)
    check_grey(tiff([packed.tobytes()], 12, BLACK_IS_ZERO))
