"""Readings of a strip, and which of several recognisers read it best."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from packsight.worker.networks.base import Image
from packsight.worker.networks.spotters.ppocr.parameters import SPOTTING, ReadingParameters


@dataclass(frozen=True, slots=True)
class Reading:
    """A string and the mean probability of its characters."""

    text: str
    confidence: float
    second: bool = False
    """Whether a second head read it, in letters of its own alphabet."""
    unsure: Reading | None = None
    """What the second head read instead, where it is believed only beside a sure line of its alphabet."""


class Reader(Protocol):
    """Turns strips of text into strings."""

    def read(self, strips: Iterable[Image]) -> Iterator[Reading]:
        """Read strips [48, w, 3] in RGB, in order."""
        ...

    def warm_up(self) -> None:
        """Run every declared width."""
        ...


class Readers:
    """Several recognisers, the one for most scripts first; of each strip the best reading counts."""

    def __init__(self, readers: Sequence[Reader], parameters: ReadingParameters = SPOTTING.readings) -> None:
        self._readers = readers
        self._parameters = parameters

    def read(self, strips: Iterable[Image]) -> Iterator[Reading]:
        """Read strips [48, w, 3] in RGB, in order."""
        kept = list(strips)
        # One network after the other: two at a time would take the same threads from each other.
        columns = [list(reader.read(kept)) for reader in self._readers]
        for strip, *readings in zip(kept, *columns, strict=True):
            yield best(readings, strip.shape[1] / strip.shape[0], self._parameters)

    def warm_up(self) -> None:
        """Run every declared width of all."""
        for reader in self._readers:
            reader.warm_up()


def best(
    readings: Sequence[Reading], aspect: float, parameters: ReadingParameters = SPOTTING.readings
) -> Reading:
    """Choose among readings of one strip, which is `aspect` times as wide as high; of equal ones the first.

    A later reading must be good enough to be kept at all, or it would wipe out what an earlier one read.
    """
    first, *others = readings
    good = [other for other in others if other.confidence >= parameters.min_confidence]
    return max([first, *good], key=lambda reading: worth(reading, aspect, parameters.widest_letter))


def worth(reading: Reading, aspect: float, widest_letter: float = SPOTTING.readings.widest_letter) -> float:
    """Confidence, reduced by the share of the strip that the reading leaves unexplained.

    Confidence alone would choose wrongly: it is the mean over the characters that were read, and a network without a
    script's letters passes over them with a high one. The bundled network reads the line "Увлажняющая маска" as a
    single space (0.89) and "Шампунь 250 мл" as " 25 " (0.98). So a reading is expected to have at least as many
    letters and digits as widest ones fill the strip. The bound is generous: it touches no line that was read whole,
    and among those the confidences decide.
    """
    letters = sum(character.isalnum() for character in reading.text)
    return reading.confidence * min(1.0, letters * widest_letter / max(aspect, widest_letter))
