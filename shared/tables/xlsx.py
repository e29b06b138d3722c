"""What stands in .xlsx beside values: numbers with leading zeros as they are shown, links, and pictures.

ECMA-376, part 1: 18.3.1.4 (cells), 18.3.1.47 (links), 18.8.30 (number formats), 20.5 (drawings).
"""

from __future__ import annotations

import io
import posixpath
import re
import zipfile
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote
from xml.parsers import expat

from packsight.shared.tables.linked import Linked

Attributes = Mapping[str, str]
_BOOK = "xl/workbook.xml"
_PIECE = 1 << 20
_NAMES = re.compile(rb"HYPERLINK\(|IMAGE\(|DISPIMG\(|<(?:\w+:)?hyperlink\b|\svm=")
"""What a sheet has whose cells have more than values."""
_LONGEST = 64
"""Bytes of such a name, at most."""
_ASIDE = re.compile(r"\[[^\]]*\]|_.|\*.")
"""What a number format says of colours, conditions and the width of a cell."""
_PADDED = re.compile(r'(?:"[^"]*"|\\.|[ /()+:-])*0(?:0|"[^"]*"|\\.|[ /()+:-])*0(?:"[^"]*"|\\.|[ /()+:-])*')
"""One for whole numbers that always has several digits; literals may stand between them."""
_PART = re.compile(r'"([^"]*)"|\\(.)|(.)')
_CELL = re.compile(r"([A-Z]{1,3})(\d{1,7})")
_LEADS = re.compile(
    r'\s*(?:_xlfn\.)?(?:HYPERLINK|IMAGE)\(\s*(?:"((?:[^"]|"")*)"|\$?([A-Z]{1,3})\$?(\d{1,7}))\s*(?:,\s*"((?:[^"]|"")*)"\s*)?[,)]'
)
"""A formula that leads somewhere: where, or the cell that says it, and what is shown instead."""
_UNREAD = re.compile(r"#[A-Z/0]+[!?]?|=.*", re.DOTALL)
"""What is kept as the value of a formula for a picture: an error, or the formula itself."""
_ELSEWHERE = re.compile(r"#|mailto:|tel:|javascript:", re.IGNORECASE)
"""The beginning of a link that leads to nothing that can be fetched."""


@dataclass
class Extra:
    """What a cell has beside its value."""

    format: str = ""
    target: str = ""
    at: int = -1
    """Column, from 0, of the cell in the same row that says where it leads."""
    shown: str = ""
    """What is shown of a formula that has no value."""
    pictured: bool = False

    def cell(self, text: str, row: Mapping[int, str]) -> str:
        """The cell, which has this text; row: the texts of its row by column."""
        if self.format and text.isdecimal():
            text = _padded(text, self.format)
        target = self.target or row.get(self.at, "")
        if target:
            return Linked(_shown(text) or self.shown, target)
        return Linked(_shown(text), "") if self.pictured else text


Cells = Mapping[int, Mapping[int, Extra]]
"""By row and column, from 0."""


class Beside:
    """What the cells of a workbook have beside values; nothing in a file that is no .xlsx.

    Raises zipfile.BadZipFile, KeyError and expat.ExpatError for what is damaged.
    """

    def __init__(self, data: bytes) -> None:
        self._parts: dict[str, str] = {}
        if not data.startswith(b"PK"):
            return
        self._archive = zipfile.ZipFile(io.BytesIO(data))
        if _BOOK in self._archive.namelist():
            self._formats = _formats(self._archive)
            parts = _related(self._archive, _BOOK)
            for sheet in _elements(self._archive, _BOOK, "sheet"):
                if (related := parts.get(_by_name(sheet, "id"))) is not None:
                    self._parts[sheet.get("name", "")] = related[1]

    def cells(self, sheet: str) -> Cells:
        """Of the sheet of this name."""
        return _cells(self._archive, self._parts[sheet], self._formats) if sheet in self._parts else {}


def _cells(archive: zipfile.ZipFile, part: str, formats: Mapping[str, str]) -> Cells:
    found: defaultdict[int, defaultdict[int, Extra]] = defaultdict(lambda: defaultdict(Extra))
    related = _related(archive, part)
    for kind, drawing in related.values():
        if kind == "drawing" and drawing in archive.namelist():
            for row, column in _anchors(archive, drawing):
                found[row][column].pictured = True
    if formats or _is_named(archive, part):
        sheet = _Sheet(found, formats, {identity: target for identity, (kind, target) in related.items() if kind == "hyperlink"})
        _parse(archive, part, sheet.start, sheet.end, sheet.text)
    return found


