"""Every number that decides which lines are found and how they are read, as values; they name the spotter.

Where a reason names neither a source nor a measurement, the number was chosen by hand, and all that is said is what it does.
"""

from __future__ import annotations

from dataclasses import dataclass

Shape = tuple[int, int]
"""Height and width in pixels, or rows and columns."""


@dataclass(frozen=True)
class BoxParameters:
    """From a probability map to boxes (boxes.py). All but `most` are defaults of RapidOCR, whose networks these are."""

    binary: float = 0.3
    """Probability from which a pixel of the map is text."""
    score: float = 0.5
    """Mean probability inside a box below which it is dropped."""
    unclip: float = 1.6
    """The network marks a shrunken core of each line; a box grows by area × unclip / perimeter on every side."""
    dilation: int = 2
    """Pixels of the map by which cores are widened, so that letters hold together."""
    min_side: float = 3.0
    """Pixels of the map; shorter cores are noise."""
    most: int = 300
    """Boxes per photo; a page of print must not hold up a batch."""


@dataclass(frozen=True)
class DetectorParameters:
    """In what size photos are looked at, and which of them twice (detector.py)."""

    shapes: tuple[Shape, ...] = ((640, 640), (480, 640), (640, 480), (320, 640), (640, 320))
    """What the network sees. Few and fixed: each new shape would cost memory that never comes back."""
    enlarged: tuple[Shape, ...] = ((736, 736), (640, 832), (832, 640))
    """The same for small photos, whose blurred letters it finds only when they are larger."""
    small: int = 600
    """Pixels of the longer side below which a photo is small."""
    reduced: float = 0.5
    """Scale from which on downwards a photo loses so much that a closer look can find more."""
    small_line: float = 17.0
    """Height of boxes in the network's pixels; where most are lower, there will be some that it could not see."""
    grids: tuple[Shape, ...] = ((1, 2), (2, 1), (1, 3), (3, 1), (2, 2), (1, 4), (4, 1))
    """Tiles of a closer look: at most four, which bounds its price."""
    good_scale: float = 0.9
    """Part of the best grid's scale from which a grid of fewer tiles is as good."""
    margin: float = 2.0
    """Pixels of the network from a tile's edge within which a box is taken for cut."""
    padding: int = 128
    """Grey level beside a photo: next to nothing after normalisation."""


@dataclass(frozen=True)
class TileParameters:
    """One set of boxes out of two looks (tiles.py)."""

    overlap: float = 0.12
    """Share of a tile's side that it has in common with the next one, so that a short line at the seam is whole in one."""
    same: float = 0.5
    """Share of a box inside others from which it is the same text."""


@dataclass(frozen=True)
class StripParameters:
    """Strips of text as the recogniser sees them (crops.py, recogniser.py)."""

    height: int = 48
    """Pixels: what PP-OCR's recognisers take."""
    widths: tuple[int, ...] = (64, 96, 128, 160, 192, 256, 320, 400, 512, 640, 800)
    """Declared widths: a strip is padded to the next one, a longer one squeezed into the last."""
    padding: int = 128
    """Grey level beside a strip: next to nothing after normalisation."""
    tall: float = 1.5
    """Boxes higher than this many widths hold a line that runs down the pack: RapidOCR's default."""
    sideways_lines: int = 3
    """Lines from which a photo may be taken to lie on its side."""
    sideways_share: float = 2 / 3
    """Share of them that run up or down then."""
    max_shrink: float = 2.0
    """Factor above which text is brought near its final size first, since interpolation looks at four pixels only."""
    first_size: float = 1.5
    """Times the final size to which it is brought."""
    surroundings: int = 2
    """Pixels around the box that are cut out with it for that."""


@dataclass(frozen=True)
class ReadingParameters:
    """Which reading of a line counts, and which lines are read (readings.py, spotter.py)."""

    min_confidence: float = 0.5
    """Lines read with less are dropped: RapidOCR's default."""
    widest_letter: float = 1.0
    """Width of the space that a letter takes at most, as a multiple of the strip's height. Printed letters take half of
    it or less, spaced ones up to it."""
    doubt: float = 0.8
    """Lines read with less are read upside down too, unless most lines beside them were read well."""
    outvote: int = 2
    """Lines read well from which they can outvote others."""
    company: float = 0.1
    """Confidence that a line upside down may lack where its photo's other lines are upside down."""
    middle: float = 0.35
    """How far beside a photo's middle, in half widths, lines begin to be read later: what a photo is of stands in its middle,
    neighbours beside it. Standard deviation of a normal curve."""
    first: int = 3
    """Lines of a photo that are read before anyone is asked whether they are enough."""
    least: int = 2
    """Lines that are then read from one question to the next at least: a question costs 4 ms of a processor among 10,000 photos.
    Beside 1 and 4, with 2 and 3 photos of drinks and cartons of which lines are read cost 3 and
    4 % less of the processor, and none of 127 is answered otherwise (docs/decisions/30-enough-read.md)."""
    further: int = 3
    """Later a question after each such part of those read."""


@dataclass(frozen=True)
class SpottingParameters:
    """All that decides between a photo's pixels and its lines, beside the networks."""

    boxes: BoxParameters = BoxParameters()
    detector: DetectorParameters = DetectorParameters()
    tiles: TileParameters = TileParameters()
    strips: StripParameters = StripParameters()
    readings: ReadingParameters = ReadingParameters()


SPOTTING = SpottingParameters()
