"""One outcome as a picture: the photo with the words on it and where products are, the nearest catalog photo, candidates and
reason."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from packsight.producer.report import LABELS, Card, Piece, card
from packsight.producer.rows import Row
from packsight.producer.thumbnails import Thumbnail, Thumbnails
from packsight.shared.contract.outcomes import Outcome, Status

WIDTH = 1400
SIDE = 660
"""Largest side of each of the two pictures."""
MARGIN = 28
INK, SOFT, LINE, PAPER, WELL = (22, 25, 31), (92, 101, 115), (226, 229, 234), (255, 255, 255), (238, 240, 244)
AGREES, READ, PLACE = (33, 196, 107), (255, 176, 32), (61, 139, 255)
TONES = {
    Status.FAILED: (192, 38, 55),
    Status.AMBIGUOUS: (168, 98, 0),
    Status.NO_MATCH: SOFT,
    Status.MATCHED: (20, 128, 74),
}

Pixels = npt.NDArray[np.uint8]
"""RGB, [height, width, 3]."""
Colour = tuple[int, int, int]
Outline = tuple[str, Colour]
"""Corners as SVG writes them, and what it is drawn in."""


def write_png(path: Path, row: Row, thumbnails: Thumbnails) -> None:
    """Draw an outcome; missing pictures are left empty."""
    Image.fromarray(drawing(card(row, thumbnails))).save(path, "PNG")


def drawing(shown: Card) -> Pixels:
    """The picture of a card."""
    outcome, sheet = shown.outcome, _Sheet()
    sheet.picture(shown.picture, MARGIN, _outlines(shown), outcome.size)
    first = shown.candidates[0] if shown.candidates else None
    nearest = next((picture for style, picture in shown.styles if first and style == first.style), None)
    sheet.picture(nearest, WIDTH - MARGIN - SIDE, (), None)
    sheet.y = MARGIN + SIDE + 16
    sheet.text(shown.name, 18, SOFT)
    sheet.text(_headline(outcome), 30, TONES[outcome.status], weight=600)
    for other in outcome.products[1:]:
        sheet.text(f"{other.product.name}   {100 * other.confidence:.0f} %", 24, TONES[outcome.status])
    sheet.text(outcome.failure.message if outcome.failure else outcome.reason, 22, INK)
    if outcome.failure:
        sheet.text(outcome.failure.remedy, 20, SOFT)
    if shown.lines:
        sheet.pieces([(piece.text, piece.agrees) for line in shown.lines for piece in [*line.pieces, Piece("   ", agrees=False)]])
    if shown.candidates:
        sheet.table(
            ("Product", "Confidence", "Looks", "Words", "Points", "Agreeing words"),
            [
                (
                    candidate.product.name,
                    f"{candidate.confidence:.2f}",
                    "–" if candidate.evidence.visual_similarity is None else f"{candidate.evidence.visual_similarity:.2f}",
                    f"{candidate.evidence.word_score:.2f}",
                    "–" if candidate.evidence.inliers is None else str(candidate.evidence.inliers),
                    ", ".join(word.read for word in candidate.evidence.words),
                )
                for candidate in (one.candidate for one in shown.candidates)
            ],
        )
    return sheet.done()


def _outlines(shown: Card) -> list[Outline]:
    lines = [(line.points, AGREES if line.agrees else READ) for line in shown.lines]
    return [*lines, *((region.points, PLACE) for region in shown.regions)]


def _headline(outcome: Outcome) -> str:
    if not outcome.candidates or outcome.status not in {Status.MATCHED, Status.AMBIGUOUS}:
        return LABELS[outcome.status]
    doubt = "" if outcome.status is Status.MATCHED else "?"
    return f"{outcome.candidates[0].product.name}{doubt}   {100 * outcome.confidence:.0f} %"


class _Sheet:
    """A page that is written from top to bottom."""

    def __init__(self) -> None:
        self.y = MARGIN
        self._pixels = np.full((3 * WIDTH, WIDTH, 3), PAPER, np.uint8)
        # OpenCV's own face, so that the drawing needs no fonts of the system and has Latin and Cyrillic.
        self._face = cv2.FontFace("sans")

    def done(self) -> Pixels:
        """The page down to what was written last."""
        return np.ascontiguousarray(self._pixels[: min(self.y + MARGIN, len(self._pixels))])

    def picture(
        self, thumbnail: Thumbnail | None, left: int, outlines: Sequence[Outline], size: tuple[int, int] | None
    ) -> None:
        """Draw a picture in the middle of its well, with outlines in pixels of `size`."""
        top = MARGIN
        self._pixels[top : top + SIDE, left : left + SIDE] = WELL
        if thumbnail is None:
            return
        pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(thumbnail.uri.partition(",")[2]))).convert("RGB"))
        scale = SIDE / max(pixels.shape[:2])
        width, height = (max(1, round(scale * side)) for side in (pixels.shape[1], pixels.shape[0]))
        pixels = np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
        for points, colour in outlines if size else ():
            corners = [[float(value) for value in corner.split(",")] for corner in points.split()]
            if size and corners:
                placed = np.array(corners) * (width / size[0], height / size[1])
                cv2.polylines(pixels, [np.round(placed).astype(np.int32)], True, colour, 2, cv2.LINE_AA)
        x, y = left + (SIDE - width) // 2, top + (SIDE - height) // 2
        self._pixels[y : y + height, x : x + width] = pixels

    def text(self, text: str, size: int, colour: Colour, *, weight: int = 400) -> None:
        """Write a paragraph."""
        for line in self._wrapped(text, size, WIDTH - 2 * MARGIN, weight):
            self._line(line, MARGIN, size, colour, weight)
            self.y += round(1.45 * size)
        self.y += 6

    def pieces(self, pieces: Sequence[tuple[str, bool]], size: int = 19) -> None:
        """Write words one after the other, marking those that agree."""
        x = MARGIN
        for text, agrees in pieces:
            width = self._width(text, size, 400)
            if x + width > WIDTH - MARGIN and x > MARGIN:
                x, self.y = MARGIN, self.y + round(1.5 * size)
            if agrees:
                self._pixels[self.y : self.y + round(1.3 * size), x : x + width + 2] = (211, 242, 223)
            self._line(text, x, size, (12, 85, 48) if agrees else SOFT, 400)
            x += width + 2
        self.y += round(2 * size)

    def table(self, headings: Sequence[str], rows: Sequence[Sequence[str]], size: int = 18) -> None:
        """Write a table; its first and last column are cut to their width."""
        columns = (MARGIN, 640, 770, 860, 950, 1040)
        for number, row in enumerate((headings, *rows)):
            if self.y + 2 * size > len(self._pixels):
                return
            for left, right, text in zip(columns, (*columns[1:], WIDTH - MARGIN), row, strict=True):
                self._line(self._cut(text, size, right - left - 14), left, size, INK if number else SOFT, 400)
            self.y += round(1.5 * size)
            self._pixels[self.y - 4, MARGIN : WIDTH - MARGIN] = LINE

    def _line(self, text: str, x: int, size: int, colour: Colour, weight: int) -> None:
        if self.y + size < len(self._pixels) and text.strip():
            cv2.putText(self._pixels, text, (x, self.y + size), colour, self._face, size, weight)

    def _width(self, text: str, size: int, weight: int) -> int:
        # Spaces at the end have no ink, but their width counts between words.
        return int(cv2.getTextSize((WIDTH, WIDTH), f"{text}.", (0, 0), self._face, size, weight)[2]) - size // 4

    def _wrapped(self, text: str, size: int, width: int, weight: int) -> list[str]:
        lines = [""]
        for word in text.split():
            longer = f"{lines[-1]} {word}".strip()
            if lines[-1] and self._width(longer, size, weight) > width:
                lines.append(word)
            else:
                lines[-1] = longer
        return [self._cut(line, size, width) for line in lines]

    def _cut(self, text: str, size: int, width: int) -> str:
        if self._width(text, size, 400) <= width:
            return text
        while text and self._width(f"{text}…", size, 400) > width:
            text = text[:-1]
        return f"{text}…"
