"""What stands in .xlsx beside values: numbers with leading zeros as they are shown, links, and pictures.

ECMA-376, part 1: 18.3.1.4 (cells), 18.3.1.47 (links), 20.5 (drawings).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from xml.parsers import expat

from packsight.shared.tables.linked import Linked
from packsight.shared.tables.xlsx_formats import padded, padding_formats
from packsight.shared.tables.xlsx_parts import Archive, Attributes, by_name, elements, parse, related_to, undamaged

_BOOK = "xl/workbook.xml"
_PIECE = 1 << 20
_NAMES = (b"HYPERLINK(", b"IMAGE(", b"DISPIMG(", b"hyperlink", b"vm=")
"""What a sheet has whose cells have more than values."""
_LONGEST = 64
"""Bytes of such a name, at most."""
_PLACE = re.compile(r"([A-Z]{1,3})(\d{1,7})(?::([A-Z]{1,3})(\d{1,7}))?")
_SPREAD = 100_000
"""Cells of a sheet that links of several cells reach beside their first ones, at most: a link may span a million rows."""
_LEADS = re.compile(
    r'\s*(?:_xlfn\.)?(?:HYPERLINK|IMAGE)\(\s*(?:"((?:[^"]|"")*)"|(\$?)([A-Z]{1,3})(\$?)(\d{1,7}))\s*'
    r'(?:,\s*"((?:[^"]|"")*)"\s*)?[,)]'
)
"""A formula that leads somewhere: where, or the cell that says it, and what is shown instead."""
_ERRORS = frozenset((
    "#BLOCKED!", "#BUSY!", "#CALC!", "#CONNECT!", "#DIV/0!", "#EXTERNAL!", "#FIELD!", "#GETTING_DATA", "#N/A", "#NAME?", "#NULL!",
    "#NUM!", "#PYTHON!", "#REF!", "#SPILL!", "#UNKNOWN!", "#VALUE!",
))  # fmt: skip
"""What Excel keeps as the value of a formula that it could not compute."""
_ELSEWHERE = re.compile(r"#|mailto:|tel:|javascript:", re.IGNORECASE)
"""The beginning of a link that leads to nothing that can be fetched."""


@dataclass(slots=True)
class Extra:
    """What a cell has beside its value and format."""

    target: str = ""
    at: int = -1
    """Column, from 0, of the cell in the same row that says where it leads."""
    shown: str = ""
    """What is shown of a formula that has no value."""
    computed: bool = False
    """Whether it has a formula that leads somewhere or shows a picture."""
    pictured: bool = False
    following: bool = False
    """Whether its link begins in another cell: without a text it may be covered by that one."""

    def cell(self, text: str, row: Mapping[int, str]) -> str:
        """The cell, which has this text; row: the texts of its row by column."""
        if self.following and not text:
            return text
        if text in _ERRORS or (self.computed and text.startswith("=")):
            text = ""
        target = self.target or row.get(self.at, "")
        if target:
            return Linked(text or self.shown, target)
        return Linked(text, "") if self.pictured else text


_Formats = tuple[tuple[int, str], ...]
"""Columns, from 0, and the formats of their cells."""


@dataclass(slots=True)
class Cells:
    """What the cells of a sheet have beside values, by row and column from 0."""

    formats: dict[int, _Formats] = field(default_factory=dict)
    """By row; rows with the same formats share them."""
    extras: defaultdict[int, defaultdict[int, Extra]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(Extra)))

    def row(self, number: int, texts: Sequence[str], left: int) -> list[str]:
        """The cells of a row that have these texts; left: the column of the first."""
        cells = list(texts)
        for column, code in self.formats.get(number, ()):
            at = column - left
            if 0 <= at < len(cells) and cells[at].isdecimal():
                cells[at] = padded(cells[at], code)
        if number in self.extras:
            by_column = dict(enumerate(texts, left))
            for column, extra in self.extras[number].items():
                if column in by_column:
                    cells[column - left] = extra.cell(cells[column - left], by_column)
        return cells


class Beside:
    """What the cells of a workbook have beside values; nothing where it is no .xlsx, or of damaged parts."""

    def __init__(self, data: bytes) -> None:
        self._parts: dict[str, str] = {}
        self._formats: dict[str, str] = {}
        if not data.startswith(b"PK"):
            return
        with undamaged():
            self._archive = Archive(data)
            if _BOOK in self._archive:
                parts = related_to(self._archive, _BOOK)
                for sheet in elements(self._archive, _BOOK, "sheet"):
                    if (related := parts.get(by_name(sheet, "id"))) is not None:
                        self._parts[sheet.get("name", "")] = related[1]
                with undamaged():
                    self._formats = padding_formats(self._archive)

    def cells(self, sheet: str) -> Cells:
        """Of the sheet of this name."""
        return _cells(self._archive, self._parts[sheet], self._formats) if sheet in self._parts else Cells()


def _cells(archive: Archive, part: str, formats: Mapping[str, str]) -> Cells:
    related = related_to(archive, part)
    pictured: list[tuple[int, int]] = []
    for kind, drawing in related.values():
        if kind == "drawing":
            with undamaged():
                pictured += _anchors(archive, drawing)
    targets = {identity: target for identity, (kind, target) in related.items() if kind == "hyperlink"}
    found = Cells()
    with undamaged():
        if _is_named(archive, part, formats):
            found = _Sheet(formats, targets).read(archive, part)
    for row, column in pictured:
        found.extras[row][column].pictured = True
    return found


class _Sheet:
    """Gathers what cells have beside values."""

    def __init__(self, formats: Mapping[str, str], targets: Mapping[str, str]) -> None:
        self._found, self._formats, self._targets = Cells(), formats, targets
        self._row = self._column = -1
        self._place = ""
        """Of the cell that has begun, where it says it; its column is found when it is asked for."""
        self._format: str | None = None
        """Of the cell that has begun, until its value."""
        self._row_formats: list[tuple[int, str]] = []
        self._same: dict[_Formats, _Formats] = {}
        self._formula: list[str] = []
        self._shared: str | None = None
        """Under which the formula that has begun is known to others."""
        self._known: dict[str, tuple[re.Match[str], int, int]] = {}
        """By how shared formulas are known where they lead, and the row and column in which they are written."""
        self._left = _SPREAD
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True

    def read(self, archive: Archive, part: str) -> Cells:
        """What is found in a part."""
        self._parser.StartElementHandler = self._start
        with archive.open(part) as file:
            self._parser.ParseFile(file)
        self._end_row()
        return self._found

    def _start(self, name: str, attributes: Attributes) -> None:
        if ":" in name:
            name = name.rpartition(":")[2]
        if name == "v":
            if self._format is not None:
                self._row_formats.append((self._at(), self._format))
        elif name == "c":
            if place := attributes.get("r"):
                self._place = place
            else:
                self._column, self._place = self._at() + 1, ""
            self._format = self._formats.get(attributes.get("s", ""))
            if (kind := attributes.get("t", "n")) != "n":
                self._format = None
                if kind == "e" and "vm" in attributes:
                    self._found.extras[self._row][self._at()].pictured = True
        elif name == "row":
            self._end_row()
            self._row, self._column, self._place = int(attributes.get("r", self._row + 2)) - 1, -1, ""
        elif name == "f":
            self._shared = attributes.get("si") if attributes.get("t") == "shared" else None
            self._formula.clear()
            self._parser.CharacterDataHandler = self._formula.append
            self._parser.EndElementHandler = self._end_formula
        elif name == "hyperlink":
            self._link(attributes.get("ref", ""), self._targets.get(by_name(attributes, "id"), ""))

    def _at(self) -> int:
        """Column of the cell that has begun."""
        return _column(self._place.rstrip("0123456789")) if self._place else self._column

    def _end_row(self) -> None:
        if self._row_formats:
            formats = self._found.formats.get(self._row, ()) + tuple(self._row_formats)
            self._found.formats[self._row] = self._same.setdefault(formats, formats)
            self._row_formats.clear()

    def _end_formula(self, _: str) -> None:
        self._parser.CharacterDataHandler = self._parser.EndElementHandler = None
        formula = "".join(self._formula)
        if leads := _LEADS.match(formula):
            self._lead(leads, self._row, self._at())
            if self._shared is not None:
                self._known[self._shared] = leads, self._row, self._at()
        elif "DISPIMG(" in formula:
            extra = self._found.extras[self._row][self._at()]
            extra.pictured = extra.computed = True
        elif not formula and self._shared in self._known:
            self._lead(*self._known[self._shared])

    def _lead(self, leads: re.Match[str], row: int, column: int) -> None:
        """Note a formula of this cell, which is written in that row and column: what it names has moved as far as it has."""
        target, fixed_column, named_column, fixed_row, named_row, shown = leads.groups()
        extra = self._found.extras[self._row][self._at()]
        extra.computed = True
        extra.shown = (shown or "").replace('""', '"')
        if target and not _ELSEWHERE.match(target):
            extra.target = target.replace('""', '"')
        elif named_column and int(named_row) - 1 == (self._row if fixed_row else row):
            extra.at = _column(named_column) + (0 if fixed_column else self._at() - column)

    def _link(self, place: str, target: str) -> None:
        """A link of one cell, or of several."""
        if not target or _ELSEWHERE.match(target) or not (cells := _PLACE.match(place)):
            return
        left, top = _column(cells[1]), int(cells[2]) - 1
        right, bottom = (_column(cells[3]), int(cells[4]) - 1) if cells[3] else (left, top)
        self._note(top, left, target)
        for row in range(top, bottom + 1):
            for column in range(left, right + 1):
                if (row, column) == (top, left):
                    continue
                if not self._left:
                    return
                self._left -= 1
                self._note(row, column, target, following=True)

    def _note(self, row: int, column: int, target: str, *, following: bool = False) -> None:
        extra = self._found.extras[row][column]
        if not (following and (extra.target or extra.computed)):  # else it has a link of its own
            extra.target, extra.following = target, following


def _anchors(archive: Archive, part: str) -> list[tuple[int, int]]:
    """Row and column of the cells in whose corners pictures begin."""
    found: list[tuple[int, int]] = []
    place: dict[str, int] = {}
    text: list[str] = []
    within: list[str] = []

    def start(name: str, _: Attributes) -> None:
        within.append(name)
        text.clear()
        if name == "pic" and len(place) == 2:
            found.append((place["row"], place["col"]))

    def end(name: str) -> None:
        within.pop()
        if name in {"row", "col"} and within[-1:] == ["from"]:
            place[name] = int("".join(text))

    parse(archive, part, start, end, text.append)
    return found


def _is_named(archive: Archive, part: str, formats: Mapping[str, str]) -> bool:
    """Whether a sheet has cells that lead somewhere, show a picture, or have one of the formats."""
    names = [*_NAMES, *(f"s={mark}{style}{mark}".encode() for style in formats for mark in "\"'")]
    with archive.open(part) as file:
        text = b""
        while piece := file.read(_PIECE):
            text = text[-_LONGEST:] + piece
            if any(name in text for name in names):
                return True
    return False


@lru_cache(maxsize=1000)
def _column(letters: str) -> int:
    """Number of a column, from 0."""
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - 64
    return number - 1
