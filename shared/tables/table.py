"""A table of any kind, row by row."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from packsight.shared.contract.errors import UserError
from packsight.shared.tables import cells, workbook
from packsight.shared.tables.columns import plain

SUFFIXES = frozenset((".csv", ".tsv", ".xlsx", ".xls", ".ods"))
"""File names that promise a table, in lower case."""


def read_rows(stream: io.BufferedIOBase, name: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the line (of a workbook the row), from 1, and the stripped cells of each row.

    Rows of text are held one at a time. Raises UserError that names the line when the table is broken.
    """
    head = stream.peek(8)[:8] if isinstance(stream, io.BufferedReader) else b""
    if head.startswith(workbook.SIGNATURES):
        yield from workbook.records(stream.read(), name)
        return
    line = 0
    try:
        for line, row in cells.records(stream):
            yield line, row
    except UnicodeDecodeError as error:
        raise UserError(
            f"{name} is no text after line {line}: byte {error.object[error.start]:#04x} in {error.encoding}. "
            "Save the table as CSV in UTF-8, or as .xlsx."
        ) from None
    except csv.Error as error:
        raise UserError(f"{name} is broken after line {line}: {error}. Save the table as CSV in UTF-8, or as .xlsx.") from None


def read_table(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the line of each row of a table file, and the row by column, whose names are those of the first row in lower case.

    Rows without anything are left out; cells beyond the header are too. Raises UserError when it cannot be read or has no header.
    """
    try:
        with path.open("rb") as file:
            names: list[str] = []
            for line, row in read_rows(file, str(path)):
                if not any(row):
                    continue
                if not names:
                    names = [cell.lower() for cell in row]
                else:
                    yield line, {name: row[index] if index < len(row) else "" for index, name in enumerate(names) if name}
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from None
    if not names:
        raise UserError(f"{path} is empty. Its first line must name the columns.")


def named(row: dict[str, str], wanted: tuple[str, ...]) -> str | None:
    """The column of a row that is the first of these by name, as `plain` compares them; None without one."""
    by_name = {plain(name): name for name in reversed(row)}
    return next((by_name[name] for name in map(plain, wanted) if name in by_name), None)
