"""Scripts: which a text is written in, and which a set of characters can write."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache

KNOWN = 20
"""Letters of a script that a recogniser must name to be said to read it: some name a few, such as those of formulas."""


@lru_cache(maxsize=65536)
def script(letter: str) -> str:
    """The script of a letter as Unicode names begin, `LATIN` or `CJK`; empty for what is no letter."""
    return unicodedata.name(letter, "").partition(" ")[0] if letter.isalpha() else ""


def scripts(characters: Iterable[str], known: int = KNOWN) -> tuple[str, ...]:
    """The scripts of which so many letters are among the characters, sorted."""
    count = Counter(name for character in set(characters) for letter in character if (name := script(letter)))
    return tuple(sorted(name for name, letters in count.items() if letters >= known))
