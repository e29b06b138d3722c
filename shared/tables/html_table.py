"""Tables of HTML pages, which 1C, Bitrix and others save under the suffix .xls, since Excel opens them."""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterator
from contextlib import suppress
from html.parser import HTMLParser

from packsight.shared.contract.errors import UserError
from packsight.shared.tables.cells import Readable
from packsight.shared.tables.encoding import Recoder

_CHUNK = 64 * 1024
_HEAD = 4096
"""Bytes within which a page says its encoding."""
_DECLARED = re.compile(rb"""charset\s*=\s*["']?([A-Za-z0-9._-]{1,40})""", re.IGNORECASE)
_MAX_PIECE = 1_000_000
"""Characters between two tags; a longer piece is not a table's."""
_MAX_CELLS = 16_384
"""Cells of a row: as many columns as Excel has."""
_MAX_SPAN = 1000
"""Columns that one cell may span; Excel writes cells that span all there are."""


def records(stream: Readable, name: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the line and the cells of each row of all tables; a cell without text is the picture or link in it.

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
        self._line = 0
        self._row: list[str] | None = None
        self._cell: list[str] | None = None
        self._target = ""
        self._span = 1
        self._size = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin a row or a cell, or note what a cell has beside text."""
        if tag == "tr":
            self._end_row()
            self._line, self._row = self.getpos()[0], []
        elif tag in {"td", "th"}:
            self._end_cell()
            self._cell, self._target, self._span, self._size = [], "", 1, 0
            with suppress(ValueError):
                self._span = min(max(int(dict(attrs).get("colspan") or 1), 1), _MAX_SPAN)
        elif tag == "br" and self._cell is not None:
            self._cell.append("\n")
        elif tag in {"img", "a"}:
            self._target = self._target or dict(attrs).get("src" if tag == "img" else "href") or ""

    def handle_endtag(self, tag: str) -> None:
        """End a row or a cell."""
        if tag in {"td", "th"}:
            self._end_cell()
        elif tag in {"tr", "table"}:
            self._end_row()

    def handle_data(self, data: str) -> None:
        """Text counts inside of cells; its line breaks are spaces."""
        if self._cell is not None:
            self._size += len(data)
            if self._size > _MAX_PIECE:
                raise csv.Error(f"a cell of more than {_MAX_PIECE} characters")
            self._cell.append(re.sub(r"\s+", " ", data))

    def close(self) -> None:
        """Let the last row end where the page does."""
        super().close()
        self._end_row()

    def _end_cell(self) -> None:
        if self._cell is not None and self._row is not None:
            if len(self._row) + self._span > _MAX_CELLS:
                raise csv.Error(f"a row of more than {_MAX_CELLS} cells")
            lines = (" ".join(line.split()) for line in "".join(self._cell).split("\n"))
            self._row += ["\n".join(filter(None, lines)) or self._target.strip(), *[""] * (self._span - 1)]
        self._cell = None

    def _end_row(self) -> None:
        self._end_cell()
        if self._row is not None:
            self.rows.append((self._line, self._row))
        self._row = None
