"""Stems of Russian words: a label says «крем», the feed «крема», and the two are one word.

By Snowball (M. F. Porter, https://snowballstem.org/algorithms/russian/stemmer.html), of keys as `normalise` makes them: letters
that look like Latin ones are turned back first.
"""

from __future__ import annotations

import re
from threading import Lock

import Stemmer

_LEAST = 3
"""Letters of a stem: shorter ones are shared by words that have nothing to do with each other."""
_ALIKE = str.maketrans("abekmhopctyx", "авекмнорстух")
_BACK = str.maketrans("авекмнорстухй", "abekmhopctyxи")
_SURE = re.compile("[бгджзилпфцчшщъыьэюя]")
"""Letters that no Latin one looks like. Without one of them a key may be a Latin word, and stays as it is."""
_RUSSIAN = re.compile("[а-я]+")
_SHORT_I = re.compile("(?<=[еоы])и$")
"""Keys have «и» for «й», which the endings of adjectives need."""

_stemmer = Stemmer.Stemmer("russian", 0)
_in_use = Lock()
"""A stemmer is not to be used by two threads at a time."""


def stem(key: str) -> str:
    """What a key shares with its other cases and numbers, as a key; the key itself where it is no word with Russian endings."""
    word = _SHORT_I.sub("й", key.translate(_ALIKE))
    if not _SURE.search(key) or not _RUSSIAN.fullmatch(word):
        return key
    with _in_use:
        found: str = _stemmer.stemWord(word)
    return found.translate(_BACK) if len(found) >= _LEAST else key
