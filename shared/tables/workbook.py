"""Workbooks of Excel and of its like, sheet by sheet, with bounds for what a file may take."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import zipfile
from collections.abc import Collection, Iterator
from contextlib import suppress
from typing import IO

from packsight.shared import launch
from packsight.shared.contract.errors import UserError
from packsight.shared.tables.linked import Linked
from packsight.shared.tables.merged import COVERED

SIGNATURES = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
"""First bytes of .xlsx and .ods, which are ZIP files, and of .xls."""
MAX_UNPACKED = 2_000_000_000
MAX_RATIO = 200
"""How much larger a workbook may be than its file. Real ones have tenfold; a bomb has a thousandfold."""
MEMORY = 3_000_000_000
"""Bytes for whoever reads a workbook; a sheet that spans MAX_SPAN takes some 2.5 billion."""
MAX_SPAN = 40_000_000
"""Cells that a sheet of .xlsx may span, empty ones too, each of which takes 60 bytes of memory: a million rows of forty."""
SPARSE = 1000
"""How many cells a sheet may span for each that it has: two in opposite corners would span seventeen thousand million."""
_PLACE = re.compile(rb"""\br=["']([A-Z]{1,3})(\d{1,7})["']""")
"""Where a cell is; of a row only the number is said."""
_LONGEST = 16
"""Bytes of such words, at most."""
_PIECE = 1 << 20
_PARTS = frozenset(("[Content_Types].xml", "mimetype", "content.xml"))
"""One of which each workbook has that is a ZIP file."""
_FOREIGN = {
    re.compile(r"^word/"): "a document of Word",
    re.compile(r"^ppt/"): "a presentation",
    re.compile(r"\.iwa$|^Index\.zip$"): "a document of Numbers, or of another of Apple's programs",
}
"""By the names of their parts."""


def records(data: bytes, name: str) -> Iterator[tuple[str, int, list[str]]]:
    """Yield the sheet, the number from 1 and the cells of each row, hidden sheets last.

    Raises UserError when it is no workbook, or a bomb.
    """
    _check(data, name)
    command = launch.python("packsight.shared.tables.sheet", str(MEMORY))
    safe = {**os.environ, "PYTHONSAFEPATH": "1"}
    with subprocess.Popen(  # noqa: S603 - our own command line
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=safe
    ) as reader:
        sent, written = reader.stdin, reader.stdout
        assert sent is not None  # noqa: S101 - it is a pipe
        assert written is not None  # noqa: S101
        try:
            with suppress(BrokenPipeError), sent:  # of a reader that has ended; why is told below
                sent.write(data)
            sheet, number = "", 0
            for line in written:
                if not line.endswith(b"\n"):
                    break  # it ended in the midst of it
                row = json.loads(line)
                if not isinstance(row, dict):
                    number += 1
                    yield sheet, number, [_cell(cell) for cell in row]
                elif "sheet" in row:
                    sheet, number = row["sheet"], 0
                else:
                    why = row["error"]
                    raise UserError(f"{name} is a workbook that cannot be read ({why}). Save it anew as .xlsx or as CSV.")
            reader.wait()
        finally:
            reader.kill()  # where nobody wants the rest
    if reader.returncode:
        raise UserError(f"{name} takes more than {MEMORY:,} bytes of memory to be read. Move its cells together, or use CSV.")


def _cell(cell: str | list[str] | None) -> str:
    if isinstance(cell, str):
        return cell
    return COVERED if cell is None else Linked(*cell)


def is_document(names: Collection[str]) -> bool:
    """Whether a ZIP file with files of these names is a workbook, or something else that an office program saves."""
    return not _PARTS.isdisjoint(names) or bool(_foreign(names))


def _foreign(names: Collection[str]) -> str:
    """What it is that is no workbook; empty where it may be one."""
    return next((what for part, what in _FOREIGN.items() if any(part.search(name) for name in names)), "")


def _check(data: bytes, name: str) -> None:
    if not data.startswith(b"PK"):
        return
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
            size = sum(entry.file_size for entry in archive.infolist())
    except zipfile.BadZipFile as error:
        raise UserError(f"{name} is a broken ZIP file ({error}). Save the workbook anew, and copy it whole.") from None
    if size > min(MAX_UNPACKED, MAX_RATIO * len(data)):
        raise UserError(f"{name} unpacks to {size} bytes, which no workbook of its size does. Check the file.")
    if what := _foreign(names):
        raise UserError(f"{name} is {what}, which is not read. Save its table as .xlsx, or as CSV in UTF-8.")
    if not is_document(names):
        raise UserError(f"{name} is a ZIP file without a workbook in it ({', '.join(names)[:200]}). Unpack it.")
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
