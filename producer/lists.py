"""Lists of photos: text, tables, JSON lines, Parquet, or what comes over standard input; an entry may have columns beside it."""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import zip_longest
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from packsight.shared.contract.errors import UserError
from packsight.shared.contract.references import whole
from packsight.shared.tables.columns import FILE, FILE_OF_PICTURE, KNOWN, apart
from packsight.shared.tables.linked import led_to
from packsight.shared.tables.records import SUFFIXES as RECORDS
from packsight.shared.tables.records import Record, cell, decoded, lines, of_json, read_records
from packsight.shared.tables.table import SUFFIXES as TABLES
from packsight.shared.tables.table import named, read_rows
from packsight.shared.vision.suffixes import IMAGE_SUFFIXES

COLUMNS = ("image", "picture", "reference", *KNOWN["picture"], *FILE_OF_PICTURE, "url", *FILE)
"""Names under which a list's column of references is found, in this order; late `url`, which is also what a product's page is
called, and last what any file is."""
STANDARD_INPUT = "-"
SUFFIXES = frozenset((".txt", *RECORDS, *TABLES))
"""Of files that are lists of photos, in lower case."""

Entry = tuple[str, Mapping[str, str]]
"""A reference as it is written, empty where a row names no photo, and the columns beside it."""

_OBJECTS = re.compile(r"\s*(?:\[\s*)?\{")
"""How text begins that is JSON: a line or a list of objects."""
_BETWEEN = re.compile(r"[,;|\n]")
_BETWEEN_CELLS = "\t;,|"
"""Of a line of text that may be the header of a table."""
_NEXT_ADDRESS = re.compile(r"[\s|][\s,;|]*(?:https?|s3)://", re.IGNORECASE)


def read_list(path: Path, column: str | None = None) -> Iterator[Entry]:
    """Yield the entries of a list file, of the kind that its suffix says; blank lines are none, nor are lines of text that begin
    with `#` and name no picture.

    column: of references, where a list has columns; by default the first of COLUMNS. Raises UserError for what is no such list.
    """
    kind = path.suffix.lower()
    try:
        if kind in TABLES:
            with path.open("rb") as file:
                yield from _of_rows(_table(file, str(path), column), str(path), column)
        elif kind == ".txt":
            yield from _of_lines(path.read_bytes(), str(path), column)
        else:
            yield from _of_records(read_records(path, COLUMNS[0]), str(path), column)
    except OSError as error:
        why = error.strerror or error
        raise UserError(f"{path} cannot be read: {why}. Correct the path, or let this user read it.") from None


def read_bytes(data: bytes, suffix: str, name: str, column: str | None = None) -> Iterator[Entry]:
    """The same of a list in memory that a file of this suffix would hold, Parquet aside; `name`: what errors call it."""
    if suffix in TABLES:
        yield from _of_rows(_table(io.BufferedReader(io.BytesIO(data)), name, column), name, column)
    elif suffix == ".txt":
        yield from _of_lines(data, name, column)
    else:
        yield from _of_json(decoded(data, name), name, column)


def read_standard_input(column: str | None = None) -> Iterator[Entry]:
    """The same of standard input: objects of JSON where it begins with one or with a list of them, else as a `.txt`."""
    data, name = sys.stdin.buffer.read(), "Standard input"
    if _OBJECTS.match(text := decoded(data, name)):
        yield from _of_json(text, name, column)
    else:
        yield from _of_lines(data, name, column)


def names_several(reference: str) -> bool:
    """Whether a reference seems to be several, as cells of shops' exports hold them: a list of JSON, or names with marks between.

    Commas and addresses are also parts of one address: a further one stands after a blank or a bar, or after a picture's suffix.
    """
    if reference.startswith("["):
        with suppress(ValueError, RecursionError):
            return len(json.loads(reference)) > 1
    if _NEXT_ADDRESS.search(reference):
        return True
    first, *others = [part.strip(" \r\t\"'") for part in _BETWEEN.split(reference)]
    others = [one for one in others if one]
    if "://" in first and not any("://" in one for one in others):
        return False
    return bool(others) and all(_is_picture(one) for one in (first, *others))


