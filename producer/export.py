"""Results as files: JSON lines (everything), CSV and Parquet (one flat row per photo); written aside, then renamed."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

from packsight.producer.rows import Row
from packsight.producer.spool import Spool
from packsight.shared.contract.errors import UserError
from packsight.shared.extras import Later, require
from packsight.shared.storage.files import part_of

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow import parquet
else:
    pa = Later("pyarrow", extra="analysis")
    parquet = Later("pyarrow.parquet", extra="analysis")

STAGES = ("fetch", "decode", "embed", "spot", "match")
NUMBERS = ("confidence", "second_confidence", *(f"seconds_{stage}" for stage in STAGES))
COLUMNS = (
    "name", "image", "status", "product_id", "product_name", "vendor", "confidence", "first_id", "first_name",
    "second_id", "second_confidence", "words", "reason", "failure_code", "failure_message", "remedy", "catalog",
    "catalog_version", *(f"seconds_{stage}" for stage in STAGES), "sha256", "job",
)  # fmt: skip
"""`product_…` is filled when the photo matched; `first_…` and `second_…` are the candidates, whatever the status."""


def flat(row: Row) -> dict[str, str | float | None]:
    """A row of the tables; text without a value is empty, a number without a value None."""
    outcome = row.outcome
    first = outcome.candidates[0] if outcome.candidates else None
    second = outcome.candidates[1] if len(outcome.candidates) > 1 else None
    failure, provenance, product = outcome.failure, outcome.provenance, outcome.product
    return {
        "name": row.name,
        "image": outcome.image,
        "status": outcome.status.value,
        "product_id": product.id if product else "",
        "product_name": product.name if product else "",
        "vendor": product.vendor if product else "",
        "confidence": outcome.confidence,
        "first_id": first.product.id if first else "",
        "first_name": first.product.name if first else "",
        "second_id": second.product.id if second else "",
        "second_confidence": second.confidence if second else None,
        "words": " | ".join(word.text for word in outcome.words),
        "reason": outcome.reason,
        "failure_code": failure.code.value if failure else "",
        "failure_message": failure.message if failure else "",
        "remedy": failure.remedy if failure else "",
        "catalog": provenance.catalog if provenance else "",
        "catalog_version": (provenance.catalog_version if provenance else None) or "",
        **{f"seconds_{stage}": outcome.timings.get(stage) for stage in STAGES},
        "sha256": outcome.sha256 or "",
        "job": row.job,
    }


def harmless(value: Any) -> Any:
    """Keep a spreadsheet from running a cell as a formula: text that starts like one gets a quote in front.

    OWASP, CSV injection: = + - @ and the tab and carriage return that some programs skip before them.
    """
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


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
        self._path = path
        self._part = part_of(path)
        self._file = self._part.open("w", encoding="utf-8", newline="\n")

    def add(self, row: Row) -> None:
        """Write a row through to the file."""
        document = {"name": row.name, "job": row.job, "index": row.index, **row.outcome.model_dump(mode="json")}
        self._file.write(json.dumps(document, ensure_ascii=False) + "\n")
        self._file.flush()

    def finish(self) -> None:
        """Give the file its name."""
        self._file.close()
        self._part.replace(self._path)

    def abandon(self) -> None:
        """Leave nothing behind."""
        self._file.close()
        self._part.unlink(missing_ok=True)


class Table:
    """A flat table in the order of the manifest."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._part = part_of(path)
        self._part.touch()
        self._spool: Spool[tuple[float]] = Spool()

    def add(self, row: Row) -> None:
        """Keep a row."""
        self._spool.add((row.index,), json.dumps(flat(row)).encode())

    def finish(self) -> None:
        """Write all rows and give the file its name."""
        rows = (json.loads(record) for record in self._spool)
        if self._path.suffix.lower() == ".csv":
            with self._part.open("w", encoding="utf-8", newline="") as file:
                write_csv(file, rows)
        else:
            write_parquet(self._part, rows)
        self._part.replace(self._path)
        self._spool.close()

    def abandon(self) -> None:
        """Leave nothing behind."""
        self._spool.close()
        self._part.unlink(missing_ok=True)


def write_csv(file: IO[str], rows: Iterable[dict[str, Any]]) -> None:
    """Write flat rows as CSV that is safe to open in a spreadsheet."""
    writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: harmless(value) for key, value in row.items()} for row in rows)


def write_parquet(path: Path, rows: Iterator[dict[str, Any]], group: int = 10_000) -> None:
    """Write flat rows as Parquet, `group` rows at a time."""
    schema = pa.schema([(name, pa.float64() if name in NUMBERS else pa.string()) for name in COLUMNS])
    with parquet.ParquetWriter(path, schema) as writer:
        while part := list(islice(rows, group)):
            writer.write_table(pa.Table.from_pylist(part, schema=schema))


def open_export(path: Path) -> Export:
    """Begin a file of results; its suffix says which kind.

    Raises UserError for another suffix, a library that is missing, or a folder that cannot be written.
    """
    suffix = path.suffix.lower()
    if suffix not in {".jsonl", ".ndjson", ".csv", ".parquet"}:
        raise UserError(f"{path} has no known suffix. Results can be written as .jsonl, .csv or .parquet.")
    if suffix == ".parquet":
        require("pyarrow", extra="analysis")
    try:
        return JsonLines(path) if suffix in {".jsonl", ".ndjson"} else Table(path)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}. Create the folder or choose another.") from None


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
