"""When the second head is believed: fitted on lines of all scripts, judged on others in fonts that were held out."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from rapidfuzz.distance import Levenshtein
from scipy.optimize import minimize

from packsight.worker.networks.spotters.ppocr.choice import Script, Weights, believed, evidence
from packsight.worker.networks.spotters.ppocr.readings import Reading
from packsight.worker.networks.spotters.ppocr.recogniser import Recogniser
from training.alphabet.alphabets import FOREIGN
from training.alphabet.faces import Face
from training.alphabet.lines import Drawer, Finish
from training.alphabet.texts import Words

KINDS = {"own": 0.36, "latin": 0.34, "number": 0.12, "greek": 0.06, "chinese": 0.07, "japanese": 0.05}
"""What stands on the lines that the choice is fitted on, and how often."""
_WORDS = {"own": "own", "latin": "west", "number": "number"}
FOREIGN_LETTERS = {"greek": FOREIGN[0], "chinese": FOREIGN[5], "japanese": FOREIGN[6]}
"""Scripts that the bundled head reads besides Latin."""
CLEAN = 0.3
"""Share of clean lines among them."""
SHRINKING = 0.002
"""Weight of the squared coefficients: the eight kinds of evidence overlap."""
MOST_GAINED = 10
"""Edits that a line counts at most: a long one that only one head reads is clear anyway."""
CAUTION = 1.0
"""Log odds that must speak for the second head: Greek capitals look like Cyrillic ones, and what was read right must stay so.
It costs nothing in Cyrillic (2,690 lines in fonts that were held out and others)."""


LEAST = 0.85
"""Confidence that the second head must have. On 80 photos of four shops, what it alone read rightly had 0.86 and more; of some
40 Latin lines that it read less well, all but two had less than this."""

COMPANY = 0.75
"""Confidence that it must have on a photo where it is believed of another line: a pack that writes Russian once does so again. On
170 photos of four shops five lines gain by it, all of them Russian; of five that had less, none was read well."""


@dataclass(frozen=True)
class Asked:
    """A line that both heads have read."""

    kind: str
    text: str
    bundled: Reading
    other: Reading
    aspect: float


class OneKind:
    """Texts for `Drawer`, all of one kind."""

    def __init__(self, words: Words, kind: str) -> None:
        self.alphabet, self._words, self._kind = words.alphabet, words, kind

    def line(self, rng: random.Random) -> str:
        """Draw the text of a line."""
        if self._kind in _WORDS:
            return self._words.line(rng, _WORDS[self._kind])
        letters = FOREIGN_LETTERS[self._kind]
        text = "".join(rng.choice(letters) for _ in range(rng.randint(2, 10)))
        return text.upper() if rng.random() < 0.5 else text.lower()


def ask(recogniser: Recogniser, words: Words, fonts: Sequence[Face], count: int, seed: int) -> list[Asked]:
    """Draw lines of all kinds and let both heads read them.

    fonts: kinds that none of them can write are left out.
    """
    asked = []
    for kind, share in KINDS.items():
        able = [face for face in fonts if face.writes(FOREIGN_LETTERS.get(kind, ""))]
        for finish, part in ((Finish.CLEAN, CLEAN), (Finish.HARSH, 1 - CLEAN)) if able else ():
            drawer = Drawer(OneKind(words, kind), able, seed, finish)
            lines = [drawer.line() for _ in range(round(count * share * part))]
            strips = (np.ascontiguousarray(line.pixels[:, :, ::-1]) for line in lines)
            for line, (bundled, other, aspect) in zip(lines, recogniser.readings(strips), strict=True):
                if other is not None:
                    asked.append(Asked(kind, line.text, bundled, other, aspect))
    return asked


def fit(lines: Sequence[Asked], script: Script) -> Weights:
    """Fit the choice: each line counts as much as the readings differ in edits, case and look-alikes aside."""
    lines = [line for line in lines if script.writes(script.in_one_script(line.other.text))]
    gains = np.array([_gain(line, script) for line in lines])
    rows = np.array([evidence(line.bundled, line.other, line.aspect, script) for line in lines])
    middle, spread = rows.mean(0), rows.std(0) + 1e-6
    counted = gains != 0
    x, y = ((rows - middle) / spread)[counted], np.sign(gains[counted])
    weight = np.minimum(np.abs(gains[counted]), MOST_GAINED)

    def loss(parameters: npt.NDArray[np.float64]) -> float:
        sums = parameters[0] + x @ parameters[1:]
        return float((weight * np.logaddexp(0, -y * sums)).sum() / weight.sum() + SHRINKING * (parameters[1:] ** 2).sum())

    found = minimize(loss, np.zeros(x.shape[1] + 1), method="L-BFGS-B").x
    slopes = found[1:] / spread
    bias = float(found[0] - slopes @ middle) - CAUTION
    return Weights(bias=round(bias, 4), evidence=tuple(round(float(one), 4) for one in slopes), least=LEAST, company=COMPANY)


def edits(read: str, text: str, script: Script) -> int:
    """Characters wrong, case, spaces and look-alikes aside: what matching sees."""
    return Levenshtein.distance(_folded(read, script), _folded(text, script))


def judged(lines: Sequence[Asked], script: Script, weights: Weights) -> Iterator[tuple[str, int, float, float, float]]:
    """Kind, lines, and the share of characters wrong by the bundled head, by the believed one, and by the better of the two."""
    for kind in KINDS:
        some = [line for line in lines if line.kind == kind]
        length = sum(len(line.text.replace(" ", "")) for line in some)
        if not length:
            continue
        bundled = [edits(line.bundled.text, line.text, script) for line in some]
        taken = [believed(line.bundled, line.other, line.aspect, script, weights) for line in some]
        chosen = [edits(reading.text, line.text, script) for reading, line in zip(taken, some, strict=True)]
        other = [edits(line.other.text, line.text, script) for line in some]
        yield kind, len(some), sum(bundled) / length, sum(chosen) / length, sum(map(min, bundled, other)) / length


def _gain(line: Asked, script: Script) -> int:
    """Edits that the second head spares; negative where it makes more."""
    return edits(line.bundled.text, line.text, script) - edits(line.other.text, line.text, script)


def _folded(text: str, script: Script) -> str:
    return "".join(script.to_latin.get(letter, letter) for letter in text.casefold() if not letter.isspace()).casefold()
