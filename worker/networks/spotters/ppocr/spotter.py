"""Detector and recogniser together: the lines of a whole batch of photos are read as one stream."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from packsight.shared.contract.outcomes import WordRead
from packsight.shared.vision.models import SpotterDescription
from packsight.worker.networks.base import Enough, Image
from packsight.worker.networks.spotters.ppocr.boxes import Floats
from packsight.worker.networks.spotters.ppocr.crops import reading_order, sideways, strip, strip_width
from packsight.worker.networks.spotters.ppocr.detector import Detector, misses_small_print
from packsight.worker.networks.spotters.ppocr.parameters import (
    SPOTTING,
    ReadingParameters,
    SpottingParameters,
    StripParameters,
)
from packsight.worker.networks.spotters.ppocr.readings import Reader, Reading


@dataclass(slots=True)
class Line:
    """A line of text on a photo, before and after it is read."""

    image: int
    box: Floats
    """[4, 2], from the text's top left."""
    aside: float
    """How far to the left or right its middle lies: 0 in the photo's middle, 1 at its edge."""
    tall: bool
    pixels: Image
    reading: Reading | None = None
    turned: Reading | None = None
    """As read upside down."""

    def prominence(self, middle: float) -> float:
        """How much it catches the eye: large, where height counts twice as much as length, and in the middle."""
        width, height = np.linalg.norm(self.box[1] - self.box[0]), np.linalg.norm(self.box[3] - self.box[0])
        return float(height * width**0.5 * np.exp(-0.5 * (self.aside / middle) ** 2))

    def doubtful(self, doubt: float) -> bool:
        """Read, but with less than this, so that it may be upside down."""
        return self.reading is not None and self.reading.confidence < doubt

    @property
    def group(self) -> tuple[int, bool]:
        """Lines of one photo that run the same way are upright or upside down together, mostly."""
        return self.image, self.tall


@dataclass(slots=True)
class View:
    """A photo as the detector looked at it, and the boxes that it found there."""

    image: int
    pixels: Image
    boxes: Floats
    quarter_turned: bool = False
    """Counter-clockwise."""


