"""The sheets of a workbook that have anything in them, read by calamine in a process of its own whose memory is bounded.

    python -m packsight.shared.tables.sheet BYTES < WORKBOOK

Of most kinds of workbooks only reading them tells how much they span: two cells of .ods in opposite corners are a file of a
kilobyte and take all memory that there is. Each row is written as a line of JSON, with null for cells that one to the left spans,
and a pair for cells that lead somewhere or that a picture lies in, as `linked.Linked` has them; an object in the place of a row
says which sheet begins, or why no more can be read.
"""

from __future__ import annotations

import datetime
import io
import json
import resource
import sys
import zipfile
from collections.abc import Iterator
from contextlib import suppress

from python_calamine import CalamineError, CalamineSheet, CalamineWorkbook, SheetTypeEnum, SheetVisibleEnum

from packsight.shared.tables import xlsx
from packsight.shared.tables.cells import BLANK
from packsight.shared.tables.linked import Linked

Cell = str | tuple[str, str] | None


def rows(data: bytes) -> Iterator[list[Cell] | dict[str, str]]:
    """The name of each sheet and the cells of each of its rows, hidden sheets last; raises what calamine does."""
    book = CalamineWorkbook.from_filelike(io.BytesIO(data))
    beside = xlsx.Beside(data)
    for about in sorted(book.sheets_metadata, key=lambda about: about.visible != SheetVisibleEnum.Visible):
        if about.typ == SheetTypeEnum.WorkSheet:
            sheet = book.get_sheet_by_name(about.name)
            if sheet.height:
                yield {"sheet": about.name}
                yield from _merged(sheet, beside.cells(about.name))


def _merged(sheet: CalamineSheet, beside: xlsx.Cells) -> Iterator[list[Cell]]:
    """Rows; what stands in a merged cell stands in each row that it spans."""
    left = sheet.start[1] if sheet.start else 0  # rows are counted from the sheet's first, columns from the first that is filled
    ahead = sorted(sheet.merged_cell_ranges or (), reverse=True)
    spans: list[tuple[int, int, int, Cell]] = []
    for number, cells in enumerate(sheet.iter_rows()):
        texts = [_text(cell) for cell in cells]
        dressed = beside.row(number, texts, left)
        row: list[Cell] = [(str(cell), cell.target) if isinstance(cell, Linked) else cell for cell in dressed]
        while ahead and ahead[-1][0][0] == number:
            (_, first), (last, end) = ahead.pop()
            if 0 <= first - left < len(row):
                spans.append((first - left, end - left, last, row[first - left] or ""))
        for first, end, _, text in spans:
            row[first] = text
            row[first + 1 : end + 1] = [cell or None for cell in row[first + 1 : end + 1]]
        spans = [span for span in spans if span[2] > number]
        yield row


def _text(cell: object) -> str:
    """A cell as it is shown: whole numbers without a point, since ids and article numbers are kept as numbers."""
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 1e15:
        return str(int(cell))
    if isinstance(cell, datetime.date | datetime.time):
        return cell.isoformat()
    return str(cell).strip(BLANK)


def main(most: int) -> None:
    """Read standard input and write rows, in `most` bytes of memory."""
    for limit, value in ((resource.RLIMIT_AS, most), (resource.RLIMIT_CORE, 0)):
        with suppress(ValueError, OSError):  # not every system has these limits
            resource.setrlimit(limit, (value, value))
    try:
        for row in rows(sys.stdin.buffer.read()):
            print(json.dumps(row))
    except (CalamineError, OSError, ValueError, zipfile.BadZipFile) as error:
        print(json.dumps({"error": str(error)}))


if __name__ == "__main__":
    main(int(sys.argv[1]))
