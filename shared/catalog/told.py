"""What a sync told of a version, kept beside it in object storage, for everybody who may read catalogs.

    catalogs/<name>/reports/<version>/summary.json       counts and verdict
    catalogs/<name>/reports/<version>/lists.jsonl.gz     every product, photo and answer that is named, a line each
    catalogs/<name>/reports/<version>/answers.jsonl.gz   what the version was asked, and what it answered
    catalogs/<name>/reports/<version>/report.html.gz     the page

They are not signed: they decide nothing that is served, only what the next version is compared with.
"""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from packsight.shared.contract.errors import ObjectMissing
from packsight.shared.storage import layout
from packsight.shared.storage.objects import ObjectStore

SUMMARY = "summary.json"
LISTS = "lists.jsonl.gz"
ANSWERS = "answers.jsonl.gz"
PAGE = "report.html.gz"
LIST = "list"
"""Name of the field of a line that says to which list it belongs."""

Kind = Literal["own", "made", "query"]
OWN: Kind = "own"
MADE: Kind = "made"
QUERY: Kind = "query"


class _Line(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Photo(_Line):
    """A photo that is asked about."""

    kind: Kind
    sha256: str
    """Of its own bytes."""
    name: str
    """Where it came from."""
    product: str = ""
    """Id of the one that it shows; empty for a query."""


class Answer(_Line):
    """What a version says of it."""

    first: str = ""
    """Id of the first candidate; empty when there is none."""
    picture: str = ""
    """Source of that product's first photo."""
    confidence: float = 0.0
    matched: bool = False


class Asked(NamedTuple):
    """A question with its answer."""

    photo: Photo
    answer: Answer

    @property
    def right(self) -> bool:
        """Whether the product that is shown came first."""
        return self.answer.first == self.photo.product

    @property
    def answered(self) -> str:
        """Id of the product that would be answered; empty for none."""
        return self.answer.first if self.answer.matched else ""


class AnswerLine(_Line):
    """A question with its answer as it is kept."""

    photo: Photo
    answer: Answer


def read_told(store: ObjectStore, catalog: str, version: str, name: str) -> bytes | None:
    """A file of the report on a version; None where there is none."""
    try:
        return store.read(layout.reports(catalog, version, name)).data
    except ObjectMissing:
        return None


def read_answers(store: ObjectStore, catalog: str, version: str) -> list[Asked]:
    """What a version was asked, and what it answered; nothing when that is not known."""
    data = read_told(store, catalog, version, ANSWERS)
    try:
        lines = [] if data is None else [AnswerLine.model_validate_json(line) for line in gzip.decompress(data).splitlines()]
    except (ValidationError, OSError, EOFError):
        return []
    return [Asked(line.photo, line.answer) for line in lines]


def read_lists(store: ObjectStore, catalog: str, version: str) -> Iterator[dict[str, Any]]:
    """The lists of a version, a line each, its list under `LIST`."""
    data = read_told(store, catalog, version, LISTS)
    if data is not None:
        with gzip.open(io.BytesIO(data)) as file:
            yield from (json.loads(line) for line in file)
