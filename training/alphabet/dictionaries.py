"""Words with their endings, from the dictionaries of spelling checkers."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

FOLDER = Path("/usr/share/hunspell")


@dataclass(frozen=True)
class Ending:
    """One rule of a suffix class: `strip` goes, `add` comes, where the word ends as `fits` says."""

    strip: str
    add: str
    fits: re.Pattern[str]


@dataclass(frozen=True)
class Dictionary:
    """Words of one language, and what they can end in."""

    words: Sequence[tuple[str, str]]
    """Word and its flags."""
    endings: dict[str, Sequence[Ending]] = field(default_factory=dict)

    def word(self, rng: random.Random) -> str:
        """Draw a word, in half of the cases with an ending if it can have one."""
        word, flags = rng.choice(self.words)
        known = [flag for flag in flags if flag in self.endings]
        if not known or rng.random() < 0.5:
            return word
        ending = rng.choice(self.endings[rng.choice(known)])
        if not ending.fits.search(word) or not word.endswith(ending.strip):
            return word
        return word[: len(word) - len(ending.strip)] + ending.add


def read(file: Path, letters: frozenset[str], longest: int = 18) -> Dictionary:
    """Read a word list, or a hunspell `.dic` with the `.aff` beside it; words with other letters are passed over.

    Flags are taken as single characters; of dictionaries that number their classes, the words alone are taken.
    Raises FileNotFoundError when there is no such file, ValueError when none of its words is written in the letters.
    """
    rows = file.read_text("utf-8-sig", errors="replace").splitlines()
    if file.suffix == ".dic":
        rows = rows[1:]
    words = []
    for row in rows:
        word, _, flags = row.split("\t")[0].strip().partition("/")
        if 2 <= len(word) <= longest and letters.issuperset(word) and any(character.isalpha() for character in word):
            words.append((word, flags.split()[0] if flags else ""))
    if not words:
        raise ValueError(f"{file} holds no word that is written in the alphabet's letters alone. Name another list.")
    affixes = file.with_suffix(".aff")
    return Dictionary(words, _endings(affixes, letters) if file.suffix == ".dic" and affixes.is_file() else {})


def _endings(file: Path, letters: frozenset[str]) -> dict[str, Sequence[Ending]]:
    rows = file.read_text("utf-8-sig", errors="replace").splitlines()
    if any(row.startswith(("FLAG long", "FLAG num", "AF ")) for row in rows):
        return {}
    found: dict[str, list[Ending]] = {}
    for row in rows:
        parts = row.split()
        if len(parts) < 5 or parts[0] != "SFX" or len(parts[1]) != 1:
            continue
        _, flag, strip, add, condition = parts[:5]
        strip, add = ("" if part == "0" else part for part in (strip, add.partition("/")[0]))
        if letters.issuperset(add):
            found.setdefault(flag, []).append(Ending(strip, add, re.compile(f"{condition}$")))
    return dict(found)
