"""Lettering for packages: Pillow's own scalable face, made heavier, wider, slanted or spaced, so that brands differ.

Pillow's has no Cyrillic letter; words with one are set in OpenCV's own, which the reading networks were not trained on either.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from packsight.deploy.demo.shop.products import Colour

Pixels = npt.NDArray[np.uint8]
"""RGB, [height, width, 3]."""
Mask = npt.NDArray[np.uint8]
"""Coverage, [height, width], 0 to 255."""


@dataclass(frozen=True, slots=True)
class Hand:
    """How letters are formed: stroke weight in hundredths of the height, width factor, slant, and letter spacing."""

    weight: int = 0
    stretch: float = 1.0
    slant: float = 0.0
    spacing: float = 0.0


HANDS = (Hand(3, 1.0), Hand(3, 0.86), Hand(2, 1.2, 0.0, 0.08), Hand(2, 0.96, 0.2))


@lru_cache(maxsize=2048)
def lettered(text: str, height: int, hand: Hand = HANDS[0]) -> Mask:
    """Coverage mask of a line of text, cropped to its ink; `height` is the em size in pixels."""
    mask = _latin(text, height, hand) if text.isascii() else _cyrillic(text, height, hand)
    if hand.slant:
        shear = np.array([[1, -hand.slant, hand.slant * height], [0, 1, 0]], np.float32)
        mask = np.asarray(cv2.warpAffine(mask, shear, (mask.shape[1], mask.shape[0])), np.uint8)
    rows, columns = np.flatnonzero(mask.max(1)), np.flatnonzero(mask.max(0))
    mask = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    size = (max(1, round(mask.shape[1] * hand.stretch)), mask.shape[0])
    return np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_AREA), np.uint8)


def _latin(text: str, height: int, hand: Hand) -> Mask:
    font = ImageFont.load_default(height)
    stroke = round(height * hand.weight / 100)
    step = hand.spacing * height
    widths = [font.getlength(letter) + step for letter in text] if step else [font.getlength(text)]
    canvas = Image.new("L", (int(sum(widths)) + height * 2, height * 2))
    draw = ImageDraw.Draw(canvas)
    x = float(height)
    for part, width in zip(text if step else [text], widths, strict=True):
        draw.text((x, height / 2), part, fill=255, font=font, stroke_width=stroke)
        x += width
    return np.asarray(canvas)


def _cyrillic(text: str, height: int, hand: Hand) -> Mask:
    face, weight = cv2.FontFace("sans"), 400 + 100 * hand.weight
    step = round(hand.spacing * height)
    canvas = np.zeros((2 * height, (height + step) * (len(text) + 2)), np.uint8)
    x = height
    for part in text if step else [text]:
        reached, _ = cv2.putText(canvas, part, (x, round(1.5 * height)), (255,), face, height, weight)
        x = reached[0] + step if part.strip() else x + height // 3
    return canvas


def write(
    face: Pixels,
    text: str,
    *,
    at: tuple[float, float],
    height: float,
    colour: Colour,
    room: float,
    hand: Hand = HANDS[0],
) -> None:
    """Write a line centred on the point `at`; it is made narrower, and at last smaller, to fit into `room` pixels."""
    mask = lettered(text, round(height), hand)
    if mask.shape[1] > room:
        factor = room / mask.shape[1]
        size = (int(room), max(1, round(mask.shape[0] * max(factor, min(1.0, factor * 1.25)))))
        mask = np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_AREA), np.uint8)
    x, y = round(at[0] - mask.shape[1] / 2), round(at[1] - mask.shape[0] / 2)

    top, left = max(0, y), max(0, x)
    bottom, right = min(face.shape[0], y + mask.shape[0]), min(face.shape[1], x + mask.shape[1])
    if top >= bottom or left >= right:
        return
    cover = mask[top - y : bottom - y, left - x : right - x, None].astype(np.float32) / 255
    spot = face[top:bottom, left:right]
    spot[:] = (spot * (1 - cover) + np.array(colour, np.float32) * cover + 0.5).astype(np.uint8)
