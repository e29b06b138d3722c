"""JSON lines and Parquet: rows that name their columns themselves."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from itertools import count
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING

from packsight.shared.contract.errors import UserError
from packsight.shared.contract.references import whole
from packsight.shared.extras import Later
from packsight.shared.tables.columns import apart
from packsight.shared.tables.encoding import Recoder

if TYPE_CHECKING:
    from pyarrow import parquet
else:
    parquet = Later("pyarrow.parquet", extra="analysis")

SUFFIXES = frozenset((".jsonl", ".ndjson", ".json", ".parquet"))
"""File names that promise one, in lower case."""

_EACH = "Each line holds one JSON object, or the file is an array of them."

Record = tuple[int, dict[str, object]]
"""The line (of Parquet the row), from 1, and its values by column."""


def read_records(path: Path, alone: str = "") -> Iterator[Record]:
    """Yield the rows of a file of SUFFIXES, one after the other; JSON may name other columns in each.

    alone: what the column of a line of JSON is called that is a text and no object; empty where there may be none. Raises
    UserError for what is no such file, OSError.
    """
    if path.suffix.lower() == ".parquet":
        yield from _of_parquet(path)
    else:
        yield from of_json(decoded(path.read_bytes(), str(path)), str(path), alone)


def decoded(data: bytes, name: str) -> str:
    """Bytes as text, whatever the encoding; `name`: what errors call it. Raises UserError that names the line."""
    try:
        return Recoder().recode(data, final=True).decode()
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        what = f"{name} is no text in line {line}: byte {error.object[error.start]:#04x} in {error.encoding}"
        raise UserError(f"{what}. A list has one reference per line, or one JSON object; save it as UTF-8.") from None


def lines(text: str) -> Iterator[str]:
    """Lines without their ends. Other marks that Python ends lines at, as U+2028, may stand within texts of JSON and names."""
    return (line.strip() for line in io.StringIO(text, newline=None))


def of_json(text: str, name: str, alone: str = "") -> Iterator[Record]:
    """The same of JSON lines in memory, blank ones are none; or of an array, whose entries count as lines."""
    entries = _array(text, name) if text.lstrip().startswith("[") else _loaded(text, name)
    for number, found in entries:
        if isinstance(found, str) and alone:
            yield number, {alone: found}
        elif isinstance(found, dict):
            yield number, {whole(key): value for key, value in found.items()}
        else:
            what = "neither an object nor a string" if alone else "no object"
            raise UserError(f"{name}, line {number}: {what}. {_EACH}")


def _array(text: str, name: str) -> Iterator[tuple[int, object]]:
    try:
        yield from enumerate(json.loads(text), start=1)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{name}: {error}. {_EACH}") from None


def _loaded(text: str, name: str) -> Iterator[tuple[int, object]]:
    for number, line in enumerate(lines(text), start=1):
        if line:
            try:
                yield number, json.loads(line)
            except (ValueError, RecursionError) as error:
                raise UserError(f"{name}, line {number}: {error}. {_EACH}") from None


def _of_parquet(path: Path) -> Iterator[Record]:
    numbers = count(1)
    try:
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches():
                named_apart = batch.rename_columns(apart(batch.schema.names))
                yield from zip(numbers, named_apart.to_pylist())  # noqa: B905 - numbers have no end
    except ValueError as error:  # pyarrow's own errors are some
        raise UserError(f"{path} is no Parquet file: {error}.") from None


def cell(value: object) -> str:
    """A value as text: nothing for none, and what is neither text nor a number as JSON."""
    if value is None or (isinstance(value, float) and isnan(value)):
        return ""
    return whole(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str))