class PpOcrSpotter:
    """Reads lines of text, each of them at its own size, so that no photo's words depend on its neighbours."""

    def __init__(
        self,
        description: SpotterDescription,
        detector: Detector,
        recogniser: Reader,
        parameters: SpottingParameters = SPOTTING,
    ) -> None:
        self.description = description
        self._parameters = parameters
        self._detector = detector
        self._recogniser = recogniser

    def spot(self, images: Sequence[Image], enough: Enough | None = None) -> list[list[WordRead]]:
        """Return the lines of each image, of all or as many as are enough."""
        return self.read(self.find(images), len(images), enough)

    def read_at(self, images: Sequence[Image], corners: Sequence[Floats]) -> list[list[WordRead]]:
        """Return what stands in these places of each image, without looking for text."""
        lines = [
            _cut_out(index, image, box.astype(np.float32), tall=False, parameters=self._parameters.strips)
            for index, (image, boxes) in enumerate(zip(images, corners, strict=True))
            for box in boxes
        ]
        self._read(lines)  # which way round they run is known
        return self._told([(line.image, line.reading, line.box) for line in lines if line.reading is not None], len(images))

    def find(self, images: Sequence[Image]) -> list[Line]:
        """Find the lines of all images and cut them out."""
        return list(self._lines(images))

    def read(self, lines: list[Line], images: int, enough: Enough | None = None) -> list[list[WordRead]]:
        """Read the lines of so many images, the most prominent first; returns those of each image in the order of `lines`."""
        rules = self._parameters.readings
        unread: dict[int, list[Line]] = defaultdict(list)
        for line in sorted(lines, key=lambda line: -line.prominence(rules.middle)):
            unread[line.image].append(line)
        done, count = 0, rules.first if enough is not None else len(lines)
        while unread:
            self._read([line for rest in unread.values() for line in rest[:count]])
            unread = {image: rest[count:] for image, rest in unread.items() if rest[count:]}
            if enough is not None and unread:
                words = self._words(lines, images)
                unread = {image: rest for image, rest in unread.items() if not enough(image, words[image])}
            done += count
            count = max(rules.least, done // rules.further)
        return self._words(lines, images)

    def warm_up(self) -> None:
        """Run the common shapes of the detector and every width of the recognisers."""
        self._detector.warm_up()
        self._recogniser.warm_up()

    def _lines(self, images: Sequence[Image]) -> Iterator[Line]:
        lying, small, rules = [], [], self._parameters
        for index, (image, boxes) in enumerate(zip(images, self._detector.detect(images), strict=True)):
            if sideways(boxes, rules.strips) or not len(boxes):  # it often misses lines that run up or down
                lying.append(index)
            elif misses_small_print(image.shape, boxes, rules.detector):
                small.append(View(index, image, boxes))
            else:
                yield from _cut(View(index, image, boxes), rules.strips)
        # The detector knows level lines best: look again with the photo turned counter-clockwise.
        level = [np.ascontiguousarray(np.rot90(images[index])) for index in lying]
        for index, image, boxes in zip(lying, level, self._detector.detect(level), strict=True):
            view = View(index, image, boxes, quarter_turned=True)
            if misses_small_print(image.shape, boxes, rules.detector):
                small.append(view)
            else:
                yield from _cut(view, rules.strips)
        closer = self._detector.look_closer([view.pixels for view in small], [view.boxes for view in small])
        for view, boxes in zip(small, closer, strict=True):
            view.boxes = boxes
            yield from _cut(view, rules.strips)

    def _read(self, lines: list[Line]) -> None:
        # Equal shapes in a row spare the runtime from switching between its plans.
        lines = sorted(lines, key=lambda line: line.pixels.shape[1])
        for line, reading in zip(lines, self._recogniser.read(line.pixels for line in lines), strict=True):
            line.reading = reading

    def _words(self, lines: list[Line], images: int) -> list[list[WordRead]]:
        """What the lines read so far say, each the way round in which its photo's lines are read best."""
        rules = self._parameters.readings
        read = [line for line in lines if line.reading is not None]
        suspects = _perhaps_upside_down(read, rules)
        self._read_turned([line for line in read if line.doubtful(rules.doubt) and line.group in suspects])
        votes: defaultdict[tuple[int, bool], float] = defaultdict(float)
        for line in read:
            if line.doubtful(rules.doubt) and line.reading and line.turned and line.group in suspects:
                votes[line.group] += line.turned.confidence - line.reading.confidence
        self._read_turned([line for line in read if votes[line.group] > 0])
        best: list[tuple[int, Reading, Floats]] = []
        for line in read:
            if line.reading is None:
                continue
            reading, box = line.reading, line.box
            allowance = rules.company if votes[line.group] > 0 else 0.0
            # Lines that were not in doubt are turned with the others only.
            asked = line.doubtful(rules.doubt) or votes[line.group] > 0
            turned = line.turned if line.group in suspects and asked else None
            if turned is not None and turned.confidence + allowance > reading.confidence:
                reading, box = turned, np.roll(box, -2, axis=0)
            best.append((line.image, reading, box))
        return self._told(best, images)

    def _told(self, read: Sequence[tuple[int, Reading, Floats]], images: int) -> list[list[WordRead]]:
        """Lines as they are told, given with their image and box: without those on which nothing stands, or that were read too
        badly.
        """
        least = self._parameters.readings.min_confidence
        # A pack that surely writes an alphabet on one line does so on others.
        second = {image for image, reading, _ in read if reading.second}
        words: list[list[WordRead]] = [[] for _ in range(images)]
        for image, reading, box in read:
            told = reading.unsure if reading.unsure is not None and image in second else reading
            text = told.text.strip()
            if text and told.confidence >= least:
                words[image].append(WordRead(text=text, confidence=told.confidence, box=[(float(x), float(y)) for x, y in box]))
        return words

    def _read_turned(self, lines: Sequence[Line]) -> None:
        lines = [line for line in lines if line.turned is None]
        strips = (np.ascontiguousarray(line.pixels[::-1, ::-1]) for line in lines)
        for line, reading in zip(lines, self._recogniser.read(strips), strict=True):
            line.turned = reading


def _perhaps_upside_down(lines: Sequence[Line], parameters: ReadingParameters) -> set[tuple[int, bool]]:
    """Groups of lines that were read so badly that they may be upside down: a few bad ones among good ones are not."""
    good = Counter(line.group for line in lines if not line.doubtful(parameters.doubt))
    bad = Counter(line.group for line in lines if line.doubtful(parameters.doubt))
    return {group for group, count in bad.items() if good[group] < parameters.outvote or good[group] <= count}


def _cut(view: View, parameters: StripParameters) -> Iterator[Line]:
    """Cut out the lines of a view, with boxes in pixels of the photo as it came."""
    for found, box in zip(view.boxes, reading_order(view.boxes, parameters), strict=True):
        line = _cut_out(view.image, view.pixels, box, tall=bool((found[0] != box[0]).any()), parameters=parameters)
        if view.quarter_turned:
            line.box = np.stack([view.pixels.shape[0] - box[:, 1], box[:, 0]], axis=1)
        yield line


def _cut_out(number: int, image: Image, box: Floats, *, tall: bool, parameters: StripParameters) -> Line:
    """A line of one of the images, by its box from the text's top left on."""
    width = min(parameters.widths[-1], strip_width(box, parameters.height))
    aside = abs(2 * float(box[:, 0].mean()) / image.shape[1] - 1)
    return Line(number, box, aside, tall, strip(image, box, width, parameters))
