"""In which encoding of single bytes Russian text is, told by its letters whatever is said of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import log

USUAL = "cp1251"
_ENCODINGS = (USUAL, "cp866", "koi8-r")
"""Of Windows, of Excel's "CSV (MS-DOS)" and of Unix."""
_SHARES = dict(
    zip(
        "оеаинтсрвлкмдпуяыьгзбчйхжшюцщэфъё",
        (
            10.97, 8.45, 8.01, 7.35, 6.7, 6.26, 5.47, 4.73, 4.54, 4.4, 3.49, 3.21, 2.98, 2.81, 2.62, 2.01, 1.9, 1.74, 1.7, 1.65,
            1.59, 1.44, 1.21, 0.97, 0.94, 0.73, 0.64, 0.48, 0.36, 0.32, 0.26, 0.04, 0.04,
        ),
        strict=True,
    )
)  # fmt: skip
"""Percent of the letters of Russian texts (Lyashevskaya and Sharov, the frequency dictionary of the national corpus, 2009)."""
_LIKELIHOODS: Mapping[str, float] = {letter: log(share / 100) for letter, share in _SHARES.items()}
_OTHER = -9.0
"""Of what is no Russian letter: less likely than the rarest."""
_TYPICAL = -3.6
"""Mean of a text that is surely Russian: its letters alone have -3.0, letters drawn by lot -4.1, punctuation less."""
_MARGIN = 20.0
"""Log of how much likelier another encoding must be than the usual one: some four words of it."""
_TURNED = re.compile("[а-яё](?=[А-ЯЁ])")
"""A small letter before a capital one: KOI8-R has them where Windows-1251 has the other kind, and no word is written so."""
_UNWRITTEN = -5.0
"""Log of how much less likely such a place makes a text."""
_MOST = 4096
"""Bytes that are looked at."""
_WORDS = re.compile(rb"[\x80-\xff]{3,}")
"""A trade mark or a quotation mark of Windows is a letter elsewhere; it stands alone."""
_LETTERS = 3
"""Different bytes of a word, at least: hard blanks, dots and trade marks in a row are letters elsewhere too."""


def likeliest(data: bytes, usual: str = USUAL) -> str:
    """The encoding in which words of bytes that are not ASCII are the likeliest Russian; the usual one where that is not sure."""
    words = b" ".join(word for word in _WORDS.findall(data) if len(set(word)) >= _LETTERS)[:_MOST]
    found = {name: _likelihood(words.decode(name, "replace")) for name in (usual, *_ENCODINGS)}
    best = max(found, key=found.__getitem__)
    letters = len(words) - words.count(b" ")
    return best if found[best] > max(found[usual] + _MARGIN, _TYPICAL * letters) else usual


def _likelihood(text: str) -> float:
    each = sum(_LIKELIHOODS.get(letter, _OTHER) for letter in text.lower() if letter != " ")
    return each + _UNWRITTEN * len(_TURNED.findall(text))
