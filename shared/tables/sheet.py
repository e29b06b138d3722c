"""The first sheet of a workbook that has anything in it, read by calamine in a process of its own whose memory is bounded.

    python -m packsight.shared.tables.sheet BYTES < WORKBOOK

Of most kinds of workbooks only reading them tells how much they span: two cells of .ods in opposite corners are a file of a
kilobyte and take all memory that there is. Each row is written as a line of JSON; an object in the place of one says why no more
can be read.
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

from python_calamine import CalamineError, CalamineWorkbook


def rows(data: bytes) -> Iterator[list[str]]:
    """Cells of each row; raises what calamine does."""
    book = CalamineWorkbook.from_filelike(io.BytesIO(data))
    sheets = (book.get_sheet_by_name(name) for name in book.sheet_names)
    filled = next((sheet for sheet in sheets if sheet.total_height), None)
    if filled is not None:
        for row in filled.iter_rows():
            yield [_text(cell) for cell in row]


def _text(cell: object) -> str:
    """A cell as it is shown: whole numbers without a point, since ids and article numbers are kept as numbers."""
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 1e15:
        return str(int(cell))
    if isinstance(cell, datetime.date | datetime.time):
        return cell.isoformat()
    return str(cell).strip()


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
