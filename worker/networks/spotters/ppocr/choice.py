"""Which of a line's two readings is believed: the bundled head's or the second one's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from packsight.shared.vision.scripts import script as script_of
from packsight.worker.networks.spotters.ppocr.readings import Reading, worth

UNKNOWN = "\N{REPLACEMENT CHARACTER}"
"""How a head says that a letter is of no alphabet of its own."""
SHORTEST = 3
"""Letters of a word from which most of them decide its script."""
SURE = 1e-4
"""Confidences are kept this far from 0 and 1, whose odds have no number."""


class Weights(BaseModel):
    """When the second head is believed: a logistic regression over `evidence`, fitted where one of the readings was nearer to
    what stands there, and confidences. They lie in the head's file, whose hash the fingerprint has.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    bias: float
    evidence: tuple[float, ...] = Field(min_length=8, max_length=8)
    least: float = Field(ge=0, le=1)
    """Confidence that it must have at least of a line alone."""
    company: float = Field(1.0, ge=0, le=1)
    """Confidence of a line on a photo where it is believed of another; a file that names none was made before this was asked."""


@dataclass(frozen=True)
class Script:
    """What a head knows of its letters.

    letters: of its own alphabet; twins: pairs of a letter of its own and a Latin one of the same shape.
    """

    letters: frozenset[str]
    twins: tuple[tuple[str, str], ...]

    @cached_property
    def from_latin(self) -> Mapping[str, str]:
        """Latin letter to the own one of its shape."""
        return {latin: own for own, latin in reversed(self.twins)}

    @cached_property
    def to_latin(self) -> Mapping[str, str]:
        """Own letter to the Latin one of its shape."""
        return dict(reversed(self.twins))

    def in_one_script(self, text: str) -> str:
        """Write each word in one script where its shapes allow it: labels mix scripts between words, seldom within one.

        A word stays as it is where a letter stands in the way, and where it is too short to tell: «mл» is «мл», not «тл».
        """
        return " ".join(self._word(word) for word in text.split(" "))

    def writes(self, text: str) -> bool:
        """Tell whether it is in letters of its own: a single one among Latin words is mostly a sign, as the «℮» is."""
        own = [sum(letter in self.letters for letter in word) for word in text.split()]
        latin = [sum(letter.isascii() and letter.isalpha() for letter in word) for word in text.split()]
        return max(own, default=0) > (1 if max(latin, default=0) > 1 else 0)

    def is_mixed(self, text: str) -> bool:
        """Tell whether a word has letters of its own and Latin ones."""
        words = ({letter in self.letters for letter in word if letter.isalpha()} for word in text.split())
        return any(len(scripts) > 1 for scripts in words)

    def _word(self, word: str) -> str:
        own = [letter for letter in word if letter in self.letters]
        latin = [letter for letter in word if letter.isascii() and letter.isalpha()]
        if not own or not latin or len(own) + len(latin) < SHORTEST:
            return word
        to_own = all(letter in self.from_latin for letter in latin)
        to_latin = all(letter in self.to_latin for letter in own)
        # With letters in the way of the one, it is the other; with none, most letters decide.
        if to_own and (not to_latin or len(own) >= len(latin)):
            return "".join(self.from_latin.get(letter, letter) for letter in word)
        return "".join(self.to_latin.get(letter, letter) for letter in word) if to_latin else word


def evidence(bundled: Reading, other: Reading, aspect: float, script: Script) -> npt.NDArray[np.float64]:
    """What speaks for the second head's reading of a strip that is `aspect` times as wide as high: eight numbers.

    The odds of both confidences, how many letters and digits each put into a strip of that width, the share of own letters in
    the second reading, how many unknown ones it has (two are as many as more), the share of letters that are not Latin in the
    first, and whether both read the same in look-alikes.
    """
    first = [letter for letter in bundled.text if letter.isalnum()]
    second = [letter for letter in other.text if letter.isalnum() or letter == UNKNOWN]
    own = sum(letter in script.letters for letter in second)
    return np.array(
        [
            _odds(bundled.confidence),
            _odds(other.confidence),
            min(2.0, len(first) / max(aspect, 0.5)),
            min(2.0, len(second) / max(aspect, 0.5)),
            own / max(1, len(second)),
            min(2, sum(letter == UNKNOWN for letter in second)),
            sum(script_of(letter) not in ("", "LATIN") for letter in first) / max(1, len(first)),
            float(_shape(bundled.text, script) == _shape(other.text, script)),
        ]
    )


def believed(bundled: Reading, other: Reading, aspect: float, script: Script, weights: Weights) -> Reading:
    """The reading that is probably nearer to what stands there.

    The bundled head has seen photos, the second one drawn lines. So the former is believed where the latter
    writes no letters of its own, is not sure, is less sure of less, or sees two scripts in a word: on photos, that is how it
    misreads Latin. Where it lacks nothing but sureness, what it read goes along as `unsure`.
    """
    other = Reading(script.in_one_script(other.text), other.confidence)
    if not script.writes(other.text) or script.is_mixed(other.text) or worth(other, aspect) < worth(bundled, aspect):
        return bundled
    odds = weights.bias + float(evidence(bundled, other, aspect, script) @ np.array(weights.evidence))
    if odds <= 0:
        return bundled
    second = Reading(other.text.replace(UNKNOWN, ""), other.confidence, second=True)
    if other.confidence >= weights.least:
        return second
    return replace(bundled, unsure=second) if other.confidence >= weights.company else bundled


def _odds(confidence: float) -> float:
    kept = min(1 - SURE, max(SURE, confidence))
    return float(np.log(kept / (1 - kept)))


def _shape(text: str, script: Script) -> str:
    return "".join(script.to_latin.get(letter, letter) for letter in text if not letter.isspace()).casefold()
