"""From an image reference to the file's bytes: object storage, the web, or a folder that the operator opened."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TypeVar

from packsight.shared.contract.errors import ErrorCode, ImageError, StorageError
from packsight.shared.contract.references import is_picture_itself, parse_address, parse_object, scheme, shown
from packsight.shared.settings import Settings
from packsight.shared.storage import deadline
from packsight.shared.storage.coding import Received, unpacked
from packsight.shared.storage.names import find
from packsight.shared.storage.object_rule import ObjectRule
from packsight.shared.storage.objects import ObjectStore
from packsight.shared.storage.web import Fetched, Web, content_mark

T = TypeVar("T")

__all__ = ["Fetched", "Fetcher"]

_FIRST_PAUSE = 0.2
_REFUSED = frozenset({ErrorCode.ACCESS_DENIED, ErrorCode.BUCKET_MISSING})
"""What keys that are no longer good are told, too: of every object, and of the bucket."""
_AGAIN_SECONDS = 5.0
"""For the second look at an object: what does not come by then would hold its whole batch up."""


class Fetcher:
    """Fetches images for several threads. Make it in the process that uses it: connections do not survive a fork."""

    def __init__(self, settings: Settings, store: ObjectStore) -> None:
        self._limits = settings.fetch
        self._store = store
        self._rule = ObjectRule(store.bucket, settings.fetch.allowed_prefixes)
        self._web = Web(settings.fetch)

    def fetch(self, reference: str, *, retries: int | None = None, unpack: bool = True) -> bytes:
        """Read the file that a reference names, within settings.fetch.deadline seconds in all.

        `retries` (default settings.fetch.retries) counts further attempts over http(s) after statuses 408, 425, 429 and
        5xx and after broken connections, with doubling pauses; object storage has retries of its own. `unpack`: whether a file
        that is stored packed is unpacked.

        Raises ImageError: REFERENCE_INVALID, REFERENCE_REFUSED, OBJECT_MISSING, BUCKET_MISSING, ACCESS_DENIED,
        HTTP_STATUS, HOST_UNREACHABLE, FETCH_TIMEOUT, FETCH_FAILED or FILE_TOO_LARGE.
        """
        fetched = self._fetch(reference, "", self._limits.retries if retries is None else retries)
        if fetched is None:
            message = f"{shown(reference)} answered “not modified” to a plain request"
            remedy = "The server, or a cache before it, is at fault: give another address of the picture."
            raise ImageError(ErrorCode.FETCH_FAILED, message, remedy=remedy, retryable=False)
        return self._unpacked(fetched, reference) if unpack else fetched.data

    def fetch_if_changed(self, reference: str, validator: str) -> Fetched | None:
        """Read a file again if it is no longer the one that `validator` marks; an empty validator reads it always.

        The validator is opaque: ETag or date of a web page or object, size and time of a file. Raises like `fetch`.
        """
        fetched = self._fetch(reference, validator, self._limits.retries)
        # Servers may ignore the condition and send the same file again.
        if fetched is None or (validator and fetched.validator == validator):
            return None
        return Fetched(self._unpacked(fetched, reference), fetched.validator)

    def copy_if_changed(self, reference: str, validator: str, into: BinaryIO) -> Received | None:
        """Copy what a web page or an object has, however large, into a file, as it is stored; says what came.

        None when it is still what `validator` marks; then the file may hold anything. Raises like `fetch`.
        """
        with deadline.within(self._limits.deadline):
            if scheme(reference) == "s3":
                came = self._copy_object(reference, validator, into)
            else:
                address = parse_address(reference)
                came = self._patiently(lambda: self._web.copy(address, validator, into), self._limits.retries)
        return None if came is None or came.mark == validator else came

    def is_outage(self, reference: str, error: ImageError) -> bool:
        """Whether a reference could not be fetched because object storage is away, or was: then the photo is not to blame.

        Storage that answers is asked for the object once more: one may be broken where all others can be read, and one that
        comes now says that storage was away before. Where it refuses us our own room too, it is not the object that is closed.
        """
        if scheme(reference) != "s3" or not (error.retryable or error.code in _REFUSED):
            return False
        return not self._store.answers() or (error.retryable and self._comes(reference))

    def _comes(self, reference: str) -> bool:
        try:
            with deadline.within(_AGAIN_SECONDS):
                self.fetch(reference)
        except ImageError:
            return False
        return True

    def close(self) -> None:
        """Close the connections; the store's are its owner's."""
        self._web.close()

    def _unpacked(self, fetched: Fetched, reference: str) -> bytes:
        return unpacked(fetched.data, self._limits.max_bytes, shown(reference), fetched.coding)

    def _fetch(self, reference: str, validator: str, retries: int) -> Fetched | None:
        with deadline.within(self._limits.deadline):
            match scheme(reference):
                case "":
                    return self._file(reference, validator)
                case "s3":
                    return self._object(reference, validator)
                case _:
                    return self._page(reference, validator, retries)

    def _page(self, reference: str, validator: str, retries: int) -> Fetched | None:
        address = parse_address(reference)
        return self._patiently(lambda: self._web.get(address, validator), retries)

    def _patiently(self, get: Callable[[], T], retries: int) -> T:
        for attempt in range(retries):
            try:
                return get()
            except ImageError as error:
                pause = max(_FIRST_PAUSE * 2**attempt, error.pause)
                if not error.retryable or pause >= deadline.remaining():
                    raise
            time.sleep(pause)
        return get()

    def _object(self, reference: str, validator: str) -> Fetched | None:
        bucket, key = self._allowed(reference)
        with _as_image_error(reference):
            if self._is_marked(bucket, key, validator):
                return None
            blob = self._store.read(key, bucket=bucket, limit=self._limits.max_bytes)
        mark = f"etag:{blob.etag}" if blob.etag else content_mark(blob.data)
        return Fetched(blob.data, mark, blob.coding)

    def _copy_object(self, reference: str, validator: str, into: BinaryIO) -> Received | None:
        bucket, key = self._allowed(reference)
        with _as_image_error(reference):
            if self._is_marked(bucket, key, validator):
                return None
            came = self._store.receive(bucket, key, into, self._limits.max_bytes)
            return Received(f"etag:{came.mark}", came.coding)

    def _allowed(self, reference: str) -> tuple[str, str]:
        bucket, key = parse_object(reference)
        self._rule.check(bucket, key)
        return bucket, key

    def _is_marked(self, bucket: str, key: str, validator: str) -> bool:
        return validator.startswith("etag:") and validator == f"etag:{self._store.etag(key, bucket=bucket)}"

    def _file(self, reference: str, validator: str) -> Fetched | None:
        if is_picture_itself(reference):
            raise ImageError(
                ErrorCode.REFERENCE_INVALID,
                "the reference is a picture itself, as a data URI",
                remedy="Decode it, upload the photo, and name where that is: s3://bucket/key or https://….",
            )
        path = self._below_root(reference)
        name = shown(reference)
        try:
            with open(path, "rb", opener=_open_at_once) as file:
                status = os.fstat(file.fileno())
                if not stat.S_ISREG(status.st_mode):
                    raise ImageError(ErrorCode.REFERENCE_INVALID, f"{name} is no file")
                mark = f"file:{status.st_size}-{status.st_mtime_ns}"
                if mark == validator:
                    return None
                data = file.read(self._limits.max_bytes + 1)
        except (FileNotFoundError, NotADirectoryError):
            raise ImageError(ErrorCode.OBJECT_MISSING, f"{name} does not exist", remedy="Correct the path.") from None
        except IsADirectoryError:
            raise ImageError(ErrorCode.REFERENCE_INVALID, f"{name} is a folder") from None
        except PermissionError:
            raise ImageError(ErrorCode.ACCESS_DENIED, f"{name} may not be read") from None
        except OSError as error:
            raise ImageError(ErrorCode.FETCH_FAILED, f"{name}: {error.strerror}") from error
        if len(data) > self._limits.max_bytes:
            raise ImageError(ErrorCode.FILE_TOO_LARGE, f"{name} has more than {self._limits.max_bytes} bytes")
        return Fetched(data, mark)

    def _below_root(self, reference: str) -> Path:
        """Resolve a path, symbolic links included; raises ImageError when it leaves the root or there is none.

        Another spelling counts only where it leads to a file below the root: nothing tells what there is outside.
        """
        if self._limits.root is None:
            raise ImageError(
                ErrorCode.REFERENCE_REFUSED,
                f"{shown(reference)}: plain paths are not read here",
                remedy="Set PACKSIGHT_FETCH__ROOT to the folder of the photos, or use s3:// or https:// references.",
            )
        try:
            root = self._limits.root.resolve()
            path, found = (root / reference).resolve(), find(root, reference).resolve()
            path = found if found.is_relative_to(root) else path
        except (OSError, ValueError, RuntimeError):
            raise ImageError(ErrorCode.REFERENCE_INVALID, f"{shown(reference)} is no path") from None
        if not path.is_relative_to(root):
            raise ImageError(
                ErrorCode.REFERENCE_REFUSED,
                f"{shown(reference)} lies outside {root}",
                remedy="Name a file below PACKSIGHT_FETCH__ROOT.",
            )
        return path


@contextmanager
def _as_image_error(reference: str) -> Iterator[None]:
    try:
        yield
    except StorageError as error:
        if error.retryable and deadline.remaining() <= 0:
            raise ImageError(ErrorCode.FETCH_TIMEOUT, f"{reference} was not read in time") from error
        raise ImageError(error.code, error.message, remedy=error.remedy, retryable=error.retryable) from error


def _open_at_once(path: str, flags: int) -> int:
    """Open without waiting for the other end of a named pipe, which would hold the worker."""
    return os.open(path, flags | os.O_NONBLOCK)
