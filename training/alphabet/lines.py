"""Lines of text as the recogniser sees them: drawn in a font, lettered on a ground, bent, blurred, noisy, compressed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from training.alphabet.alphabets import Alphabet
from training.alphabet.faces import Face, at_size, by_family

HEIGHT = 48
"""Pixels of a strip, as the recogniser takes them."""
WIDEST = 800
"""Pixels of the widest strip; longer lines are drawn again."""
LOWEST = 11
"""Pixels of the lowest line that is enlarged to a strip: lower ones nobody reads."""
CONTRAST = 35
"""Least difference of grey between letters and ground."""

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Line:
    """A strip [48, w, 3] in BGR and what stands on it."""

    pixels: Pixels
    text: str


class Finish(StrEnum):
    """What happens to a line between the printer and the recogniser."""

    CLEAN = "clean"
    """Nothing but the scaling to a strip."""
    DEGRADED = "degraded"
    """Bent, reduced, blurred, noisy, compressed."""
    HARSH = "harsh"
    """Sheared, shaded, ruled, moved and with neighbours that reach in besides: what training sees."""


class Texts(Protocol):
    """What draws the texts of lines."""

    @property
    def alphabet(self) -> Alphabet: ...  # noqa: D102

    def line(self, rng: random.Random, /) -> str: ...  # noqa: D102


class Drawer:
    """Draws lines in a set of fonts; equal seeds give equal lines.

    faces: at least one must be able to write the alphabet.
    """

    def __init__(self, words: Texts, faces: Sequence[Face], seed: int, finish: Finish = Finish.HARSH) -> None:
        self._words = words
        self._rng = random.Random(seed)
        self._numbers = np.random.default_rng(seed)
        self._clean, self._harsh = finish is Finish.CLEAN, finish is Finish.HARSH
        own = frozenset(words.alphabet.letters)
        families = by_family(faces)
        # Families that lack the alphabet teach no more than what is Latin, and there are as many of them.
        self._families = [
            ([face.weight for face in family], family, 1.0 if family[0].writes(own) else 0.15) for family in families.values()
        ]
        self._odds = [odds * max(weights) for weights, _, odds in self._families]

    def line(self) -> Line:
        """Draw a line."""
        while True:
            text = self._words.line(self._rng)
            face = self._face()
            if not text or not face.writes(text):
                continue
            if face.capitals:
                text = text.upper()
            pixels = self._draw(text, face)
            if pixels is not None:
                return Line(pixels, text)

    def _face(self) -> Face:
        weights, family, _ = self._rng.choices(self._families, self._odds)[0]
        return self._rng.choices(family, weights)[0]

    def _draw(self, text: str, face: Face) -> Pixels | None:
        rng = self._rng
        mask = self._mask(text, face)
        if mask is None:
            return None
        pixels = self._coloured(mask)
        if pixels is None:
            return None
        if not self._clean:
            pixels = self._bent(pixels)
            scale = rng.uniform(0.28, 1.0)
            height, width = (max(8, int(side * scale)) for side in pixels.shape[:2])
            if height < LOWEST:
                return None
            reduced = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
            pixels = self._photographed(reduced)  # type: ignore[arg-type]
        width = max(16, round(pixels.shape[1] * HEIGHT / pixels.shape[0]))
        if width > WIDEST:
            return None
        how = cv2.INTER_AREA if pixels.shape[0] > HEIGHT else cv2.INTER_LINEAR
        return cv2.resize(pixels, (width, HEIGHT), interpolation=how)  # type: ignore[return-value]

    def _mask(self, text: str, face: Face) -> Pixels | None:
        """The letters' ink [h, w] with the margins that a detector leaves, which are uneven."""
        rng = self._rng
        size = rng.randint(24, 60)
        try:
            font = at_size(face.path, size)
            left, top, right, bottom = font.getbbox(text)
        except OSError:
            return None
        spacing = rng.uniform(0.02, 0.3) * size if rng.random() < 0.15 else 0.0
        width = round(sum(font.getlength(one) + spacing for one in text)) if spacing else round(right - left)
        height = round(bottom - top)
        if width < 6 or height < 5:
            return None
        sides, above, below = (round(size * rng.uniform(low, high)) for low, high in ((0.08, 0.4), (0.04, 0.32), (0.04, 0.32)))
        # A line of small letters without strokes above and below is boxed lower than its font is high, but not much lower.
        above += max(0, (round(0.55 * size) - height) // 2)
        canvas = Image.new("L", (width + 2 * sides, height + above + below), 0)
        pen = ImageDraw.Draw(canvas)
        if spacing:
            x = float(sides)
            for one in text:
                pen.text((x, above - top), one, 255, font=font)
                x += font.getlength(one) + spacing
        else:
            pen.text((sides - left, above - top), text, 255, font=font, stroke_width=1 if rng.random() < 0.08 else 0)
        mask = np.array(canvas)
        if self._harsh and rng.random() < 0.08:
            # What stands above or below and reaches into the box.
            shift = rng.choice((-1, 1)) * round(mask.shape[0] * rng.uniform(0.75, 0.95))
            mask = np.maximum(mask, _shifted(mask, shift, rng.randint(-20, 20)))
        return mask

    def _coloured(self, mask: Pixels) -> Pixels | None:
        rng, numbers = self._rng, self._numbers
        height, width = mask.shape
        first = numbers.integers(0, 256, 3).astype(np.float32)
        if rng.random() < 0.35:
            first[:] = rng.choice((rng.uniform(0, 50), rng.uniform(205, 255)))
        second = np.clip(first + numbers.normal(0, 35, 3), 0, 255).astype(np.float32)
        across = np.linspace(0, rng.random(), width, dtype=np.float32)
        down = np.linspace(0, rng.random(), height, dtype=np.float32)
        ground = first + (second - first) * ((across[None, :] + down[:, None]) / 2)[..., None]
        if rng.random() < 0.3:
            coarse = (max(2, height // rng.randint(3, 12)), max(2, width // rng.randint(3, 12)), 3)
            ground += cv2.resize(numbers.normal(0, rng.uniform(4, 22), coarse).astype(np.float32), (width, height))
        ink = numbers.integers(0, 256, 3).astype(np.float32)
        if rng.random() < 0.3:
            ink[:] = rng.choice((rng.uniform(0, 40), rng.uniform(215, 255)))
        light = float(ground.mean())
        if abs(float(ink.mean()) - light) < 60:
            ink = np.clip(ink + (110 if light < 128 else -110), 0, 255)
        if abs(float(ink.mean()) - light) < CONTRAST:
            return None
        cover = mask.astype(np.float32)[..., None] / 255
        if not self._clean:
            cover *= rng.uniform(0.75, 1.0)
            if self._harsh and rng.random() < 0.06:
                shadow = _shifted(mask, rng.randint(1, 3), rng.randint(-3, 3)).astype(np.float32)[..., None] / 255
                ground *= 1 - shadow * rng.uniform(0.2, 0.6)
            if self._harsh and rng.random() < 0.08:
                row = rng.choice((rng.randint(0, height // 8), rng.randint(height - height // 8 - 1, height - 1)))
                ground[row : row + rng.randint(1, 3)] = ink
        return np.clip(ground * (1 - cover) + ink * cover, 0, 255).astype(np.uint8)

    def _bent(self, pixels: Pixels) -> Pixels:
        rng = self._rng
        height, width = pixels.shape[:2]
        corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
        moved = corners + self._numbers.uniform(-1, 1, (4, 2)).astype(np.float32) * (rng.uniform(0, 0.1) * height)
        if self._harsh and rng.random() < 0.15:
            moved += np.array([[1, 0], [1, 0], [-1, 0], [-1, 0]], np.float32) * (rng.uniform(-0.15, 0.15) * height)
        transform = cv2.getPerspectiveTransform(corners, moved.astype(np.float32))
        bent = cv2.warpPerspective(pixels, transform, (width, height), borderMode=cv2.BORDER_REPLICATE)
        if rng.random() < 0.25:
            down, across = np.mgrid[0:height, 0:width].astype(np.float32)
            wave = rng.uniform(-0.12, 0.12) * height * np.sin(np.pi * across / width)
            bent = cv2.remap(bent, across, (down + wave).astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return bent  # type: ignore[return-value]

    def _photographed(self, pixels: Pixels) -> Pixels:
        rng, numbers = self._rng, self._numbers
        if rng.random() < 0.4:
            pixels = cv2.GaussianBlur(pixels, (0, 0), rng.uniform(0.3, 1.3))  # type: ignore[assignment]
        if self._harsh and rng.random() < 0.06:
            length = rng.randint(2, 4)
            kernel = np.zeros((length, length), np.float32)
            kernel[length // 2] = 1 / length
            pixels = cv2.filter2D(pixels, -1, kernel if rng.random() < 0.7 else kernel.T)  # type: ignore[assignment]
        if rng.random() < 0.5:
            noise = numbers.standard_normal(pixels.shape, np.float32) * rng.uniform(2, 14)
            pixels = np.clip(pixels + noise, 0, 255).astype(np.uint8)
        if rng.random() < 0.5:
            packed = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, rng.randint(25, 90)])[1]
            pixels = cv2.imdecode(packed, cv2.IMREAD_COLOR)  # type: ignore[assignment]
        return pixels


def _shifted(mask: Pixels, down: int, right: int) -> Pixels:
    """The mask moved by pixels, empty where nothing comes from."""
    transform = np.array([[1, 0, right], [0, 1, down]], np.float32)
    return cv2.warpAffine(mask, transform, mask.shape[::-1], borderValue=(0,))  # type: ignore[return-value]