def _is_picture(name: str) -> bool:
    return PurePosixPath(name.partition("?")[0]).suffix.lower() in IMAGE_SUFFIXES


def _of_lines(data: bytes, name: str, column: str | None) -> Iterator[Entry]:
    """Entries of text: a reference a line, or a table where the first line is the header of one, as spreadsheets write `.txt`."""
    text = decoded(data, name)
    first = next(filter(None, lines(text)), "")
    rows = ([cell.strip(' "') for cell in first.split(mark)] for mark in _BETWEEN_CELLS)
    if not first.startswith("#") and any(len(row) > 1 and _is_header(row, column) for row in rows):
        yield from _of_rows(_table(io.BufferedReader(io.BytesIO(data)), name, column), name, column)
    else:
        yield from _of_text(text)


def _of_text(text: str) -> Iterator[Entry]:
    for line in lines(text):
        if line and (not line.startswith("#") or _is_name(line)):
            yield line, {}


def _is_name(line: str) -> bool:
    """Whether a line that may be a comment is the name of a picture: `#1.jpg`, but no address or path that is put aside."""
    return _is_picture(line) and not re.search(r"[\s/\\]", line)


def _of_json(text: str, name: str, column: str | None) -> Iterator[Entry]:
    return _of_records(of_json(text, name, COLUMNS[0]), name, column)


def _of_records(records: Iterable[Record], name: str, column: str | None) -> Iterator[Entry]:
    return _of_rows(({key: cell(value) for key, value in row.items()} for _, row in records), name, column)


def _table(file: BinaryIO, name: str, column: str | None) -> Iterator[dict[str, str]]:
    """Rows by column, whose names are as they are written; of columns of one name the first keeps it."""

    def is_header(row: Sequence[str]) -> bool:
        return _is_header(row, column)

    rows = read_rows(file, name, is_header)  # type: ignore[arg-type]  # a file that is open for reading bytes is one
    _, header = next(rows, (0, None))
    if header is None:
        raise UserError(f"{name} is empty. Its first line must name the columns.")
    if named(header, _wanted(column)) is None:
        raise _without(name, header, column)  # also where no row follows: it may be no table at all
    names = apart(header)
    for _, row in rows:
        yield {name: cell for name, cell in zip_longest(names, row[: len(names)], fillvalue="") if name}


def _is_header(row: Sequence[str], column: str | None) -> bool:
    return named(row, _wanted(column)) is not None and not any("://" in cell or _is_picture(cell) for cell in row)


def _wanted(column: str | None) -> tuple[str, ...]:
    return (column,) if column else COLUMNS


def _of_rows(rows: Iterable[dict[str, str]], name: str, column: str | None) -> Iterator[Entry]:
    """Each row's reference and its other columns; of JSON rows may have other columns than those before, or none of photos."""
    nameless: list[dict[str, str]] = []
    is_list = False
    for row in rows:
        found = named(row, _wanted(column))
        is_list = is_list or found is not None
        if found is None:
            nameless.append(row)
        if is_list:
            yield from (("", one) for one in nameless)
            nameless = []
        if found is not None:
            yield _alone(led_to(row[found]).strip()), {key: value for key, value in row.items() if key != found}
    if nameless:
        raise _without(name, nameless[0], column)


def _alone(reference: str) -> str:
    """A reference that stands alone in a list of JSON, as exports with a list of pictures have it, without that."""
    if reference.startswith("["):
        with suppress(ValueError, RecursionError):
            match json.loads(reference):
                case [str(one)]:
                    return whole(one)
    return reference


def _without(name: str, columns: Iterable[str], column: str | None) -> UserError:
    there = ", ".join(filter(None, columns))[:500]
    if column is None and any("://" in cell or _is_picture(cell) for cell in columns):
        remedy = "Put a line with the names of the columns before it (say image), or save references alone as .txt."
        return UserError(f"{name} names no columns: its first line is one of a photo already ({there}). {remedy}")
    wanted = column or "of photos (say image, picture or url)"
    return UserError(f"{name} has no column {wanted}; it has {there}. Name it: --column, over HTTP `column`.")
