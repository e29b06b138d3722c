"""The wire contract, version 1: what stands in a task's argument. JSON only; docs/message-contract.md explains it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any, Literal, TypedDict, TypeVar, Unpack, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from packsight.shared.contract.errors import ErrorCode, MessageError, UserError
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


class Priority(StrEnum):
    """Which of two jobs goes first while messages of both wait."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"


PRIORITIES: dict[Priority, int] = {Priority.HIGH: 3, Priority.NORMAL: 0, Priority.LOW: 6}
"""Celery's `priority` of a job's messages, in the order in which workers take them within a queue. A message that says nothing
has 0, so that is the middle."""
SENT_AT = "sent_at"
"""Header with the time of sending, in seconds since 1970: by it is known how long a message has waited. Nobody must send it."""

CALLED = "called"
"""Header with what people call a batch: `job`, perhaps its `name`, and `photos`, the names of its first ones. For Flower; nobody
must send it."""

CATALOG_NAME = r"^[a-z0-9][a-z0-9_-]{0,62}$"
MAX_IMAGES = 1024

Part = Literal["embedding", "words", "details"]
"""What is extracted from a photo, each by something of its own: the embedder, the spotter, the way of key points."""
PARTS: tuple[Part, ...] = get_args(Part)
MAKERS: dict[Part, str] = {"embedding": "embedder", "words": "spotter", "details": "details"}
"""What makes each part, as results call it that name its fingerprint."""

Reference = Annotated[str, Field(min_length=1, max_length=4096)]


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RecognizeOptions(_Message):
    """How photos are answered: the same for all photos of a job, and one value from the command line to the message."""

    catalog: Annotated[str, Field(pattern=CATALOG_NAME)] = "default"
    """Where products are looked for."""
    top_k: Annotated[int, Field(ge=1, le=50)] = 5
    """Candidates per photo."""
    read_all: bool = False
    """Read every line of a photo, also when those read so far decide."""
    max_products: Annotated[int, Field(ge=1, le=20)] = 1
    """Products that are looked for on a photo."""

    def alone(self) -> dict[str, Any]:
        """The options by name, without what a message or a manifest holds beside them."""
        return self.model_dump(include=set(RecognizeOptions.model_fields))


class OptionKeywords(TypedDict, total=False):
    """The fields of RecognizeOptions as keyword arguments."""

    catalog: str
    top_k: int
    read_all: bool
    max_products: int


class _Photos(_Message):
    version: Literal[1] = 1
    images: Annotated[list[Reference], Field(min_length=1, max_length=MAX_IMAGES)]


class RecognizeRequest(RecognizeOptions, _Photos):
    """Argument of `packsight.recognize`: a batch of image references and how to answer."""

    @classmethod
    def of(cls, images: Sequence[str], options: RecognizeOptions) -> RecognizeRequest:
        """Ask for these images to be answered so."""
        return cls(images=list(images), **options.alone())

    def argument(self) -> dict[str, Any]:
        """What stands in the message. An option of this release is left out where it says nothing, for earlier workers."""
        return self.model_dump(mode="json", exclude={"max_products"} if self.max_products == 1 else None)


class DescribeRequest(_Photos):
    """Argument of `packsight.describe`: photos whose features are to be put into the feature store."""

    parts: Annotated[list[Part], Field(min_length=1)] = list(PARTS)
    """What to make; what of a photo is stored already need not be made again."""


T = TypeVar("T", bound=_Message)


def parse_request(kind: type[T], raw: Any) -> T:
    """Validate a task's argument; raises MessageError that names each wrong field."""
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        text = f"The message does not follow the contract: {wrong_fields(error)}"
        raise MessageError(ErrorCode.BAD_MESSAGE, text) from None


def check_catalog_name(name: str) -> None:
    """Raise UserError, which says what names of catalogs are like, for what is none."""
    if not re.fullmatch(CATALOG_NAME, name):
        raise UserError(f"{name or 'Nothing'} is no name of a catalog. Use lower-case letters, digits, _ and -, 63 at most.")


def parse_options(base: RecognizeOptions | None = None, **keywords: Unpack[OptionKeywords]) -> RecognizeOptions:
    """Return the options named by keywords, the others as in `base`; raises UserError that names each wrong option."""
    if isinstance(catalog := keywords.get("catalog"), str):
        check_catalog_name(catalog)
    try:
        return RecognizeOptions(**{**(base.alone() if base else {}), **keywords})
    except ValidationError as error:
        raise UserError(f"This option cannot be used: {wrong_fields(error)}. Correct it.") from None
