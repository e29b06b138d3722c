"""Workbooks of Excel and of its like, by calamine: the first sheet that has anything in it."""

from __future__ import annotations

import datetime
import io
import re
import zipfile
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any

from packsight.shared.contract.errors import UserError

if TYPE_CHECKING:
    from python_calamine import CalamineSheet

SIGNATURES = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
"""First bytes of .xlsx and .ods, which are ZIP files, and of .xls."""
MAX_UNPACKED = 2_000_000_000
MAX_RATIO = 200
"""How much larger a workbook may be than its file. Real ones have tenfold; a bomb has a thousandfold."""
MAX_SPAN = 40_000_000
"""Cells that a sheet of .xlsx may span, empty ones too, each of which takes 32 bytes of memory: a million rows of forty."""
SPARSE = 1000
"""How many cells a sheet may span for each that it has: two in opposite corners would span seventeen thousand million."""
_PLACE = re.compile(rb"""\br=["']([A-Z]{1,3})(\d{1,7})["']""")
"""Where a cell is; of a row only the number is said."""
_LONGEST = 16
"""Bytes of such words, at most."""
_PIECE = 1 << 20


def records(data: bytes, name: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the number from 1 and the cells of each row; raises UserError when it is no workbook, or a bomb."""
    from python_calamine import CalamineError, CalamineWorkbook  # noqa: PLC0415 - most tables are text

    _check(data, name)
    try:
        book = CalamineWorkbook.from_filelike(io.BytesIO(data))
        sheets = [book.get_sheet_by_name(sheet) for sheet in book.sheet_names]
    except (CalamineError, OSError, ValueError, zipfile.BadZipFile) as error:
        raise UserError(f"{name} is a workbook that cannot be read ({error}). Save it anew as .xlsx or as CSV.") from None
    for number, row in enumerate(_rows(sheets), start=1):
        yield number, [_text(cell) for cell in row]


def _rows(sheets: list[CalamineSheet]) -> Iterator[list[Any]]:
    filled = next((sheet for sheet in sheets if sheet.total_height), None)
    if filled is not None:
        yield from filled.iter_rows()


def _check(data: bytes, name: str) -> None:
    if not data.startswith(b"PK"):
        return
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
    except zipfile.BadZipFile as error:
        raise UserError(f"{name} is a broken ZIP file ({error}). Save the workbook anew.") from None
    if size > min(MAX_UNPACKED, MAX_RATIO * len(data)):
        raise UserError(f"{name} unpacks to {size} bytes, which no workbook of its size does. Check the file.")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for sheet in (entry for entry in archive.infolist() if entry.filename.startswith("xl/worksheets/")):
            with archive.open(sheet) as file:
                cells, span = _extent(file)
            if span > min(MAX_SPAN, SPARSE * cells):
                raise UserError(f"A sheet of {name} has {cells:,} cells on {span:,} places. Move them together, or use CSV.")


def _extent(sheet: IO[bytes]) -> tuple[int, int]:
    """How many cells a sheet has, and how many places the rectangle around them."""
    cells, text, columns, rows = 0, b"", set[bytes](), set[int]()
    while piece := sheet.read(_PIECE):
        text = text[-_LONGEST:] + piece
        found = _PLACE.findall(text)
        cells += len(found)
        columns.update(column for column, _ in found)
        if numbers := [int(row) for _, row in found]:
            rows |= {min(numbers), max(numbers)}
    places = [_number(column) for column in columns]
    return cells, (max(places) - min(places) + 1) * (max(rows) - min(rows) + 1) if cells else 0


def _number(column: bytes) -> int:
    """Number of a column: A is 1, AA is 27."""
    number = 0
    for letter in column:
        number = number * 26 + letter - 64
    return number


def _text(cell: object) -> str:
    """A cell as it is shown: whole numbers without a point, since ids and article numbers are kept as numbers."""
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 1e15:
        return str(int(cell))
    if isinstance(cell, datetime.date | datetime.time):
        return cell.isoformat()
    return str(cell).strip()
