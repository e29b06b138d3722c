"""The wire contract, version 1: what stands in a task's argument. JSON only; docs/message-contract.md explains it."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from packsight.shared.contract.errors import ErrorCode, MessageError
from packsight.shared.contract.validation import wrong_fields

RECOGNIZE = "packsight.recognize"
DESCRIBE = "packsight.describe"
SYNC = "packsight.sync"
RECONCILE = "packsight.reconcile"

INTERACTIVE_QUEUE = "packsight.interactive"
"""Single photos that someone waits for; served first."""
DEFAULT_QUEUE = "celery"
"""Where `send_task` of a plain Celery program lands; served second."""
BULK_QUEUE = "packsight.recognize"
"""Batches of jobs."""
DESCRIBE_QUEUE = "packsight.describe"
"""Photos of catalog syncs; served last."""
INDEXER_QUEUE = "packsight.indexer"
WORKER_QUEUES = (INTERACTIVE_QUEUE, DEFAULT_QUEUE, BULK_QUEUE, DESCRIBE_QUEUE)
"""In the order in which a recognition worker serves them."""

CATALOG_NAME = r"^[a-z0-9][a-z0-9_-]{0,62}$"
MAX_IMAGES = 1024

Reference = Annotated[str, Field(min_length=1, max_length=4096)]


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RecognizeRequest(_Message):
    """Argument of `packsight.recognize`: a batch of image references and how to answer."""

    version: Literal[1] = 1
    images: Annotated[list[Reference], Field(min_length=1, max_length=MAX_IMAGES)]
    catalog: Annotated[str, Field(pattern=CATALOG_NAME)] = "default"
    top_k: Annotated[int, Field(ge=1, le=50)] = 5
    read_all: bool = False
    """Read every line of a photo, also when those read so far decide."""


class DescribeRequest(_Message):
    """Argument of `packsight.describe`: photos whose features are to be put into the feature store."""

    version: Literal[1] = 1
    images: Annotated[list[Reference], Field(min_length=1, max_length=MAX_IMAGES)]


T = TypeVar("T", bound=_Message)


def parse_request(kind: type[T], raw: Any) -> T:
    """Validate a task's argument; raises MessageError that names each wrong field."""
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        text = f"The message does not follow the contract: {wrong_fields(error)}"
        raise MessageError(ErrorCode.BAD_MESSAGE, text) from None
