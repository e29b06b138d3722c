"""Workbooks of Excel and of its like, by calamine: the first sheet that has anything in it."""

from __future__ import annotations

import datetime
import io
import zipfile
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from packsight.shared.contract.errors import UserError

if TYPE_CHECKING:
    from python_calamine import CalamineSheet

SIGNATURES = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
"""First bytes of .xlsx and .ods, which are ZIP files, and of .xls."""
MAX_UNPACKED = 2_000_000_000
MAX_RATIO = 200
"""How much larger a workbook may be than its file. Real ones have tenfold; a bomb has a thousandfold."""


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


def _text(cell: object) -> str:
    """A cell as it is shown: whole numbers without a point, since ids and article numbers are kept as numbers."""
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 1e15:
        return str(int(cell))
    if isinstance(cell, datetime.date | datetime.time):
        return cell.isoformat()
    return str(cell).strip()
