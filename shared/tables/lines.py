"""Lines of text, whatever ends them."""

from __future__ import annotations

import codecs
import csv
import re
from collections import deque
from collections.abc import Callable, Iterator
from typing import Protocol

from packsight.shared.tables.encoding import SPACED, Recoder

MAX_LINE = 1_000_000
"""Characters of a line; a longer one is not a table's."""
_CHUNK = 64 * 1024
MARK = "\ufeff"
"""A byte order mark, which also stands where files were joined, or before a row that a program put in."""
_QUOTED = re.compile(r'"[^"]*"')
_RETURN = re.compile(r"\r(?=[^\n])")
"""One that surely belongs to no line feed."""
_RETURNS = re.compile(r"\r\n|\r(?=[^\n])")


class Readable(Protocol):
    """What bytes are read from."""

    def read(self, size: int, /) -> bytes:
        """Up to so many bytes; none at the end."""


class Lines:
    """Lines of decoded text without their ends, one after the other, some of which may be put back."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self._back: deque[str] = deque()
        self._error: Exception | None = None
        self.number = 0
        """Of the line that was taken last, from 1."""
        self.may_go_on = True
        """Whether a cell may go on over the next line."""

    def ahead(self, count: int) -> list[str]:
        """So many of the next lines, without blank ones before them, which are to be taken all the same; for the first look.

        What is wrong with a line is raised when it is taken.
        """
        found: list[str] = []
        size = 0
        try:
            while len(found) < count and size < MAX_LINE and (line := next(self._lines, None)) is not None:
                size += len(line)
                if found or line.strip():
                    found.append(line)
                else:
                    self.number += 1
        except (UnicodeDecodeError, csv.Error) as error:
            self._error = error
        self._back.extend(found)
        return found

    def map(self, read: Callable[[str], str]) -> None:
        """Let lines be what this makes of them."""
        self._back, self._lines = deque(map(read, self._back)), map(read, self._lines)

    def take(self) -> str | None:
        """The next line; None behind the last one."""
        line = self._back.popleft() if self._back else next(self._lines, None)
        if line is None and self._error is not None:
            raise self._error
        self.number += line is not None
        return line

    def put_back(self, lines: list[str]) -> None:
        """Let the lines that were taken last be the next ones again."""
        self._back.extendleft(reversed(lines))
        self.number -= len(lines)


def split(stream: Readable) -> Iterator[str]:
    """Yield lines of text in any encoding without their ends; raises UnicodeDecodeError, and csv.Error for an endless one."""
    recoder, decoder = Recoder(), codecs.getincrementaldecoder("utf-8")()
    rest, returns = "", None
    while True:
        chunk = stream.read(_CHUNK)
        try:
            data = recoder.recode(chunk, final=not chunk).translate(SPACED)
            text = rest + decoder.decode(data, not chunk).replace(MARK, "")
        except UnicodeDecodeError as error:  # what is before it is whole, and tells the line
            text = rest + error.object[: error.start].decode(error.encoding, "replace")
            yield from _apart(text, returns=bool(returns))[:-1]
            raise
        if returns is None:
            returns = _ends_by_returns(text)
        # A carriage return at the end of a chunk may belong to a line feed that has not come yet.
        *whole, rest = _apart(text, returns=bool(returns)) if returns is not None or not chunk else [text]
        yield from whole
        if not chunk:
            break
        if len(rest) > MAX_LINE:
            raise csv.Error(f"a line of more than {MAX_LINE} characters")
    if rest := rest.removesuffix("\r"):
        yield rest


def _ends_by_returns(text: str) -> bool | None:
    """Whether lines end by a carriage return, as on old Macs: most ends outside of quoted cells do. None without an end."""
    if "\r" in text:
        text = _QUOTED.sub("", text)
    feeds, returns = text.count("\n"), len(_RETURN.findall(text))
    return returns > feeds if feeds or returns else None


def _apart(text: str, *, returns: bool) -> list[str]:
    """Lines, the last of which may not be whole; other separators than theirs are a cell's."""
    return _RETURNS.split(text) if returns else text.replace("\r\n", "\n").split("\n")