class _Sheet:
    """Gathers what cells have beside values."""

    def __init__(
        self, found: defaultdict[int, defaultdict[int, Extra]], formats: Mapping[str, str], targets: Mapping[str, str]
    ) -> None:
        self._found, self._formats, self._targets = found, formats, targets
        self._row = self._column = -1
        self._formula: list[str] | None = None

    def start(self, name: str, attributes: Attributes) -> None:
        if name == "c":
            place = attributes.get("r", "")
            self._column = _column(place) if place else self._column + 1
            if (shown := self._formats.get(attributes.get("s", ""))) is not None and attributes.get("t", "n") == "n":
                self._found[self._row][self._column].format = shown
            if attributes.get("t") == "e" and "vm" in attributes:
                self._found[self._row][self._column].pictured = True
        elif name == "row":
            self._row, self._column = int(attributes.get("r", self._row + 2)) - 1, -1
        elif name == "f":
            self._formula = []
        elif name == "hyperlink":
            self._link(attributes.get("ref", ""), self._targets.get(_by_name(attributes, "id"), ""))

    def text(self, text: str) -> None:
        if self._formula is not None:
            self._formula.append(text)

    def end(self, name: str) -> None:
        if name != "f" or self._formula is None:
            return
        formula, self._formula = "".join(self._formula), None
        if leads := _LEADS.match(formula):
            target, column, row, shown = leads.groups()
            cell = self._found[self._row][self._column]
            if target and not _ELSEWHERE.match(target):
                cell.target = target.replace('""', '"')
            elif column and int(row) == self._row + 1:
                cell.at = _column(column)
            cell.shown = (shown or "").replace('""', '"')
        elif "DISPIMG(" in formula:
            self._found[self._row][self._column].pictured = True

    def _link(self, place: str, target: str) -> None:
        """A link of a cell, or of the first of several."""
        if target and not _ELSEWHERE.match(target) and (cell := _CELL.match(place)):
            self._found[int(cell[2]) - 1][_column(cell[1])].target = target


def _shown(text: str) -> str:
    return "" if _UNREAD.fullmatch(text) else text


def _formats(archive: zipfile.ZipFile) -> dict[str, str]:
    """By the number of a style, as cells name it, its number format, of those alone that show leading zeros."""
    if "xl/styles.xml" not in archive.namelist():
        return {}
    codes: dict[str, str] = {}
    styles: list[str] = []
    within: list[str] = []

    def start(name: str, attributes: Attributes) -> None:
        within.append(name)
        if name == "numFmt":
            codes[attributes.get("numFmtId", "")] = attributes.get("formatCode", "")
        elif name == "xf" and "cellXfs" in within:
            styles.append(attributes.get("numFmtId", ""))

    def end(_: str) -> None:
        within.pop()

    _parse(archive, "xl/styles.xml", start, end)
    plain = {identity: _ASIDE.sub("", code.partition(";")[0]) for identity, code in codes.items()}
    return {str(number): plain[one] for number, one in enumerate(styles) if _PADDED.fullmatch(plain.get(one, ""))}


@lru_cache(maxsize=1000)
def _literals(code: str) -> tuple[str, ...]:
    """The parts of a format from the right: a literal, or nothing for a digit."""
    parts = [quoted or escaped or ("" if one == "0" else one) for quoted, escaped, one in _PART.findall(code)]
    return tuple(reversed(parts))


def _padded(digits: str, code: str) -> str:
    """A whole number as its format shows it; digits for which it has no place stand before the first that it has one for."""
    parts = _literals(code)
    digits = digits.zfill(parts.count(""))
    rest, places, shown = list(digits), parts.count(""), []
    for part in parts:
        if part:
            shown.append(part)
            continue
        places -= 1
        shown += [rest.pop()] if places else reversed(rest)
    return "".join(reversed(shown))


def _anchors(archive: zipfile.ZipFile, part: str) -> list[tuple[int, int]]:
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

    _parse(archive, part, start, end, text.append)
    return found


def _related(archive: zipfile.ZipFile, part: str) -> dict[str, tuple[str, str]]:
    """By the identity of each relationship of a part its kind, and the part, or the address, that it leads to."""
    folder, name = posixpath.split(part)
    relations = f"{folder}/_rels/{name}.rels"
    if relations not in archive.namelist():
        return {}
    found = {}
    for one in _elements(archive, relations, "Relationship"):
        target = one.get("Target", "")
        if one.get("TargetMode") != "External":
            target = posixpath.normpath(posixpath.join("/", folder, target)).lstrip("/")
        elif "://" not in target:
            target = unquote(target)
        found[one.get("Id", "")] = (posixpath.basename(one.get("Type", "")), target)
    return found


def _elements(archive: zipfile.ZipFile, part: str, wanted: str) -> list[Attributes]:
    found: list[Attributes] = []
    _parse(archive, part, lambda name, attributes: found.append(attributes) if name == wanted else None)
    return found


def _parse(
    archive: zipfile.ZipFile,
    part: str,
    start: Callable[[str, Attributes], None],
    end: Callable[[str], None] | None = None,
    text: Callable[[str], None] | None = None,
) -> None:
    """Read a part, telling of elements by their names without their spaces'."""
    parser = expat.ParserCreate()
    parser.StartElementHandler = lambda name, attributes: start(name.rpartition(":")[2], attributes)
    if end is not None:
        parser.EndElementHandler = lambda name: end(name.rpartition(":")[2])
    if text is not None:
        parser.CharacterDataHandler = text
    with archive.open(part) as file:
        parser.ParseFile(file)


def _is_named(archive: zipfile.ZipFile, part: str) -> bool:
    with archive.open(part) as file:
        text = b""
        while piece := file.read(_PIECE):
            text = text[-_LONGEST:] + piece
            if _NAMES.search(text):
                return True
    return False


def _by_name(attributes: Attributes, name: str) -> str:
    """The attribute of this name, whatever space it is of."""
    return next((value for key, value in attributes.items() if key.rpartition(":")[2] == name and ":" in key), "")


def _column(place: str) -> int:
    """Number of a cell's column, from 0."""
    number = 0
    for letter in place:
        if not letter.isalpha():
            break
        number = number * 26 + ord(letter) - 64
    return number - 1
