"""Every error that a user or another service can meet: a stable code, a cause, a remedy, and whether a retry can help."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class ErrorCode(StrEnum):
    """Stable codes; they are part of the message contract."""

    BAD_MESSAGE = "bad_message"
    REFERENCE_INVALID = "reference_invalid"
    REFERENCE_REFUSED = "reference_refused"
    OBJECT_MISSING = "object_missing"
    BUCKET_MISSING = "bucket_missing"
    ACCESS_DENIED = "access_denied"
    HTTP_STATUS = "http_status"
    HOST_UNREACHABLE = "host_unreachable"
    FETCH_TIMEOUT = "fetch_timeout"
    FETCH_FAILED = "fetch_failed"
    FILE_TOO_LARGE = "file_too_large"
    FILE_EMPTY = "file_empty"
    FORMAT_UNSUPPORTED = "format_unsupported"
    IMAGE_TRUNCATED = "image_truncated"
    IMAGE_TOO_MANY_PIXELS = "image_too_many_pixels"
    IMAGE_TOO_SMALL = "image_too_small"
    IMAGE_BROKEN = "image_broken"
    CONFLICT = "conflict"
    CATALOG_MISSING = "catalog_missing"
    CATALOG_REFUSED = "catalog_refused"
    WORKER_KILLED = "worker_killed"
    WORKER_LOST = "worker_lost"
    TIME_LIMIT = "time_limit"
    CANCELLED = "cancelled"
    NO_ANSWER = "no_answer"
    TOO_MANY_REQUESTS = "too_many_requests"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class Advice:
    """What to do about a code, and whether the same request can succeed later without anyone changing anything."""

    remedy: str
    retryable: bool


ADVICE: dict[ErrorCode, Advice] = {
    ErrorCode.BAD_MESSAGE: Advice("Send the arguments that docs/message-contract.md describes.", False),
    ErrorCode.REFERENCE_INVALID: Advice("Use s3://bucket/key, https://… or a path under PACKSIGHT_FETCH__ROOT.", False),
    ErrorCode.REFERENCE_REFUSED: Advice(
        "Only public addresses are fetched; allow others by PACKSIGHT_FETCH__ALLOWED_HOSTS or put the photo into object storage.",
        False,
    ),
    ErrorCode.OBJECT_MISSING: Advice("Upload the object before enqueueing it, or correct the key.", False),
    ErrorCode.BUCKET_MISSING: Advice("Create the bucket or correct its name in the reference.", False),
    ErrorCode.ACCESS_DENIED: Advice("Give the credentials that asked for it access to this object.", False),
    ErrorCode.HTTP_STATUS: Advice("Open the address in a browser; the server answered with an error status.", False),
    ErrorCode.HOST_UNREACHABLE: Advice("Check the host name and that the worker's network reaches it.", True),
    ErrorCode.FETCH_TIMEOUT: Advice("Try again; if it lasts, the server is too slow for PACKSIGHT_FETCH__DEADLINE.", True),
    ErrorCode.FETCH_FAILED: Advice("Try again; the transfer broke off.", True),
    ErrorCode.FILE_TOO_LARGE: Advice("Send a smaller file or raise PACKSIGHT_FETCH__MAX_BYTES.", False),
    ErrorCode.FILE_EMPTY: Advice("Upload the photo again: the file has no content.", False),
    ErrorCode.FORMAT_UNSUPPORTED: Advice("Send JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF or HEIC.", False),
    ErrorCode.IMAGE_TRUNCATED: Advice("Upload the photo again: the file ends too early.", False),
    ErrorCode.IMAGE_TOO_MANY_PIXELS: Advice("Send a smaller photo or raise PACKSIGHT_DECODE__MAX_PIXELS.", False),
    ErrorCode.IMAGE_TOO_SMALL: Advice("Send a photo whose shorter side has at least PACKSIGHT_DECODE__MIN_SIDE pixels.", False),
    ErrorCode.IMAGE_BROKEN: Advice("Save the photo again in another program: its content cannot be decoded.", False),
    ErrorCode.CONFLICT: Advice("Run the command again: someone else changed the same object in between.", True),
    ErrorCode.CATALOG_MISSING: Advice("Publish one with `packsight catalog sync --catalog NAME`, or correct the name.", True),
    ErrorCode.CATALOG_REFUSED: Advice("Sync the catalog with the models that the workers run (`packsight doctor`).", True),
    ErrorCode.WORKER_KILLED: Advice("The photo ended its worker each time; look at it in `packsight dead-letters list`.", False),
    ErrorCode.WORKER_LOST: Advice(
        "Give the workers' containers more memory, and look at the photo in `packsight dead-letters list`.", False
    ),
    ErrorCode.TIME_LIMIT: Advice(
        "The photo took longer than PACKSIGHT_WORKER__TIME_LIMIT and …__IMAGE_SECONDS allow; look at it in "
        "`packsight dead-letters list`.",
        False,
    ),
    ErrorCode.CANCELLED: Advice("Ask again with `packsight jobs retry JOB`.", True),
    ErrorCode.NO_ANSWER: Advice("Ask again; if it lasts, look at the workers (`packsight status`) or start more.", True),
    ErrorCode.TOO_MANY_REQUESTS: Advice("Wait as long as `retry_after` says, then ask again.", True),
    ErrorCode.INTERNAL: Advice("A defect in packsight: report it with the worker's log of this task.", True),
}


class PacksightError(Exception):
    """An expected failure with a stable code.

    `message` says what happened to which thing; `remedy` what to do; `retryable` whether waiting can help. All four are its
    arguments, which is what Celery stores of an error: senders in any language get them as a list in this order.
    """

    def __init__(self, code: ErrorCode, message: str, remedy: str | None = None, retryable: bool | None = None) -> None:
        self.code = code
        self.message = message
        self.remedy = ADVICE[code].remedy if remedy is None else remedy
        self.retryable = ADVICE[code].retryable if retryable is None else retryable
        super().__init__(code, message, self.remedy, self.retryable)

    def __str__(self) -> str:
        return f"{self.message} [{self.code}] {self.remedy}"


class ImageError(PacksightError):
    """One image cannot be used; its neighbours are not concerned."""

    pause: float = 0.0
    """Seconds that its server asked to wait (Retry-After)."""


class StorageError(PacksightError):
    """Object storage lacks what was asked for, refuses it, or does not answer."""


class ObjectMissing(StorageError):
    """An object is not there."""


class StorageAway(StorageError):
    """Object storage does not answer, or not in time."""


class StoreUnable(StorageError):
    """Object storage answers and cannot carry it out now: its disk is full, or a clock is wrong. There is nothing to start."""


class MessageError(PacksightError):
    """A message that does not follow the contract; it is put aside on the dead-letter list."""

    def __init__(
        self,
        code: ErrorCode = ErrorCode.BAD_MESSAGE,
        message: str = "",
        remedy: str | None = None,
        retryable: bool | None = None,
    ) -> None:
        super().__init__(code, message, remedy, retryable)


class CatalogError(PacksightError):
    """A catalog version is missing, damaged, or made for another recipe."""


class TaskError(PacksightError):
    """A task that ends without outcomes: every worker that was given it died or took too long."""


NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""Errors of the system by which a full disk, a quota, or a limit on the size of files is told."""


