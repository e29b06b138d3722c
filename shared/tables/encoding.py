"""Text whose encoding is not to be believed: the bytes decide, and what a file says of itself counts where they leave it open."""

from __future__ import annotations

import codecs
import re

from packsight.shared.tables.cyrillic import USUAL, likeliest

MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
    *(("\ufeff".encode().decode(taken_for).encode(), "utf-8") for taken_for in ("cp1251", "cp1252")),
)
"""Byte order marks, the longer ones first where one begins with another; the last two were taken for letters and stored so."""
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
_OPEN = re.compile(rb"[\xc2-\xf4][\x80-\xbf]{0,2}(?:\xe2\x80?)?\Z")
"""A letter of UTF-8 at the end, of which more may come, or dots behind what was cut."""
_CUT = re.compile(
    rb"(?:(?<=[\x80-\xbf])|(?<=[\x80-\xbf] ))(?:[\xc2-\xdf]|[\xe0-\xef][\x80-\xbf]?|[\xf0-\xf4][\x80-\xbf]{0,2})"
    rb"(?=[<\"'\s,;.|&\]]|\xe2\x80\xa6|\Z)"
)
"""The beginning of one at the end of a text, behind letters that are not ASCII: behind others it may be one of Windows-1252."""
_BEFORE = 2
"""Bytes that tell what stands before."""
_LOST = "\ufffd".encode()
_HIGH_BIT = re.compile(rb"[\x80-\xff]")
_LETTERS = bytes(range(0xC0, 0x100))
"""Of one-byte encodings; in UTF-8 each character that is not ASCII begins with such a byte."""
_ENOUGH = 64
"""Such bytes that decide; quotation marks, degrees and trade marks are the same in Windows-1251 and Windows-1252."""
_MAX_HELD = 1_000_000
"""Bytes that are held back for want of them."""
_BESIDE_LATIN = re.compile(rb"[A-Za-z][\xa8\xb8\xc0-\xff]|[\xa8\xb8\xc0-\xff][A-Za-z]")
_TOGETHER = re.compile(rb"[\xa8\xb8\xc0-\xff]{2}")
_AS_BROWSERS = {"iso8859-1": WESTERN, "iso8859-9": "cp1254", "iso8859-11": "cp874"}
"""What these names mean on the web (https://encoding.spec.whatwg.org/#names-and-labels): 0x80 to 0x9f are characters too."""
_DOUBTED = frozenset(("cp1251", "cp866", "koi8-r", "iso8859-5", "mac-cyrillic", WESTERN))
"""What is declared of Russian text, rightly or not: one-byte encodings of Cyrillic, and what servers take for all text."""
_ALIASES = {"x-mac-cyrillic": "mac-cyrillic"}
"""Names of encodings that Python has under others."""
_CONTROLS = "packsight.controls"
"""How bytes are decoded that mean nothing in an encoding: as browsers do, as the characters of their numbers."""


class Recoder:
    """Turns chunks of bytes into UTF-8, whatever they are in.

    A byte order mark, or the high bytes of letters where UTF-16 has them, decide at once. Else everything is ASCII until it is
    not; then it is UTF-8 if more than half of those characters are. What is neither is in `declared`, where a one-byte encoding
    was, else in Windows-1251, or in Windows-1252 where its letters stand among Latin ones and not beside each other; but rather
    in Windows-1251, CP866 or KOI8-R where that makes much likelier Russian of what is none or declared to be Cyrillic or
    Western. What comes before there are letters enough to tell is held back.

    UTF-8 is passed on as it is, but for letters beside others that were cut at the end of a text, as programs leave them that
    count bytes where they shorten it: these become U+FFFD. Whoever decodes it finds what else is broken.
    """

    def __init__(self, declared: str = "") -> None:
        self._declared = _one_byte_encoding(declared)
        self._decoder: codecs.IncrementalDecoder | None = None
        self._held = self._passed = b""
        self._begun = False
        self.encoding = ""
        """Its name; empty while all was ASCII."""

    def recode(self, data: bytes, *, final: bool = False) -> bytes:
        """The next bytes in UTF-8; raises UnicodeDecodeError where UTF-16 or a one-byte encoding is broken."""
        data, self._held = self._held + data, b""
        if not self._begun:
            if len(data) < _LONGEST and not final:
                self._held = data
                return b""
            data = self._begin(data)
        if not self.encoding:
            if data.isascii() or (high := _HIGH_BIT.search(data)) is None:
                return data
            letters = len(data) - len(data.translate(None, _LETTERS))
            if letters < _ENOUGH and not final:
                if len(data) - high.start() < _MAX_HELD:
                    before = max(high.start() - 1, 0)
                    self._held = data[before:]
                    return data[:before]
                if not letters and not self._declared:
                    return data.decode(USUAL, _CONTROLS).encode()
            self._choose(data, final=final)
        if self._decoder is None:
            return self._mended(data, final=final)
        try:
            return self._decoder.decode(data, final).encode()
        except UnicodeDecodeError as error:
            raise UnicodeDecodeError(self.encoding, error.object, error.start, error.end, error.reason) from None

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

    def _mended(self, data: bytes, *, final: bool) -> bytes:
        if not final and (last := _OPEN.search(data, max(0, len(data) - _LONGEST - _BEFORE))) is not None:
            data, self._held = data[: last.start()], data[last.start() :]
        before, self._passed = self._passed, (self._passed + data)[-_BEFORE:]
        try:
            data.decode()
        except UnicodeDecodeError:
            return _CUT.sub(_LOST, before + data)[len(before) :]
        return data

    def _choose(self, data: bytes, *, final: bool) -> None:
        text = codecs.getincrementaldecoder("utf-8")("replace").decode(data, final)
        broken = text.count("\ufffd") - data.count(_LOST)  # which may also have been lost before
        if sum(not letter.isascii() for letter in text) > 2 * broken:
            self._set("utf-8")  # where a few bytes are broken, whoever decodes it says so
            return
        western = len(_BESIDE_LATIN.findall(data)) > len(_TOGETHER.findall(data))
        if not self._declared:
            self._set(WESTERN if western else likeliest(data))
            return
        doubted = codecs.lookup(self._declared).name in _DOUBTED and not (western and self._declared == WESTERN)
        errors = _CONTROLS if self._declared in _AS_BROWSERS.values() else "strict"
        self._set(likeliest(data, self._declared) if doubted else self._declared, errors)

    def _set(self, encoding: str, errors: str = "strict") -> None:
        self.encoding = encoding
        self._decoder = None if encoding == "utf-8" else codecs.getincrementaldecoder(encoding)(errors)


def beginning(head: bytes, declared: str = "") -> bytes:
    """The first bytes of a text in UTF-8, for a look; as they are where that cannot be told."""
    recoder = Recoder(declared)
    try:
        text = recoder.recode(head)
        return text if recoder.encoding else text + recoder.recode(b"", final=True)
    except UnicodeDecodeError:
        return head


def _as_control(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.end].decode("latin-1"), error.end


codecs.register_error(_CONTROLS, _as_control)


def _one_byte_encoding(declared: str) -> str:
    """The encoding that a declaration means where its characters are single bytes; empty where they are not, or are ASCII."""
    declared = _ALIASES.get(declared.lower(), declared)
    try:
        name = codecs.lookup(declared).name
        if name in {"ascii", "charmap"} or len("\xe9\u0451".encode(name, "replace")) != 2:
            return ""
    except (LookupError, UnicodeError):
        return ""
    return _AS_BROWSERS.get(name, declared)
