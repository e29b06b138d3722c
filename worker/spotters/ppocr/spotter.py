"""Detector and recogniser together: the lines of a whole batch of photos are read as one stream."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from shared.models import SpotterDescription
from shared.outcomes import WordRead
from worker.networks import Image
from worker.spotters.ppocr.boxes import Floats
from worker.spotters.ppocr.crops import reading_order, strip, strip_width
from worker.spotters.ppocr.detector import Detector
from worker.spotters.ppocr.recogniser import HEIGHT, WIDTHS, Reading, Recogniser

MIN_CONFIDENCE = 0.5
"""Lines read with less are dropped."""
DOUBT = 0.8
"""Lines read with less are read upside down too."""


UNREAD = Reading("", 0.0)


@dataclass(slots=True)
class _Line:
    image: int
    box: Floats
    """[4, 2], from the text's top left."""
    pixels: Image
    reading: Reading = UNREAD


class PpOcrSpotter:
    """Reads lines of text, each of them at its own size, so that no photo's words depend on its neighbours."""

    def __init__(self, description: SpotterDescription, detector: Detector, recogniser: Recogniser) -> None:
        self.description = description
        self._detector = detector
        self._recogniser = recogniser

    def spot(self, images: Sequence[Image]) -> list[list[WordRead]]:
        """Return the lines of each image."""
        lines = list(self._lines(images))
        self._read(lines)
        words: list[list[WordRead]] = [[] for _ in images]
        for line in lines:
            text, confidence = line.reading.text.strip(), line.reading.confidence
            if text and confidence >= MIN_CONFIDENCE:
                box = [(float(x), float(y)) for x, y in line.box]
                words[line.image].append(WordRead(text=text, confidence=confidence, box=box))
        return words

    def warm_up(self) -> None:
        """Run the common shapes of the detector and every width of the recogniser."""
        self._detector.warm_up()
        self._recogniser.warm_up()

    def _lines(self, images: Sequence[Image]) -> Iterator[_Line]:
        for index, (image, boxes) in enumerate(zip(images, self._detector.detect(images), strict=True)):
            for box in reading_order(boxes):
                width = min(WIDTHS[-1], strip_width(box, HEIGHT))
                yield _Line(index, box, strip(image, box, HEIGHT, width))

    def _read(self, lines: list[_Line]) -> None:
        """Read all lines, and those in doubt once more upside down."""
        # Equal shapes in a row spare the runtime from switching between its plans.
        ordered = sorted(lines, key=lambda line: line.pixels.shape[1])
        for line, reading in zip(ordered, self._recogniser.read(line.pixels for line in ordered), strict=True):
            line.reading = reading
        doubtful = [line for line in ordered if line.reading.confidence < DOUBT]
        turned = self._recogniser.read(np.ascontiguousarray(line.pixels[::-1, ::-1]) for line in doubtful)
        for line, reading in zip(doubtful, turned, strict=True):
            if reading.confidence > line.reading.confidence:
                line.reading = reading
                line.box = np.roll(line.box, -2, axis=0)
