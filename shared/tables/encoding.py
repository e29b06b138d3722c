"""Text whose encoding is not to be believed: the bytes decide, and what a file says of itself counts where they leave it open."""

from __future__ import annotations

import codecs
import re

MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
"""Byte order marks; the longer ones first where one begins with another."""
CYRILLIC = "cp1251"
WESTERN = "cp1252"
CONTROL = bytes(code for code in range(32) if code not in b"\t\n\r") + b"\x7f"
"""Characters that mean nothing in text, and that XML forbids, as bytes of UTF-8."""
SPACED = bytes.maketrans(CONTROL, b" " * len(CONTROL))
"""Table for `bytes.translate` that has spaces for them: a vertical tab stands where a line ended."""
_SAMPLE = 64
"""Bytes at the beginning that tell UTF-16 without a mark."""
_HIGH = b"\x00\x04"
"""High bytes of Latin and Cyrillic letters in UTF-16, of which text in any other encoding has none."""
_LONGEST = 4
"""Bytes of a character in UTF-8."""
_BESIDE_LATIN = re.compile(rb"[A-Za-z][\x80-\xff]|[\x80-\xff][A-Za-z]")
_TOGETHER = re.compile(rb"[\x80-\xff]{2}")


class Recoder:
    """Turns chunks of bytes into UTF-8, whatever they are in.

    A byte order mark, or the high bytes of letters where UTF-16 has them, decide at once. Else everything is ASCII until it is
    not; then it is UTF-8 if at least half of those characters are. What is neither is in `declared`, where a one-byte encoding
    was, else in Windows-1251, or in Windows-1252 where its letters stand among Latin ones and not beside each other.

    UTF-8 is passed on as it is: whoever decodes it finds what is broken.
    """

    def __init__(self, declared: str = "") -> None:
        self._declared = declared
        self._decoder: codecs.IncrementalDecoder | None = None
        self._held = b""
        self._begun = False
        self.encoding = ""
        """Its name; empty while all was ASCII."""

    def recode(self, data: bytes, *, final: bool = False) -> bytes:
        """The next bytes in UTF-8; raises UnicodeDecodeError where UTF-16 or a one-byte encoding is broken."""
        if not self._begun:
            data, self._held = self._held + data, b""
            if len(data) < _LONGEST and not final:
                self._held = data
                return b""
            data = self._begin(data)
        if not self.encoding:
            data, self._held = self._held + data, b""
            if data.isascii():
                return data
            first = next(index for index, byte in enumerate(data) if byte > 127)
            if len(data) - first < _LONGEST and not final:
                self._held = data[first:]
                return data[:first]
            self._choose(data[first:], data, final=final)
        if self._decoder is None:
            return data
        return self._decoder.decode(data, final).encode()

    def _begin(self, data: bytes) -> bytes:
        self._begun = True
        for mark, encoding in MARKS:
            if data.startswith(mark):
                self._set(encoding)
                return data[len(mark) :]
        sample = data[: _SAMPLE - _SAMPLE % 2]
        even, odd = (sum(byte in _HIGH for byte in sample[begin::2]) for begin in (0, 1))
        if max(even, odd) > len(sample) // 4:
            self._set("utf-16-le" if odd > even else "utf-16-be")
        return data

    def _choose(self, tail: bytes, data: bytes, *, final: bool) -> None:
        text = codecs.getincrementaldecoder("utf-8")("replace").decode(tail, final)
        broken = text.count("\ufffd")
        if sum(not letter.isascii() for letter in text) >= 2 * broken:
            self._set("utf-8")  # where a few bytes are broken, whoever decodes it says so
        else:
            self._set(self._declared if _has_one_byte(self._declared) else _one_byte(data))

    def _set(self, encoding: str) -> None:
        self.encoding = encoding
        self._decoder = None if encoding == "utf-8" else codecs.getincrementaldecoder(encoding)()


def _has_one_byte(encoding: str) -> bool:
    """Whether it is an encoding whose characters are single bytes."""
    try:
        return bool(encoding) and len("\xe9\u0451".encode(encoding, "replace")) == 2
    except (LookupError, UnicodeError):
        return False


def _one_byte(data: bytes) -> str:
    return WESTERN if len(_BESIDE_LATIN.findall(data)) > len(_TOGETHER.findall(data)) else CYRILLIC
