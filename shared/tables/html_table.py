"""Tables of HTML pages, which 1C, Bitrix and others save under the suffix .xls, since Excel opens them."""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterator
from contextlib import suppress
from html.parser import HTMLParser
from pathlib import PurePosixPath

from packsight.shared.contract.errors import UserError
from packsight.shared.tables.cells import BLANK
from packsight.shared.tables.encoding import Recoder
from packsight.shared.tables.lines import Readable
from packsight.shared.tables.linked import Linked, names_pictures
from packsight.shared.tables.merged import COVERED
from packsight.shared.vision.suffixes import IMAGE_SUFFIXES

_CHUNK = 64 * 1024
_HEAD = 4096
"""Bytes within which a page says its encoding."""
_DECLARED = re.compile(rb"""charset\s*=\s*["']?([A-Za-z0-9._-]{1,40})""", re.IGNORECASE)
_MAX_PIECE = 1_000_000
"""Characters between two tags; a longer piece is not a table's."""
_MAX_CELLS = 16_384
"""Cells of a row: as many columns as Excel has."""
_MAX_SPAN = 1000
"""Columns or rows that one cell may span; Excel writes cells that span all there are."""


def records(stream: Readable, name: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the line and the cells of each row of all tables.

    A cell is its text, `Linked` to the pictures that links in it lead to, or else to where the first of them does; without a text
    it is the pictures or the link in it. What stands in a cell that spans rows stands in each of them.

    Raises UserError for a page without a table, UnicodeDecodeError where it is no text, csv.Error where one is too large.
    """
    page, some = _Page(), False
    recoder, decoder = None, codecs.getincrementaldecoder("utf-8")()
    while True:
        chunk = stream.read(_CHUNK)
        if recoder is None:
            recoder = Recoder(declared(chunk[:_HEAD]))
        text = decoder.decode(recoder.recode(chunk, final=not chunk), not chunk)
        try:
            page.feed(text)
            if not chunk:
                page.close()
        except AssertionError as error:  # how the parser refuses some declarations
            raise UserError(f"{name} is HTML that cannot be read ({error}). Save it as .xlsx, or as CSV in UTF-8.") from None
        if len(page.rawdata) > _MAX_PIECE:
            raise UserError(f"{name} is HTML with more than {_MAX_PIECE} characters in a tag. Save it as .xlsx or CSV.")
        some = some or bool(page.rows)
        yield from page.rows
        page.rows.clear()
        if not chunk:
            break
    if not some:
        raise UserError(f"{name} holds HTML without a table. Check the file or address; save a table as .xlsx or CSV.")


def declared(head: bytes) -> str:
    """The encoding that a page names at its beginning; empty without one."""
    found = _DECLARED.search(head)
    return found.group(1).decode() if found else ""


class _Page(HTMLParser):
    """Gathers rows that have ended; ends of cells and rows may be left out."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.rows: list[tuple[int, list[str]]] = []
        self._line = self._number = 0
        self._row: list[str] | None = None
        self._cell: _Cell | None = None
        self._above: dict[int, tuple[str, int]] = {}
        """By column what stands there from a row above, and the number of the last row in which it does."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin a row or a cell, or note what a cell has beside text."""
        if tag == "tr":
            self._end_row()
            self._line, self._row = self.getpos()[0], []
            self._number += 1
        elif tag in {"td", "th"}:
            self._end_cell()
            self._cell = _Cell(_span(attrs, "colspan"), _span(attrs, "rowspan"))
        elif self._cell is not None:
            if tag == "br":
                self._cell.text.append("\n")
            elif tag == "img":
                self._cell.show((dict(attrs).get("src") or "").strip())
            elif tag == "a":
                self._cell.link((dict(attrs).get("href") or "").strip())

    def handle_endtag(self, tag: str) -> None:
        """End a link, a cell or a row."""
        if tag == "a" and self._cell is not None:
            self._cell.in_picture = False
        elif tag in {"td", "th"}:
            self._end_cell()
        elif tag in {"tr", "table"}:
            self._end_row()
            if tag == "table":
                self._above.clear()

    def handle_data(self, data: str) -> None:
        """Text counts inside of cells; its line breaks are spaces."""
        if self._cell is not None:
            self._cell.grow(len(data))
            self._cell.text.append(re.sub(r"\s+", " ", data))

    def close(self) -> None:
        """Let the last row end where the page does."""
        super().close()
        self._end_row()

    def _end_cell(self) -> None:
        if self._cell is not None and self._row is not None:
            self._go_on(self._row)
            if len(self._row) + self._cell.right > _MAX_CELLS:
                raise csv.Error(f"a row of more than {_MAX_CELLS} cells")
            cells = [self._cell.whole(), *[COVERED] * (self._cell.right - 1)]
            if self._cell.down > 1:
                last = self._number + self._cell.down - 1
                self._above.update((len(self._row) + at, (cell, last)) for at, cell in enumerate(cells))
            self._row += cells
        self._cell = None

    def _go_on(self, row: list[str]) -> None:
        """Let a row have the next cells that it has from rows above."""
        while (found := self._above.get(len(row))) and found[1] >= self._number:
            row.append(found[0])

    def _end_row(self) -> None:
        self._end_cell()
        if self._row is not None:
            self._go_on(self._row)
            self.rows.append((self._line, self._row))
        self._row = None


class _Cell:
    """A cell that has not ended; it spans so many columns and rows."""

    def __init__(self, right: int, down: int) -> None:
        self.right, self.down = right, down
        self.text: list[str] = []
        self.in_picture = False
        """Whether the link is open still that leads to a picture: what is shown in it is a small one of it."""
        self._pictures: list[str] = []
        self._linked = False
        self._target = ""
        self._size = 0

    def grow(self, size: int) -> None:
        """Count characters; raises csv.Error when there are too many."""
        self._size += size
        if self._size > _MAX_PIECE:
            raise csv.Error(f"a cell of more than {_MAX_PIECE} characters")

    def show(self, source: str) -> None:
        """Note a picture in it."""
        self.grow(len(source))
        if source and not self.in_picture:
            self._pictures.append(source)

    def link(self, target: str) -> None:
        """Note a link in it."""
        self.in_picture = False
        if PurePosixPath(target.partition("?")[0]).suffix.lower() in IMAGE_SUFFIXES:
            self.show(target)
            self._linked = self.in_picture = True
        self._target = self._target or target

    def whole(self) -> str:
        """What it holds: its text and what that is linked to, else pictures or a link."""
        lines = (" ".join(line.split()).strip(BLANK) for line in "".join(self.text).split("\n"))
        text, pictures = "\n".join(filter(None, lines)), "\n".join(self._pictures)
        if text and self._target:
            if self._linked and names_pictures(text):
                return pictures  # where the files lie whose names are shown
            return Linked(text, pictures if self._linked else self._target)
        return text or pictures or self._target


def _span(attrs: list[tuple[str, str | None]], name: str) -> int:
    with suppress(ValueError):
        return min(max(int(dict(attrs).get(name) or 1), 1), _MAX_SPAN)
    return 1
