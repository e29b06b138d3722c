"""What a body asks to have recognised as a job: references, each with the caller's own columns.

As a list (a table, lines of JSON, plain references), with what else is said of the job in the address; or as one object that
says all of it. Nothing of this server's disk is read: a path is a reference like others, for workers to judge.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from packsight.producer.http.body import read_object
from packsight.producer.http.refusal import Refused, bad_request
from packsight.producer.lists import read_bytes
from packsight.producer.sources import Item
from packsight.shared.contract.errors import ErrorCode, UserError
from packsight.shared.contract.messages import Priority, RecognizeOptions
from packsight.shared.contract.references import is_picture_itself
from packsight.shared.contract.validation import wrong_fields
from packsight.shared.storage.jobs import BATCH_SIZE

OBJECT = "application/json"
LISTS = {
    "text/csv": ".csv",
    "text/tab-separated-values": ".tsv",
    "application/x-ndjson": ".jsonl",
    "application/jsonl": ".jsonl",
    "text/plain": ".txt",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": ".xlsx",
    "application/vnd.ms-excel": ".xls",
    "application/vnd.oasis.opendocument.spreadsheet": ".ods",
}
"""Media types of lists, and the suffix of files that hold the same."""


MOST_PHOTOS = 200_000
"""Of a job: they are held in memory until it is written, some 700 bytes each."""
MOST_COLUMNS = 50
"""Of the caller's own: their names are read with each list of jobs."""
LONGEST_COLUMN = 500
"""Characters of such a name."""


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
    """Of a list: that of references, where it has no usual name."""


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
    """Photos of a body of this media type, and what is said of them.

    Raises Refused, 415 for another type, or UserError for what is no such list.
    """
    if kind == OBJECT:
        return _of_object(body, options)
    if kind in LISTS:
        entries = read_bytes(body, LISTS[kind], "The list", options.column or None)
        return options, _bounded(Item(reference, reference, extra) for reference, extra in entries)
    raise Refused(
        415, ErrorCode.FORMAT_UNSUPPORTED, f"A body of the type {kind[:100] or 'nothing'} is no list of photos",
        remedy=f"Send {OBJECT}, {', '.join(LISTS)}.",
    )  # fmt: skip


def _of_object(body: bytes, options: JobOptions) -> tuple[JobOptions, list[Item]]:
    said = read_object(body)
    _refuse_pictures(said.get("photos"))
    try:
        asked = JobRequest.model_validate({**options.model_dump(exclude_unset=True), **said})
    except ValidationError as error:
        raise bad_request(f"The request does not follow the contract: {wrong_fields(error)}") from None
    photos = (one if isinstance(one, Photo) else Photo(reference=one) for one in asked.photos)
    return asked, _bounded(Item(one.name or one.reference, one.reference, one.extra) for one in photos)


def _refuse_pictures(photos: object) -> None:
    """Raise Refused for a picture in the place of its reference, which would be told to be too long."""
    for number, one in enumerate(photos if isinstance(photos, list) else ()):
        reference = one.get("reference") if isinstance(one, dict) else one
        if isinstance(reference, str) and is_picture_itself(reference):
            raise Refused(
                400, ErrorCode.BAD_MESSAGE, f"photos.{number} is a picture itself, as a data URI",
                remedy="Send it to POST /v1/uploads/photo as `base64`, and name the `reference` that comes back.",
            )  # fmt: skip


def _bounded(items: Iterable[Item]) -> list[Item]:
    """The photos of a job, as many as one may have; raises UserError for more of them or of their columns."""
    found, columns = [], set[str]()
    for item in items:
        found.append(item)
        columns |= item.extra.keys()
        if len(found) > MOST_PHOTOS:
            raise UserError(f"A job over HTTP has {MOST_PHOTOS:,} photos at most. Send the others as further jobs.")
        if len(columns) > MOST_COLUMNS:
            raise UserError(f"Photos have {MOST_COLUMNS} columns of their own at most. Leave out those that need not come back.")
    if any(len(name) > LONGEST_COLUMN for name in columns):
        raise UserError(f"A column's name has {LONGEST_COLUMN} characters at most. Shorten it.")
    return found
