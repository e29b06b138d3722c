"""Texts of lines as labels print them."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from training.alphabet.alphabets import FOREIGN, LATIN, WESTERN, Alphabet
from training.alphabet.dictionaries import FOLDER, Dictionary, read

OWN, WEST, MADE_UP, NUMBER, ALIEN = 0.70, 0.17, 0.05, 0.06, 0.02
"""What a line is mostly written in: the alphabet's words, Latin ones, letters without sense as in brands and codes, numbers,
letters of other scripts."""
MIXED = 0.12
"""Words of a line that come from another of these kinds: «крем Nivea 50 мл»."""
WORDS = (1, 1, 1, 1, 2, 2, 2, 3, 3, 4, 5)
LONGEST = 44
"""Characters of a line: what fits the widest strip."""
UNITS = ("ml", "g", "kg", "l", "mg", "cm", "mm", "oz", "fl oz", "SPF", "%", "pcs", "°C", "kcal")
AMOUNTS = (5, 10, 15, 20, 25, 30, 40, 50, 75, 100, 125, 150, 200, 250, 300, 400, 500, 750, 1000)
JOINTS = (" - ", "-", "/", ", ", ",", " & ", " | ", " – ")
MARKS = (".", ",", "!", ":", ";", "?", "…", "-", "™", "®")


@dataclass(frozen=True)
class Words:
    """Dictionaries of an alphabet, with how often each is drawn."""

    alphabet: Alphabet
    own: Sequence[Dictionary]
    own_weights: Sequence[float]
    western: Sequence[Dictionary]
    western_weights: Sequence[float]

    @classmethod
    def of(cls, alphabet: Alphabet, folder: Path = FOLDER) -> Words:
        """Read the dictionaries of an alphabet from a folder; raises as `dictionaries.read`."""
        letters = frozenset(alphabet.letters + "-'’")
        latin = frozenset(alphabet.characters) - frozenset(alphabet.letters)
        own = [read(folder / file, letters) for file in alphabet.languages]
        western = [read(folder / file, latin) for file in WESTERN]
        return cls(alphabet, own, _cumulated(alphabet.languages), western, _cumulated(WESTERN))

    def line(self, rng: random.Random, only: str = "") -> str:
        """Draw the text of a line; only: the one kind that it is made of (`own`, `west`, `number`)."""
        kinds, weights = ("own", "west", "made-up", "number", "alien"), (OWN, WEST, MADE_UP, NUMBER, ALIEN)
        kind = only or rng.choices(kinds, weights)[0]
        # One language a line, as on labels.
        own = rng.choices(self.own, cum_weights=self.own_weights)[0]
        west = rng.choices(self.western, cum_weights=self.western_weights)[0]
        drawn = [rng.choices(kinds, weights)[0] if not only and rng.random() < MIXED else kind for _ in range(rng.choice(WORDS))]
        words = [own.word(rng) if one == "own" else west.word(rng) if one == "west" else self._word(one, rng) for one in drawn]
        return _decorated(_cased(words, rng), rng)[:LONGEST].strip()

    def _word(self, kind: str, rng: random.Random) -> str:
        if kind == "alien":
            letters = rng.choice(FOREIGN)
            return "".join(rng.choice(letters) for _ in range(rng.randint(2, 7)))
        if kind == "number":
            return self._number(rng)
        letters = self.alphabet.letters if rng.random() < 0.6 else LATIN
        return "".join(rng.choice(letters) for _ in range(rng.randint(1, 8)))

    def _number(self, rng: random.Random) -> str:
        unit = rng.choice(self.alphabet.units if self.alphabet.units and rng.random() < 0.7 else UNITS)
        space = " " if rng.random() < 0.6 else ""
        return rng.choice(
            (
                f"{rng.choice(AMOUNTS)}{space}{unit}",
                f"{rng.randint(1, 999)}{space}{unit}",
                f"{rng.randint(0, 9)}{rng.choice(',.')}{rng.randint(0, 99)}{space}{unit}",
                f"{rng.randint(1, 24)}{rng.choice(('x', '×', 'х', ' x '))}{rng.randint(1, 999)} {unit}",
                f"{rng.choice('+-–')}{rng.randint(1, 40)} {unit}",
                f"{rng.randint(1, 100)}%",
                f"№{space}{rng.randint(1, 999)}",
                f"{rng.randint(1, 31):02}.{rng.randint(1, 12):02}.{rng.randint(2015, 2035)}",
                "".join(rng.choice("0123456789") for _ in range(rng.randint(3, 13))),
            )
        )


def _cumulated(weights: Mapping[str, float]) -> list[float]:
    return list(accumulate(weights.values()))


def _cased(words: Sequence[str], rng: random.Random) -> str:
    draw = rng.random()
    if draw < 0.42:
        return " ".join(words).upper()
    if draw < 0.58:
        return " ".join(word[:1].upper() + word[1:] for word in words)
    if draw < 0.76:
        text = " ".join(words)
        return text[:1].upper() + text[1:]
    return " ".join(words)


def _decorated(text: str, rng: random.Random) -> str:
    frames = ("{}" + rng.choice(MARKS), "«{}»", '"{}"', "({})", "• {}", "{}")
    framed = rng.choices(frames, (0.15, 0.04, 0.03, 0.04, 0.03, 0.71))[0].format(text)
    return framed.replace(" ", rng.choice(JOINTS), 1) if rng.random() < 0.05 else framed
