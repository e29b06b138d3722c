"""Words as they are compared: the same few rules for feed names and for text read on photos.

A word has a key, by which it is compared, and its own spelling, by which it is shown. Keys are lower case, without
accents, with Cyrillic letters that look like Latin ones turned into these (text spotters mix them up), and with
quantities in one spelling: `50 мл`, `50ML` and `5O ml` are all `50ml`.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import NamedTuple

_LOOK_ALIKES = str.maketrans("авекмнорстухіјѕґԁԛѡӏ", "abekmhopctyxijsrdqwl")
"""Cyrillic to Latin by the shape of either case (Unicode Technical Standard 39, confusables)."""
_SPECIAL = str.maketrans(
    {"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ı": "i", "№": " ", "®": " ", "™": " ", "°": " "}
)
_UNITS = {
    "ml": "ml", "мл": "ml", "cl": "cl", "l": "l", "л": "l", "ltr": "l", "литр": "l", "floz": "oz", "oz": "oz",
    "g": "g", "gr": "g", "г": "g", "гр": "g", "kg": "kg", "кг": "kg", "mg": "mg", "мг": "mg",
    "%": "%", "шт": "pcs", "pcs": "pcs",
}  # fmt: skip
_UNIT = "|".join(sorted(_UNITS, key=len, reverse=True))
_APOSTROPHES = re.compile(r"(?<=\w)['’‘`´ʼ](?=\w)")
_OUNCES = re.compile(r"(?i)\bfl\.?\s*oz\b")
_ROUND_LETTERS = re.compile(rf"(?i)(?<=\d)[oо]+(?=\d|\s*(?:{_UNIT})\b|\b)")
_QUANTITY = re.compile(rf"(?i)(?<![^\W\d_])(\d+(?:[.,]\d+)?)\s*({_UNIT})(?![^\W_])")
_DIGIT = re.compile(r"\d")
_TOKEN = re.compile(r"\d+(?:[.,]\d+)?(?:%|[^\W\d_]+)?|[^\W_]+")


class Token(NamedTuple):
    """One word: the key by which it is compared, and its own spelling."""

    key: str
    text: str


def tokens(text: str) -> list[Token]:
    """Split a text into words; single letters are dropped, single digits kept."""
    plain = unicodedata.normalize("NFKC", _APOSTROPHES.sub("", text.translate(_SPECIAL)))
    plain = _OUNCES.sub("floz", plain)
    if _DIGIT.search(plain):
        plain = _ROUND_LETTERS.sub(lambda match: "0" * len(match[0]), plain)
        plain = _QUANTITY.sub(lambda match: f" {_number(match[1])}{_UNITS[match[2].lower()]} ", plain)
    found = (Token(_key(match[0]), match[0]) for match in _TOKEN.finditer(plain))
    return [token for token in found if len(token.key) > 1 or token.key.isdigit()]


def is_number(key: str) -> bool:
    """Tell whether a key carries digits: such words agree exactly or not at all, 30ml being no misreading of 50ml."""
    return _DIGIT.search(key) is not None


def _number(text: str) -> str:
    whole, _, fraction = text.replace(",", ".").partition(".")
    fraction = fraction.rstrip("0")
    return f"{whole.lstrip('0') or '0'}{'.' if fraction else ''}{fraction}"


@lru_cache(maxsize=1 << 15)
def _key(text: str) -> str:
    letters = unicodedata.normalize("NFKD", text.casefold().translate(_SPECIAL))
    bare = "".join(character for character in letters if not unicodedata.combining(character))
    return bare.translate(_LOOK_ALIKES).replace(",", ".")
