"""Results for analysis: a pandas DataFrame with one row per photo, the same from a job and from any file of results.

    import packsight

    results = packsight.read_results("results.parquet")
    results.status.value_counts()
    results.filter(like="seconds_").sum(axis=1).describe()
    results[results.status == "failed"].groupby("failure_code", observed=True).size()

Columns are those of the tables that `packsight submit --out` writes. Of type category: `status` and `failure_code`; Float64:
`confidence` (0 to 1), `second_confidence` and `seconds_<stage>`; boolean: `retryable`; Int64: `index`, the photo's place in
its job; string: all others. The producer's own columns come last. What has no value is NA.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from packsight.producer.columns import COLUMNS, Kind, Value, flat
from packsight.producer.export import FILE_KINDS
from packsight.producer.rows import Row
from packsight.shared.contract.errors import ErrorCode, UserError
from packsight.shared.contract.outcomes import Status
from packsight.shared.extras import Later
from packsight.shared.tables.spreadsheet import literal
from packsight.shared.tables.table import read_rows

if TYPE_CHECKING:
    import pandas as pd
    from pyarrow import parquet
else:
    pd = Later("pandas", extra="analysis")
    parquet = Later("pyarrow.parquet", extra="analysis")

_TYPES: dict[Kind, str] = {str: "string", int: "Int64", float: "Float64", bool: "boolean"}
_CATEGORIES = {"status": [status.value for status in Status], "failure_code": [code.value for code in ErrorCode]}
_FLOATED = re.compile(r"\d+\.0")
_TRUTHS = dict.fromkeys(("true", "истина", "wahr", "vrai", "1"), True) | dict.fromkeys(
    ("false", "ложь", "falsch", "faux", "0"), False
)
"""What spreadsheets make of True and False."""


def _truth(cell: str) -> bool:
    if (told := _TRUTHS.get(cell.lower())) is None:
        raise ValueError(f"{cell} is neither true nor false")
    return told


_FROM_TEXT: dict[Kind, Callable[[str], Value]] = {
    str: literal,
    int: int,
    float: lambda cell: float(cell.replace(",", ".")),  # as spreadsheets write it in much of Europe
    bool: _truth,
}


def frame(rows: Iterable[Row]) -> pd.DataFrame:
    """Rows of jobs as a DataFrame, in the order of the jobs' names and of their photos."""
    return _frame(map(flat, rows))


def read_results(paths: str | Path | Iterable[str | Path]) -> pd.DataFrame:
    """Read files of results, .jsonl, .csv or .parquet, into one DataFrame: columns and types are the same whatever the file.

    Rows come in the order of the jobs' names and of their photos. Of a job's photo that stands there more than once the row
    that is read last counts. Columns that a file of an earlier release lacks are NA.
    Raises UserError for a file that cannot be read or is none of results, and where pandas is not installed.
    """
    several = [paths] if isinstance(paths, str | Path) else paths
    read = _frame(record for path in several for record in _records(Path(path)))
    again = read.duplicated(["job", "index"], keep="last") & read["job"].notna() & read["index"].notna()
    return read[~again].reset_index(drop=True)


def _frame(records: Iterable[Mapping[str, Value]]) -> pd.DataFrame:
    columns: dict[str, list[Value]] = {name: [] for name in COLUMNS}
    own: dict[str, tuple[str, int, int]] = {}
    for number, record in enumerate(records):
        for place, name in enumerate(one for one in record if one not in COLUMNS):
            columns.setdefault(name, [None] * number)
            first = str(record.get("job")), int(record.get("index") or 0), place
            own[name] = min(own.get(name, first), first)
        for name, values in columns.items():
            value = record.get(name)
            values.append(None if value == "" else value)
    typed = {name: _typed(name, columns[name]) for name in (*COLUMNS, *sorted(own, key=own.__getitem__))}
    return pd.DataFrame(typed).sort_values(["job", "index"], kind="stable", ignore_index=True)


def _typed(name: str, values: Sequence[Value]) -> Any:
    if known := _CATEGORIES.get(name):
        of_other_releases = sorted({str(value) for value in values if value is not None} - set(known))
        return pd.Categorical(values, categories=[*known, *of_other_releases])
    return pd.array(values, dtype=_TYPES[COLUMNS.get(name, str)])


def _records(path: Path) -> Iterator[Mapping[str, Value]]:
    read = {"jsonl": _of_lines, "csv": _of_csv, "parquet": _of_parquet}.get(FILE_KINDS.get(path.suffix.lower(), ""))
    if read is None:
        raise UserError(f"{path} has no known suffix. Results are read from .jsonl, .csv and .parquet files.")
    try:
        yield from read(path)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}. Correct the path.") from None
    except (ValueError, csv.Error) as error:
        raise UserError(f"{path} holds no results of packsight: {error}. Name a file that --out has written.") from None


def _of_lines(path: Path) -> Iterator[Mapping[str, Value]]:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if line.isspace():  # as the HTTP door sends them while it waits
                continue
            try:
                yield flat(Row.of_line(line))
            except ValidationError as error:
                raise ValueError(f"line {number}: {error.errors()[0]['msg']}") from None


def _of_csv(path: Path) -> Iterator[Mapping[str, Value]]:
    rows = _cells(path)
    header = next(rows, [])
    if "status" not in header:
        raise ValueError("there is no column status")
    cells = [list(row) for row in zip_longest(header, *(row[: len(header)] for row in rows), fillvalue="") if row[0]]
    names = [literal(name) for name, *_ in cells]
    columns = [_column(name, column) for name, (_, *column) in zip(names, cells, strict=True)]
    for values in zip(*columns, strict=True):
        yield dict(zip(names, values, strict=True))


def _column(name: str, cells: Sequence[str]) -> Iterator[Value]:
    """A column's values. Data frames make floats of ids that are numbers where some rows have none, and save 42 as 42.0.

    The caller's own columns stay as they are: what they are is not known.
    """
    kind = COLUMNS.get(name, str)
    read = _FROM_TEXT[kind]
    if name in COLUMNS and kind in (str, int) and not all(cells) and all(_FLOATED.fullmatch(cell) for cell in cells if cell):
        cells = [cell.removesuffix(".0") for cell in cells]
    return (read(cell) if cell else None for cell in cells)


def _cells(path: Path) -> Iterator[list[str]]:
    """The rows of a CSV to the letter, as it was written; one that a spreadsheet has saved anew is read as any table."""
    with suppress(UnicodeDecodeError):
        text = path.read_bytes().decode("utf-8-sig")
        if "status" in next(csv.reader(io.StringIO(text, newline="")), []):
            return filter(None, csv.reader(io.StringIO(text, newline="")))
    return _cells_of_any(path)


def _cells_of_any(path: Path) -> Iterator[list[str]]:
    with path.open("rb") as file:
        yield from (row for _, row in read_rows(file, str(path), lambda row: "status" in row))


def _of_parquet(path: Path) -> Iterator[Mapping[str, Value]]:
    with parquet.ParquetFile(path) as file:
        if "status" not in file.schema_arrow.names:
            raise ValueError("there is no column status")
        for batch in file.iter_batches():
            yield from batch.to_pylist()
