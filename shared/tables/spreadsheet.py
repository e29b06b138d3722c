"""Tables that are safe to open in a spreadsheet: no text in them is run as a formula, or read as a further row."""

from __future__ import annotations

import re
from typing import IO, Any

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


class LineFeeds:
    """Ends rows of a csv.writer by a line feed alone. Tell it to end them by CR LF, so that it quotes either inside a cell."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def write(self, row: str) -> int:
        """Write a row."""
        return self._file.write(row.removesuffix("\r\n") + "\n")
