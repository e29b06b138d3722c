"""Tables that are safe to open in a spreadsheet: no text in them is run as a formula, or read as a further row."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

MARK = "\ufeff"
"""At the beginning of a CSV for people: without it Excel takes UTF-8 for its system's code page, and spoils Cyrillic."""
_FORMULA = re.compile(r"'*[=+\-@\t\r]")


def harmless(value: Any) -> Any:
    """Keep a spreadsheet from running a cell as a formula: text that starts like one gets a quote in front.

    OWASP, CSV injection: = + - @ and the tab and carriage return that some programs skip before them. Quotes before such
    a start count as well, so that `literal` gives back what was.
    """
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value


def literal(cell: str) -> str:
    """The text behind a harmless cell."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def csv_lines(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """A CSV for people piece by piece: the MARK, the names of the columns, then row by row."""
    yield MARK
    text = io.StringIO()
    # Told to end rows by CR LF, so that either is quoted inside a cell; a row ends by a line feed alone.
    table = csv.DictWriter(text, columns, lineterminator="\r\n")
    for row in chain([{name: name for name in columns}], rows):
        table.writerow({name: harmless(value) for name, value in row.items()})
        yield text.getvalue().removesuffix("\r\n") + "\n"
        text.seek(0)
        text.truncate()
