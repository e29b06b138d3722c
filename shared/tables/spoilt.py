"""Text that was spoilt before it was stored: taken for another encoding than it was in, and written so."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from packsight.shared.tables.cyrillic import likeliest

_TAKEN_FOR = ("cp1251", "cp1252", "cp866")
"""What UTF-8 is taken for: encodings of Windows, and of its console."""
_MAYBE = tuple(
    map(
        re.compile,
        (
            rb"\xd0(?:[\xa0\xa1](?:[\xc2\xd2\xe2]|\xd0[\x80-\x8f]|\xd1[\x90-\x9f])|\xb2(?:\xd0\x82|\xe2\x80\x9e)"
            rb"|[\x92\x93](?:[\xc2\xe2]|\xd0[\x80-\x8f]|\xd1[\x90-\x9f]))",
            rb"\xc3(?:[\x82\x83\x90\x91][\xc2\xc5\xc6\xcb\xe2]|\xa2[\xc2\xe2]|[\x80-\xbf](?:\xc3[\x80-\xbf]){3})",
            rb"\xe2\x95[\xa4\xa8]",
        ),
    )
)
"""One of which all such text holds, as UTF-8. They are looked for in bytes, and each by its first one, since that is what takes a
fraction of the time that reading an offer does."""
_ESCAPED = re.compile(r"(?:\\u04[0-9a-f]{2}){2}", re.IGNORECASE)
_ESCAPE = re.compile(r"\\u(00[2-9a-f][0-9a-f]|000[9ad]|0[1-9a-f][0-9a-f]{2}|20[0-9a-f]{2}|21[0-9a-f]{2})", re.IGNORECASE)
"""Letters, marks and blanks as JSON writes them."""
_FEW = 5
"""Letters of Windows-1252 that may be right whatever they spell in Windows-1251."""
_ACCENTED = "À-ÖØ-öø-ÿ¨¸"
_WORD = re.compile(rf"[A-Za-z×÷{_ACCENTED}]+")
_CAPITAL = "A-ZÀ-ÖØ-ÞА-ЯЁ"
_LETTER = "А-яЁё"
_BEHIND_CAPITALS = frozenset((0x85, *range(0x91, 0x98), 0x99, 0xA0, 0xA9, 0xAB, 0xAE, 0xB0, 0xB7, 0xBB))
"""Blanks, dashes, quotation marks and signs, as may follow a word in capitals whose last letter looks like a first byte."""
_SIGNS = frozenset("°±µ")
"""No letters, but nothing that stands between letters either."""
_WRITTEN = re.compile("[А-яЁёІіЇїЄєҐґ\u00a0-\u00ffŒœŠšŽžŸ–—‘’‚“”„†‡•…‰‹›€№™\ufeff]+")
"""What is written in shops, beside ASCII."""


def mended(text: str) -> str:
    """The text as it was before UTF-8 was taken for Windows-1251 (`РљСЂРµРј`), Windows-1252 (`Ð¡Ñ‹Ñ€`, `CrÃ¨me`) or CP866, also
    twice, Windows-1251 for Windows-1252 (`Êðåì äëÿ`), or JSON for text (`\\u041a\\u0440`); as it is where that is not sure.

    Sure are two such letters of Russian side by side, of which right text has none, what dashes and quotation marks become, and
    accents within a Latin word. In a text with such a place the others are mended that give what shops write.
    """
    if "\\u" in text and _ESCAPED.search(text):
        text = _ESCAPE.sub(lambda escape: chr(int(escape[1], 16)), text)
    if text.isascii():
        return text
    data = text.encode("utf-8", "replace")
    if not any(maybe.search(data) for maybe in _MAYBE):
        return text
    for kind in map(_taken, _TAKEN_FOR):
        once = kind.runs.sub(kind.undone, text)
        if once == text:
            continue
        if kind.sure.search(once):
            return kind.runs.sub(kind.mended, once)
        if kind.sure.search(text):
            return kind.runs.sub(kind.mended, text)
    return _from_western(text)


def _from_western(text: str) -> str:
    """Russian of single bytes that was taken for Windows-1252: its words have none but accented letters, and four in a row."""
    words = [word for word in _WORD.findall(text) if not word.isascii()]
    if any(letter.isascii() for word in words for letter in word) or sum(map(len, words)) < _FEW or max(map(len, words)) < 4:
        return text
    try:
        return text.encode("cp1252").decode(likeliest(" ".join(words).encode("cp1252"), "cp1252"))
    except UnicodeError:
        return text


class _Taken:
    """How UTF-8 looks that was taken for an encoding of single bytes."""

    def __init__(self, encoding: str) -> None:
        self._bytes = {chr(code): code for code in range(0x80, 0xA0)}  # as ISO 8859-1 and browsers have what is no character
        for code in range(0x80, 0x100):
            self._bytes.setdefault(bytes((code,)).decode(encoding, "ignore"), code)
        follow, first, second = self._looks(range(0x80, 0xC0)), self._looks((0xD0,)), self._looks((0xD1,))
        dash = rf"{self._looks((0xE2,))}{self._looks((0x80, 0x82, 0x84))}{follow}"
        whole = rf"(?:{self._looks((0xC2, 0xC3, 0xC5, 0xC6, 0xCB, 0xD0, 0xD1, 0xD2))}{follow}|{dash})"
        self.runs = re.compile(f"{whole}+")
        if encoding == "cp1251":  # many words end in what is left of a letter whose second half is a blank now
            lost, blank = rf"(?<![{_LETTER}]){first}[?\ufffd]", rf"(?<![{_LETTER}]){first} (?={whole})"
            self.runs = re.compile(rf"(?:{lost}|{blank}|{whole})(?:{whole}|{first}[ ?\ufffd])*")
        firsts = (0x81, 0x84, 0x86, 0x87, *range(0x90, 0xA0), *range(0xA1, 0xC0))  # without a capital letter before a hard blank
        seconds = (*range(0x80, 0x90), 0x91, 0x94, 0x96, 0x97)
        letter = rf"(?:{first}{self._looks(firsts)}|{second}{self._looks(seconds)})"
        sure = [rf"({letter})(?!\1){letter}"]
        if encoding == "cp1251":  # in which others are the dashes and quotation marks between single letters
            clear = rf"(?:{first}{self._looks(firsts, clear=True)}|{second}{self._looks(seconds, clear=True)})"
            sure = [rf"({clear})(?!\1){letter}", rf"({letter})(?!\2){clear}"]
        if encoding != "cp866":  # in which these are letters of Russian
            latin = self._looks((0xC3,))
            accent, sign = latin + follow, self._looks((0x84,)) + self._looks((0x96, 0xA2))
            sure.append(rf"{self._looks((0xE2,))}(?:{self._looks((0x80,))}{follow}|{sign})")
            sure.append(rf"(?<=[a-z])(?:{self._looks((0xC2,))}{follow}|{accent})")
            inside = self._looks(code for code in range(0x80, 0xC0) if code not in _BEHIND_CAPITALS)
            beginning = self._looks(code for code in range(0x80, 0xC0) if code != 0xA0)
            sure.append(rf"(?:(?<![{_CAPITAL}]){latin}{beginning}|{latin}{inside})(?=[a-z])")
        self.sure = re.compile("|".join(sure))

    def _looks(self, codes: Iterable[int], *, clear: bool = False) -> str:
        """What matches any of these bytes; clear: only those that are letters, or signs that do not stand between letters."""
        wanted = set(codes)
        letters = [letter for letter, code in self._bytes.items() if letter and code in wanted]
        return f"[{''.join(re.escape(one) for one in letters if not clear or one.isalpha() or one in _SIGNS)}]"

    def undone(self, run: re.Match[str]) -> str:
        """What a run was."""
        return self._read(run[0])

    def mended(self, run: re.Match[str]) -> str:
        """What a run was; itself where that is nothing that is written."""
        text = self._read(run[0])
        return text if _WRITTEN.fullmatch(text) else run[0]

    def _read(self, run: str) -> str:
        """A hard blank may have become another since, and the one byte that Windows-1251 lacks a question mark."""
        return bytes(self._bytes.get(letter) or (0xA0 if letter == " " else 0x98) for letter in run).decode("utf-8", "replace")


@lru_cache
def _taken(encoding: str) -> _Taken:
    return _Taken(encoding)
