"""Results as files: JSON lines (everything), CSV and Parquet (one flat row per photo); written aside, then renamed."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import typer

from packsight.producer.columns import COLUMNS, flat, own_column
from packsight.producer.external_sort import ExternalSort
from packsight.producer.rows import Row
from packsight.shared.contract.errors import UserError
from packsight.shared.extras import Later, require
from packsight.shared.pieces import pieces
from packsight.shared.storage.files import Part, unwritable
from packsight.shared.tables.spreadsheet import csv_lines

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow import parquet
else:
    pa = Later("pyarrow", extra="analysis")
    parquet = Later("pyarrow.parquet", extra="analysis")

FILE_KINDS = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".parquet": "parquet"}
"""Kinds of files of results by suffix."""
STANDARD_OUTPUT = Path("-")


class Export(Protocol):
    """A file of results being written; nothing stands under its final name before `finish`."""

    def add(self, row: Row) -> None:
        """Take a row."""

    def finish(self) -> None:
        """Write the rest and give the file its name."""

    def abandon(self) -> None:
        """Leave nothing behind; without effect after `finish`."""


class JsonLines:
    """One JSON object per line, in order of arrival: the outcome as workers send it, with `name`, `job` and `index`.

    The lines can be followed in `<file>.part` while the job runs.
    """

    def __init__(self, path: Path) -> None:
        self._part = Part(path)
        self._file = self._part.path.open("w", encoding="utf-8", newline="\n")

    def add(self, row: Row) -> None:
        """Write a row through to the file."""
        self._file.write(f"{row.line}\n")
        self._file.flush()

    def finish(self) -> None:
        """Give the file its name."""
        self._file.close()
        self._part.finish()

    def abandon(self) -> None:
        """Leave nothing behind."""
        self._part.abandon()
        with suppress(OSError):  # what a full disk has not taken is written once more
            self._file.close()


class StandardOutput:
    """The same lines on standard output."""

    def add(self, row: Row) -> None:
        """Write a row through."""
        say_json(row.line)

    def finish(self) -> None:
        """Nothing is left to write."""

    def abandon(self) -> None:
        """What was written cannot be taken back."""


class Table:
    """A flat table in the order of the manifest."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._part = Part(path)
        self._rows: ExternalSort[tuple[float]] = ExternalSort()
        self._own: dict[str, tuple[int, int]] = {}
        """The producer's own columns, each with the first row and the place there at which it was met."""

    def add(self, row: Row) -> None:
        """Keep a row."""
        for place, name in enumerate(row.extra):
            self._own[name] = min(self._own.get(name, (row.index, place)), (row.index, place))
        self._rows.add((row.index,), json.dumps(flat(row)).encode())

    def finish(self) -> None:
        """Write all rows and give the file its name."""
        rows = (json.loads(record) for record in self._rows)
        own = [own_column(name) for name in sorted(self._own, key=self._own.__getitem__)]
        if self._path.suffix.lower() == ".csv":
            with self._part.path.open("w", encoding="utf-8", newline="") as file:
                file.writelines(csv_lines([*COLUMNS, *own], rows))
        else:
            write_parquet(self._part.path, rows, own)
        self._part.finish()
        self._rows.close()

    def abandon(self) -> None:
        """Leave nothing behind."""
        self._rows.close()
        self._part.abandon()


def say_json(line: str) -> None:
    """Write a line of JSON to standard output: as UTF-8, whatever the system's encoding is, unless somebody looks at it there."""
    typer.echo(line if sys.stdout.isatty() else line.encode())


def write_parquet(path: Path, rows: Iterator[dict[str, Any]], own: Sequence[str] = (), group: int = 10_000) -> None:
    """Write flat rows as Parquet, `group` rows at a time; own: names of the producer's own columns."""
    types = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}
    schema = pa.schema([(name, types[kind]) for name, kind in {**COLUMNS, **dict.fromkeys(own, str)}.items()])
    with parquet.ParquetWriter(path, schema) as writer:
        for part in pieces(rows, group):
            writer.write_table(pa.Table.from_pylist(part, schema=schema))


def open_export(path: Path) -> Export:
    """Begin a file of results; its suffix says which kind. `-` is standard output, as JSON lines.

    Raises UserError for another suffix, a library that is missing, a folder, or a file that cannot be written.
    """
    if path == STANDARD_OUTPUT:
        return StandardOutput()
    kind = FILE_KINDS.get(path.suffix.lower())
    if kind is None:
        raise UserError(f"{path} has no known suffix. Results can be written as .jsonl, .csv or .parquet.")
    if kind == "parquet":
        require("pyarrow", extra="analysis")
    try:
        return JsonLines(path) if kind == "jsonl" else Table(path)
    except OSError as error:
        raise unwritable(path, error) from None


class Exports:
    """Several files of results as one; as a context it abandons what was not finished."""

    def __init__(self) -> None:
        self._exports: list[Export] = []

    def take(self, export: Export) -> None:
        """Take a file in."""
        self._exports.append(export)

    def add(self, row: Row) -> None:
        """Hand a row to each file."""
        for export in self._exports:
            export.add(row)

    def finish(self) -> None:
        """Finish each file."""
        for export in self._exports:
            export.finish()

    def __enter__(self) -> Exports:
        return self

    def __exit__(self, *_: object) -> None:
        for export in self._exports:
            export.abandon()
