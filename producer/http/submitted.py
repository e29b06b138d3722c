"""What a body asks to have recognised as a job: references, each with the caller's own columns.

As a table (CSV, TSV, a workbook) or lines of JSON, with what else is said of the job in the address; or as one object that says
all of it. Nothing of this server's disk is read: a path is a reference like others, for workers to judge.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from packsight.producer.http.errors import Refused, bad_request
from packsight.producer.sources import COLUMNS, Item
from packsight.shared.contract.errors import ErrorCode, UserError
from packsight.shared.contract.messages import Priority, RecognizeOptions
from packsight.shared.contract.validation import wrong_fields
from packsight.shared.storage.jobs import BATCH_SIZE
from packsight.shared.tables.table import by_column, named

TABLES = (
    "text/csv", "text/tab-separated-values", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "application/vnd.ms-excel", "application/vnd.oasis.opendocument.spreadsheet",
)  # fmt: skip
LINES = ("application/x-ndjson", "application/jsonl", "application/x-jsonlines")
OBJECT = "application/json"
_NAME = "the table"


class JobOptions(RecognizeOptions):
    """How a job's photos are answered, and what else is said of it."""

    name: Annotated[str, Field(max_length=200)] = ""
    """What the caller calls it."""
    priority: Priority = Priority.NORMAL
    webhook: Annotated[str, Field(max_length=2000)] = ""
    """Address that is told when it has ended."""
    batch_size: Annotated[int, Field(ge=1)] = BATCH_SIZE
    """Photos per message."""
    column: Annotated[str, Field(max_length=200)] = ""
    """Of a table: that of references, where it has no usual name."""


class Photo(BaseModel):
    """A photo of a job."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    reference: Annotated[str, Field(min_length=1, max_length=4096)]
    name: Annotated[str, Field(max_length=4096)] = ""
    extra: Annotated[dict[str, str], Field(max_length=50)] = Field(default_factory=dict)
    """The caller's own columns, which come back in the results."""


class JobRequest(JobOptions):
    """A job in one object."""

    photos: Annotated[list[Photo | Annotated[str, Field(min_length=1, max_length=4096)]], Field(min_length=1)]


def read(kind: str, body: bytes, options: JobOptions) -> tuple[JobOptions, list[Item]]:
    """Photos of a body of this media type, and what is said of them; raises Refused, 415 for another type."""
    if kind == OBJECT:
        return _of_object(body, options)
    if kind in TABLES:
        return options, list(_of_table(body, options.column))
    if kind in LINES:
        return options, list(_of_lines(body, options.column))
    raise Refused(
        415, ErrorCode.FORMAT_UNSUPPORTED, f"A body of the type {kind[:100] or 'nothing'} is no list of photos",
        remedy=f"Send {OBJECT}, {LINES[0]} or {TABLES[0]}.",
    )  # fmt: skip


def _of_object(body: bytes, options: JobOptions) -> tuple[JobOptions, list[Item]]:
    try:
        said = json.loads(body)
        if not isinstance(said, dict):
            raise bad_request("The body is no object")
        asked = JobRequest.model_validate({**options.model_dump(exclude_unset=True), **said})
    except ValidationError as error:
        raise bad_request(f"The request does not follow the contract: {wrong_fields(error)}") from None
    except (ValueError, RecursionError):
        raise bad_request("The body is no JSON") from None
    photos = [one if isinstance(one, Photo) else Photo(reference=one) for one in asked.photos]
    return asked, [Item(one.name or one.reference, one.reference, one.extra) for one in photos]


def _of_table(body: bytes, column: str) -> Iterator[Item]:
    try:
        yield from _items(by_column(io.BufferedReader(io.BytesIO(body)), _NAME), column)
    except UserError as error:
        raise bad_request(str(error)) from None


def _of_lines(body: bytes, column: str) -> Iterator[Item]:
    def rows() -> Iterator[dict[str, str]]:
        for number, line in enumerate(body.splitlines(), start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                raise bad_request(f"Line {number} is no JSON") from None
            if isinstance(row, str):
                row = {"reference": row}
            if not isinstance(row, dict):
                raise bad_request(f"Line {number} is neither an object nor a reference")
            yield {name: _text(value) for name, value in row.items()}

    yield from _items(rows(), column)


def _items(rows: Iterator[dict[str, str]], column: str) -> Iterator[Item]:
    """Rows as photos, their other cells as the caller's own columns; those without a reference are left out, as in lists."""
    found: str | None = None
    for row in rows:
        if found is None or found not in row:
            found = named(row, (column,) if column else COLUMNS)
        if found is None:
            wanted = column or "of photos (say image, picture or url)"
            raise bad_request(f"There is no column {wanted} among {', '.join(row)[:500]}; name it with `column`")
        if reference := row[found].strip():
            yield Item(reference, reference, {name: cell for name, cell in row.items() if name != found})


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else json.dumps(value, ensure_ascii=False)
