"""Tables of text: lines, and what stands in their cells."""

from __future__ import annotations

import codecs
import csv
import re
from collections import deque
from collections.abc import Iterator
from enum import Enum, auto
from typing import Protocol

from packsight.shared.tables.encoding import SPACED, Recoder

MAX_LINE = 1_000_000
"""Characters of a line; a longer one is not a table's."""
MAX_CELL_LINES = 1000
"""Lines that a quoted cell may have. A quotation mark that is still open then was none."""
_CHUNK = 64 * 1024
_SEPARATOR = re.compile(r'"?sep *= *(.)\1*"?\s*', re.IGNORECASE)
"""First line of tables that are meant for Excel: which character stands between cells; saved anew it has more of them."""
_PROTECTED = re.compile(r'="(.*)"', re.DOTALL)
"""How digits are kept from Excel, which takes leading zeros away: as a formula."""


class Readable(Protocol):
    """What bytes are read from."""

    def read(self, size: int, /) -> bytes:
        """Up to so many bytes; none at the end."""


def records(stream: Readable) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of its first line and the cells of each row, holding one row at a time.

    Cells stand between tabs, semicolons or commas: what the first line that is not blank has, or what a line `sep=` says. Quoted
    cells may hold line breaks; `="007"` is 007. Raises UnicodeDecodeError and csv.Error.
    """
    lines = _Lines(stream)
    if lines.first is not None and (named := _SEPARATOR.fullmatch(lines.first)):
        lines.take()
        delimiter = named.group(1)
    else:
        delimiter = _delimiter(lines.first or "")
    csv.field_size_limit(MAX_LINE)
    while (line := lines.take()) is not None:
        number = lines.number
        yield number, _cells(_joined(line, lines, delimiter) if '"' in line else line, delimiter)


class _Quotes(Enum):
    CLOSED = auto()
    OPEN = auto()
    LITERAL = auto()
    """A cell begins with a quotation mark that does not end it: it stands for itself."""


def _quotes(text: str, delimiter: str) -> _Quotes:
    at = 0
    while True:
        while text[at : at + 1] == " ":
            at += 1
        if text[at : at + 1] == '"':
            end = text.find('"', at + 1)
            while end >= 0 and text[end + 1 : end + 2] == '"':
                end = text.find('"', end + 2)
            if end < 0:
                return _Quotes.OPEN
            at = end + 1
            while text[at : at + 1] == " ":
                at += 1
            if at == len(text):
                return _Quotes.CLOSED
            if text[at] != delimiter:
                return _Quotes.LITERAL
        else:
            at = text.find(delimiter, at)
            if at < 0:
                return _Quotes.CLOSED
        at += 1


def _joined(line: str, lines: _Lines, delimiter: str) -> str:
    """The line with those that its last cell goes on over; alone where that cell never ends."""
    taken: list[str] = []
    text = line
    while (state := _quotes(text, delimiter)) is _Quotes.OPEN and lines.may_go_on:
        following = lines.take() if len(taken) < MAX_CELL_LINES and len(text) < MAX_LINE else None
        if following is None:
            break
        taken.append(following)
        text = f"{text}\n{following}"
    if state is _Quotes.CLOSED:
        return text
    # Such a table does not quote, or not so; to look ahead from each of its lines would take the square of their number.
    lines.may_go_on = lines.may_go_on and not taken
    lines.put_back(taken)
    return line


def _cells(text: str, delimiter: str) -> list[str]:
    if '"' not in text:
        return [cell.strip() for cell in text.split(delimiter)]
    if delimiter == "\t" and _quotes(text, delimiter) is not _Quotes.CLOSED:
        return [_unquoted(cell.strip()) for cell in text.split(delimiter)]
    row = [cell.strip() for cell in next(csv.reader([text], delimiter=delimiter, skipinitialspace=True), [])]
    return [match[1] if (match := _PROTECTED.fullmatch(cell)) else cell for cell in row] if '="' in text else row


def _unquoted(cell: str) -> str:
    if len(cell) >= 2 and cell[0] == cell[-1] == '"':
        return cell[1:-1].replace('""', '"')
    return cell


def _delimiter(first: str) -> str:
    return "\t" if "\t" in first else ";" if first.count(";") > first.count(",") else ","


class _Lines:
    """Lines of decoded text without their ends, one after the other, some of which may be put back."""

    def __init__(self, stream: Readable) -> None:
        self._lines = _split(stream)
        self._back: deque[str] = deque()
        self.number = 0
        """Of the line that was taken last, from 1."""
        self.may_go_on = True
        """Whether a cell may go on over the next line."""
        self.first = next(self._lines, None)
        while self.first is not None and not self.first.strip():
            self.number += 1
            self.first = next(self._lines, None)
        if self.first is not None:
            self._back.append(self.first)

    def take(self) -> str | None:
        line = self._back.popleft() if self._back else next(self._lines, None)
        self.number += line is not None
        return line

    def put_back(self, lines: list[str]) -> None:
        self._back.extendleft(reversed(lines))
        self.number -= len(lines)


def _split(stream: Readable) -> Iterator[str]:
    recoder, decoder = Recoder(), codecs.getincrementaldecoder("utf-8")()
    rest = ""
    while True:
        chunk = stream.read(_CHUNK)
        data = recoder.recode(chunk, final=not chunk).translate(SPACED)
        try:
            text = rest + decoder.decode(data, not chunk)
        except UnicodeDecodeError as error:  # what is before it is whole, and tells the line
            yield from (rest + error.object[: error.start].decode()).split("\n")[:-1]
            raise
        if not chunk:
            break
        # A carriage return at the end of a chunk may belong to a line feed that has not come yet.
        *whole, rest = text.replace("\r\n", "\n").split("\n")
        yield from whole
        if len(rest) > MAX_LINE:
            raise csv.Error(f"a line of more than {MAX_LINE} characters")
    yield from text.splitlines()
