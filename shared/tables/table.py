"""A table of any kind, row by row."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import chain, groupby, islice
from operator import itemgetter
from pathlib import Path

from packsight.shared.contract.errors import UserError
from packsight.shared.tables import cells, html_table, kinds, workbook
from packsight.shared.tables.cells import IsHeader, has_several, no_row, start_of
from packsight.shared.tables.columns import apart, plain
from packsight.shared.tables.merged import spread
from packsight.shared.tables.records import SUFFIXES as RECORDS
from packsight.shared.tables.records import Record, cell, read_records

SUFFIXES = frozenset((".csv", ".tsv", ".xlsx", ".xls", ".ods"))
"""File names that promise a table, in lower case."""
_TITLES = 20
"""Rows among which the header is looked for: price lists have a title, a date and how to reach the shop above it."""


def read_rows(
    stream: io.BufferedIOBase, name: str, is_header: IsHeader, is_row: IsHeader = no_row
) -> Iterator[tuple[int, list[str]]]:
    """Yield the line (of a workbook the row), from 1, and the stripped cells of each row that has anything, from the header on.

    The header is the first row that is understood, near the beginning; where none is, the first that has several cells. `is_row`
    tells of that one that there is no header. Rows that repeat the header, as joined files do, are none. Of a workbook the first
    sheet counts that is understood. Rows of text are held one at a time. Raises UserError that names the line when the table is
    broken.
    """
    rows = ((line, row) for line, row in _all_rows(stream, name, is_header, is_row) if any(row))
    head = list(islice(rows, _TITLES))
    at = start_of([row for _, row in head], is_header, is_row)
    if at is None:
        at = next((index for index, (_, row) in enumerate(head) if has_several(row)), 0)
    for line, header in head[at : at + 1]:
        yield line, spread(header)
        yield from (found for found in chain(head[at + 1 :], rows) if found[1] != header)


def _all_rows(
    stream: io.BufferedIOBase, name: str, is_header: IsHeader, is_row: IsHeader
) -> Iterator[tuple[int, list[str]]]:
    head = stream.peek(kinds.HEAD)[: kinds.HEAD] if isinstance(stream, io.BufferedReader) else b""
    if head.startswith(workbook.SIGNATURES):
        yield from _understood(stream.read(), name, is_header, is_row)
        return
    html = kinds.is_html(head)
    if not html and (what := kinds.foreign(head)):
        remedy = "Save it as .xlsx, or as CSV in UTF-8; a feed may be YML or Google's too, packed with gzip, or alone in a ZIP."
        raise UserError(f"{name} is {what}, which is not read. {remedy}")
    line = 0
    try:
        for line, row in html_table.records(stream, name) if html else cells.records(stream, is_header, is_row):
            yield line, row
    except UnicodeDecodeError as error:
        raise UserError(
            f"{name} is no text after line {line}: byte {error.object[error.start]:#04x} in {error.encoding}. "
            "Save the table as CSV in UTF-8, or as .xlsx."
        ) from None
    except csv.Error as error:
        raise UserError(f"{name} is broken after line {line}: {error}. Save the table as CSV in UTF-8, or as .xlsx.") from None


def _understood(data: bytes, name: str, is_header: IsHeader, is_row: IsHeader) -> Iterator[tuple[int, list[str]]]:
    """Rows of the first sheet that is understood; of a workbook that has only one, whatever it is."""
    others: list[str] = []
    for sheet, records in groupby(workbook.records(data, name), key=itemgetter(0)):
        rows = ((number, row) for _, number, row in records if any(row))
        head = list(islice(rows, _TITLES))
        if start_of([row for _, row in head], is_header, is_row) is not None:
            yield from chain(head, rows)
            return
        first = next((row for _, row in head if has_several(row)), [])
        others.append(f"“{sheet}” ({', '.join(filter(None, first))[:100]})")
    if len(others) > 1:
        raise UserError(
            f"{name} has no sheet with a header that names what is needed; it has {', '.join(others)[:500]}. Correct the names "
            "of the columns, or save the sheet that holds the table alone."
        )
    yield from ((number, row) for _, number, row in workbook.records(data, name))


def read_table(path: Path, is_header: IsHeader = has_several) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the line of each row of a table file, and the row by column, whose names are those of the header in lower case.

    JSON lines and Parquet are tables too, whose rows all have the columns of any. Of columns of one name the first keeps it. Rows
    without anything are left out; cells beyond the header are too. Raises UserError when it cannot be read or has no header.
    """
    try:
        if path.suffix.lower() in RECORDS:
            yield from _filled(read_records(path))
            return
        with path.open("rb") as file:
            rows = read_rows(file, str(path), is_header)
            _, header = next(rows, (0, None))
            if header is None:
                raise UserError(f"{path} is empty. Its first line must name the columns.")
            names = apart([cell.lower() for cell in header])
            for line, row in rows:
                yield line, {name: row[index] if index < len(row) else "" for index, name in enumerate(names) if name}
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}. Correct the path, or let this user read it.") from None


def _filled(records: Iterable[Record]) -> Iterator[tuple[int, dict[str, str]]]:
    rows = [(line, _lowered(row)) for line, row in records]
    names = tuple(dict.fromkeys(name for _, row in rows for name in row))
    return ((line, {name: row.get(name, "") for name in names}) for line, row in rows if any(row.values()))


def _lowered(row: Mapping[str, object]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in row.items():
        found.setdefault(name.strip().lower(), _cell(value).strip())
    return found


def _cell(value: object) -> str:
    """A value as text, 42.0 as 42: data frames make floats of ids that are numbers where some rows have none."""
    return cell(int(value) if isinstance(value, float) and value.is_integer() else value)


def named(columns: Collection[str], wanted: tuple[str, ...]) -> str | None:
    """The column that is the first of these by name, as `plain` compares them; None without one."""
    by_name = {plain(name): name for name in reversed(tuple(columns))}
    return next((by_name[name] for name in map(plain, wanted) if name in by_name), None)
