"""Tables of text: what stands in the cells of their lines."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from enum import Enum, auto
from functools import lru_cache

from packsight.shared.tables.lines import MARK, MAX_LINE, Lines, Readable, split

MAX_CELL_LINES = 1000
"""Lines that a quoted cell may have. A quotation mark that is still open then was none."""
IsHeader = Callable[[Sequence[str]], bool]
"""Tells whether a row is a header that is understood: it names the columns that are needed."""
_HEAD = 40
"""Lines at the beginning that tell what stands between cells."""
_BETWEEN = "\t;,|"
"""What may stand there, the likelier first; a bar only where it gives a header that is understood: it parts pictures too."""
_SEPARATOR = re.compile(r'"?sep *= *(.)\1*"?\s*', re.IGNORECASE)
"""First line of tables that are meant for Excel: which character stands between cells; saved anew it has more of them."""
_PROTECTED = re.compile(r'="(.*)"', re.DOTALL)
"""How digits are kept from Excel, which takes leading zeros away: as a formula."""
_ESCAPED = re.compile(r'\\([\\"])')
"""How MySQL writes quotation marks in quoted cells, and backslashes."""
_WHOLE = re.compile(r'\s*"((?:[^"]|"")*+)"\s*')
"""A line that is one quoted cell, as Excel saves a table anew of which it took each row for one cell."""
BLANK = "".join(filter(str.isspace, map(chr, range(0x10000)))) + "\u200b\u2060" + MARK
"""What is not seen at the ends of a cell: space of every kind, and characters without any width."""


def no_row(_: Sequence[str]) -> bool:
    """Of a table that always has a header no row tells that there is none."""
    return False


def records(stream: Readable, is_header: IsHeader, is_row: IsHeader = no_row) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of its first line and the cells of each row, holding one row at a time.

    Cells stand between tabs, semicolons, commas or bars: what a line `sep=` says, or what gives a header that is understood and
    rows as long as it. Quoted cells may hold line breaks; `="007"` is 007. Where nothing is understood otherwise, lines that are
    one quoted cell are read as what stands in it. Raises UnicodeDecodeError and csv.Error.
    """
    csv.field_size_limit(MAX_LINE)
    lines = Lines(split(stream))
    head = lines.ahead(_HEAD)
    named = _SEPARATOR.fullmatch(head[0]) if head else None
    if named:
        lines.take()
        del head[0]
    fitness, delimiter = _fittest(head, is_header, is_row)
    if named and (not fitness[0] or _fitness(head, named[1], is_header, is_row)[0]):
        delimiter = named[1]  # saved anew the table may have other ones
    else:
        inside = [_inside(line) for line in head]
        if not fitness[0] and inside != head and (within := _fittest(inside, is_header, is_row))[0][0]:
            delimiter = within[1]
            lines.map(_inside)
    yield from _rows(lines, delimiter)


def _rows(lines: Lines, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    while (line := lines.take()) is not None:
        number = lines.number
        yield number, _cells(_joined(line, lines, delimiter) if '"' in line else line, delimiter)


def _fittest(head: Sequence[str], is_header: IsHeader, is_row: IsHeader) -> tuple[tuple[int, int, int], str]:
    return max(((_fitness(head, one, is_header, is_row), one) for one in _BETWEEN), key=lambda found: found[0])


def _inside(line: str) -> str:
    """What stands in a line that is one quoted cell; another line as it is."""
    return found[1].replace('""', '"') if (found := _WHOLE.fullmatch(line)) else line


def _fitness(head: Sequence[str], delimiter: str, is_header: IsHeader, is_row: IsHeader) -> tuple[int, int, int]:
    """How well the beginning is understood that this delimiter gives, of how many cells it is, and how many rows of one length.

    A header that is understood goes before a first row: what parts pictures in their cells may make one of each line.
    """
    try:
        rows = [row for _, row in _rows(Lines(iter(head)), delimiter) if any(row)]
    except csv.Error:  # told where the row is asked for
        return 0, 0, 0
    at = start_of(rows, is_header, is_row)
    if at is not None:
        return 1 + is_header(rows[at]), len(rows[at]), sum(len(row) == len(rows[at]) for row in rows[at:])
    lengths = Counter(len(row) for row in rows if len(row) > 1)
    return 0, 0, max(lengths.values(), default=0) if delimiter != "|" else 0


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


def _joined(line: str, lines: Lines, delimiter: str) -> str:
    """The line with those that its last cell goes on over; alone where that cell never ends."""
    taken: list[str] = []
    text = line
    while (state := _quotes(read := _doubled(text, delimiter), delimiter)) is _Quotes.OPEN and lines.may_go_on:
        following = lines.take() if len(taken) < MAX_CELL_LINES and len(text) < MAX_LINE else None
        if following is None:
            break
        taken.append(following)
        text = f"{text}\n{following}"
    if state is _Quotes.CLOSED:
        return read
    # Such a table does not quote, or not so; to look ahead from each of its lines would take the square of their number.
    lines.may_go_on = lines.may_go_on and not taken
    lines.put_back(taken)
    return line


def _doubled(text: str, delimiter: str) -> str:
    """The text with quotation marks doubled that a backslash is before, where its cells are quoted in no other way."""
    if '\\"' not in text or _quoted(delimiter).fullmatch(text):
        return text
    doubled = _ESCAPED.sub(lambda found: '""' if found[1] == '"' else "\\", text)
    understood = _quoted(delimiter).fullmatch(doubled) or _quotes(doubled, delimiter) is _Quotes.OPEN
    return doubled if understood else text


@lru_cache
def _quoted(delimiter: str) -> re.Pattern[str]:
    """Cells in whose midst no quotation mark stands for itself."""
    cell = rf'(?: *+"(?:[^"]|"")*+" *+|[^"{re.escape(delimiter)}]*+)'
    return re.compile(rf"{cell}(?:{re.escape(delimiter)}{cell})*+")


def _cells(text: str, delimiter: str) -> list[str]:
    blank = None if text.isascii() else BLANK  # space alone is taken away in less time
    if '"' not in text:
        return [cell.strip(blank) for cell in text.split(delimiter)]
    if (delimiter == "\t" or text.count('"') % 2) and (
        (state := _quotes(text, delimiter)) is _Quotes.OPEN or (delimiter == "\t" and state is _Quotes.LITERAL)
    ):  # a quotation mark that never ends would take the rest of the row
        return [_unquoted(cell.strip(blank)) for cell in text.split(delimiter)]
    try:
        row = _parsed(text, delimiter)
    except csv.Error:  # of what ends lines, but stands outside of quotation marks
        row = _parsed(text.replace("\r", " ").replace("\n", " "), delimiter)
    row = [cell.strip(blank) for cell in row]
    return [match[1] if (match := _PROTECTED.fullmatch(cell)) else cell for cell in row] if '="' in text else row


def _parsed(text: str, delimiter: str) -> list[str]:
    return next(csv.reader([text], delimiter=delimiter, skipinitialspace=True), [])


def _unquoted(cell: str) -> str:
    if len(cell) >= 2 and cell[0] == cell[-1] == '"':
        return cell[1:-1].replace('""', '"')
    return cell