class Dependency(StrEnum):
    """What every photo needs beside itself."""

    STORE = "object storage"
    RESULTS = "result database"
    CATALOG = "catalog"
    NETWORKS = "networks"


class Outage(Exception):
    """Something that every photo needs is away or of no use to this worker: no photo is to blame, and all can be done again.

    dependency: what is away; detail: how that was seen. finished: outcomes, by image, of what was done nevertheless.
    """

    def __init__(self, dependency: Dependency, detail: str, finished: Mapping[str, object] = MappingProxyType({})) -> None:
        super().__init__(dependency, detail)
        self.dependency = dependency
        self.detail = detail
        self.finished = finished

    def __str__(self) -> str:
        return f"{self.dependency}: {self.detail}"

    def __reduce__(self) -> tuple[object, ...]:
        return Outage, (self.dependency, self.detail)  # to another process goes why, not what was done


class PutOff(Exception):
    """A batch cannot be ended now, though others can, and its message is to come again after some seconds."""

    def __init__(self, why: str, seconds: float) -> None:
        super().__init__(why, seconds)
        self.why = why
        self.seconds = seconds

    def __str__(self) -> str:
        return f"{self.why}; it comes again in {self.seconds:.0f} s"


class UserError(Exception):
    """A command cannot go on: printed by the CLI as one line, exit code 2. The text names the cause and the remedy."""


SOME_FAILED = 3
"""Exit code of a command that did what it was asked, where photos of its job have failed."""


def parse_code(text: str) -> ErrorCode:
    """The error code that somebody typed; raises UserError for what is none."""
    try:
        return ErrorCode(text)
    except ValueError:
        raise UserError(f"{text} is no error code. There are {', '.join(ErrorCode)}.") from None
