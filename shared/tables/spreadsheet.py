"""Text that a spreadsheet would run as a formula, made harmless, and read back."""

from __future__ import annotations

import re
from typing import Any

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
