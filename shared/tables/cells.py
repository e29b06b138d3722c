"""Tables of text: lines, and what stands in their cells."""

from __future__ import annotations

import codecs
import csv
import re
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from enum import Enum, auto
from typing import Protocol

from packsight.shared.tables.encoding import SPACED, Recoder

MAX_LINE = 1_000_000
"""Characters of a line; a longer one is not a table's."""
MAX_CELL_LINES = 1000
"""Lines that a quoted cell may have. A quotation mark that is still open then was none."""
IsHeader = Callable[[Sequence[str]], bool]
"""Tells whether a row is a header that is understood: it names the columns that are needed."""
_HEAD = 40
"""Lines at the beginning that tell what stands between cells."""
_BETWEEN = "\t;,|"
"""What may stand there, the likelier first; a bar only where it gives a header that is understood: it parts pictures too."""
_CHUNK = 64 * 1024
_SEPARATOR = re.compile(r'"?sep *= *(.)\1*"?\s*', re.IGNORECASE)
"""First line of tables that are meant for Excel: which character stands between cells; saved anew it has more of them."""
_PROTECTED = re.compile(r'="(.*)"', re.DOTALL)
"""How digits are kept from Excel, which takes leading zeros away: as a formula."""


class Readable(Protocol):
    """What bytes are read from."""

    def read(self, size: int, /) -> bytes:
        """Up to so many bytes; none at the end."""


def no_row(_: Sequence[str]) -> bool:
    """Of a table that always has a header no row tells that there is none."""
    return False


def records(stream: Readable, is_header: IsHeader, is_row: IsHeader = no_row) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of its first line and the cells of each row, holding one row at a time.

    Cells stand between tabs, semicolons, commas or bars: what a line `sep=` says, or what gives a header that is understood and
    rows as long as it. Quoted cells may hold line breaks; `="007"` is 007. Raises UnicodeDecodeError and csv.Error.
    """
    csv.field_size_limit(MAX_LINE)
    lines = _Lines(_split(stream))
    head = lines.ahead(_HEAD)
    if head and (named := _SEPARATOR.fullmatch(head[0])):
        lines.take()
        delimiter = named.group(1)
    else:
        delimiter = max(_BETWEEN, key=lambda one: _fitness(head, one, is_header, is_row))
    yield from _rows(lines, delimiter)


def _rows(lines: _Lines, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    while (line := lines.take()) is not None:
        number = lines.number
        yield number, _cells(_joined(line, lines, delimiter) if '"' in line else line, delimiter)


def _fitness(head: Sequence[str], delimiter: str, is_header: IsHeader, is_row: IsHeader) -> tuple[bool, int, int]:
    """Whether this delimiter gives a beginning that is understood, of how many cells, and how many rows of one length."""
    try:
        rows = [row for _, row in _rows(_Lines(iter(head)), delimiter) if any(row)]
    except csv.Error:  # told where the row is asked for
        return False, 0, 0
    at = start_of(rows, is_header, is_row)
    if at is not None:
        return True, len(rows[at]), sum(len(row) == len(rows[at]) for row in rows[at:])
    lengths = Counter(len(row) for row in rows if len(row) > 1)
    return False, 0, max(lengths.values(), default=0) if delimiter != "|" else 0


def start_of(rows: Sequence[Sequence[str]], is_header: IsHeader, is_row: IsHeader) -> int | None:
    """Which of the first rows the table begins with: the first of several cells, where that is no header, else the header.

    None where nothing is understood.
    """
    first = next((index for index, row in enumerate(rows) if has_several(row)), None)
    if first is not None and is_row(rows[first]):
        return first
    return next((index for index, row in enumerate(rows) if is_header(row)), None)


def has_several(row: Sequence[str]) -> bool:
    """Whether several of its cells have anything."""
    return sum(map(bool, row)) > 1


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


class _Lines:
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

    def take(self) -> str | None:
        line = self._back.popleft() if self._back else next(self._lines, None)
        if line is None and self._error is not None:
            raise self._error
        self.number += line is not None
        return line

    def put_back(self, lines: list[str]) -> None:
        self._back.extendleft(reversed(lines))
        self.number -= len(lines)


def _split(stream: Readable) -> Iterator[str]:
    recoder, decoder = Recoder(), codecs.getincrementaldecoder("utf-8")()
    rest, ends = "", "\r"
    while True:
        chunk = stream.read(_CHUNK)
        try:
            data = recoder.recode(chunk, final=not chunk).translate(SPACED)
            text = rest + decoder.decode(data, not chunk)
        except UnicodeDecodeError as error:  # what is before it is whole, and tells the line
            yield from (rest + error.object[: error.start].decode(error.encoding, "replace")).split("\n")[:-1]
            raise
        if not chunk:
            break
        # A carriage return at the end of a chunk may belong to a line feed that has not come yet.
        *whole, rest = text.replace("\r\n", "\n").split("\n")
        yield from whole
        ends = "\n" if whole else ends
        if len(rest) > MAX_LINE:
            raise csv.Error(f"a line of more than {MAX_LINE} characters")
    text = text.replace("\r\n", "\n")
    # Lines end by a carriage return alone where none ends otherwise; other separators of lines are a cell's.
    *whole, rest = text.split("\n" if "\n" in text else ends)
    yield from whole
    if rest:
        yield rest
