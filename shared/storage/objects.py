"""Object storage as packsight uses it: a few plain S3 calls over the MinIO SDK, errors turned into typed ones."""

from __future__ import annotations

import hashlib
import io
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast
from xml.etree.ElementTree import ParseError

import urllib3
from minio import Minio
from minio.error import InvalidResponseError, S3Error, ServerError
from minio.helpers import check_bucket_name, check_object_name
from urllib3.exceptions import HTTPError
from urllib3.exceptions import TimeoutError as TransferTimeout
from urllib3.util import Retry, Timeout

from packsight.shared.contract.errors import ErrorCode, ObjectMissing, StorageAway, StorageError, StoreUnable
from packsight.shared.settings import S3
from packsight.shared.storage import deadline, layout
from packsight.shared.storage.coding import Received
from packsight.shared.storage.files import Unchanged

T = TypeVar("T")

_MD5 = re.compile(r"[0-9a-f]{32}")
_CODES = {
    "NoSuchKey": ErrorCode.OBJECT_MISSING,
    "NoSuchVersion": ErrorCode.OBJECT_MISSING,
    "NoSuchBucket": ErrorCode.BUCKET_MISSING,
    "InvalidBucketName": ErrorCode.REFERENCE_INVALID,
    "KeyTooLongError": ErrorCode.REFERENCE_INVALID,
    "AccessDenied": ErrorCode.ACCESS_DENIED,
    "InvalidAccessKeyId": ErrorCode.ACCESS_DENIED,
    "SignatureDoesNotMatch": ErrorCode.ACCESS_DENIED,
}
_SKEWED = "RequestTimeTooSkewed"
"""How what was signed at another time is refused: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html."""
_CHUNK = 256 * 1024
_ERRORS = (S3Error, ServerError, InvalidResponseError, HTTPError, ValueError, ParseError)
"""What calls of the client raise; the last two for answers that are not S3's: minio parses what it gets."""


class Conflict(StorageError):
    """A conditional write lost: someone else wrote the object in between."""


@dataclass(frozen=True, slots=True)
class Blob:
    """An object's content with the tag that a conditional overwrite names, and its Content-Encoding."""

    data: bytes
    etag: str
    coding: str = ""


@dataclass(frozen=True, slots=True)
class Listed:
    """What a listing says of an object; `modified` by the server's clock."""

    key: str
    size: int
    modified: datetime
    etag: str = ""


def _require_name(bucket: str, key: str | None = None) -> None:
    """Raise StorageError for names that the client would not ask for."""
    try:
        check_bucket_name(bucket)
        if key is not None:
            check_object_name(key)
    except ValueError as error:
        raise StorageError(ErrorCode.REFERENCE_INVALID, f"s3://{bucket}/{key or ''}: {error}") from None


def _require_new_name(bucket: str) -> None:
    """Raise StorageError where no bucket of this name may be made any more: before 2018 some were."""
    try:
        check_bucket_name(bucket, strict=True, s3_check=True)
    except ValueError:
        message = f"There is no bucket {bucket}, and none of this name can be made"
        remedy = "Take small letters, digits and dashes for PACKSIGHT_S3__BUCKET, as in my-photos."
        raise StorageError(ErrorCode.BUCKET_MISSING, message, remedy=remedy) from None


def _require_tag(tag: str | None, name: str) -> str:
    """An answer's ETag: every S3 server gives one with every object, and the page of a proxy hardly ever has one."""
    if not tag:
        raise _not_s3(name)
    return tag


def _is_md5(tag: str, headers: Mapping[str, str]) -> bool:
    """Whether a tag is the MD5 of the content: 32 hex digits, unless the server encrypts with keys that are not its own."""
    own = headers.get("x-amz-server-side-encryption", "AES256") == "AES256"
    return own and "x-amz-server-side-encryption-customer-algorithm" not in headers and bool(_MD5.fullmatch(tag))


def _not_s3(name: str) -> StorageError:
    return StorageError(
        ErrorCode.FETCH_FAILED,
        f"{name}: the answer is none of an S3 server's",
        remedy="Look what answers under PACKSIGHT_S3__ENDPOINT; it may be the page of a proxy whose server is away.",
    )


class ObjectStore:
    """One S3 endpoint. A forked child that goes on with it opens connections of its own."""

    def __init__(self, s3: S3, *, pool_size: int = 16) -> None:
        self.bucket = s3.bucket
        self._http = deadline.pool_manager(
            maxsize=pool_size,
            timeout=Timeout(connect=s3.connect_timeout, read=s3.read_timeout),
            ca_certs=str(s3.ca) if s3.ca else None,
            retries=Retry(total=2, backoff_factor=0.2, status_forcelist=[500, 502, 503, 504]),
        )
        self._client = Minio(
            s3.endpoint,
            access_key=s3.access_key or None,
            secret_key=s3.secret_key.get_secret_value() or None,
            secure=s3.secure,
            region=s3.region,
            http_client=self._http,
        )
        self.endpoint = s3.endpoint

    def answers(self) -> bool:
        """Whether the server is there, lets us look into our bucket, and gives what it has.

        A server that has just started may list long before it reads: SeaweedFS knows names before any volume is there.
        """
        try:
            # Not HEAD of the bucket: any proxy has a 200 for that, and it is a right to list all of it. Whoever asks may list
            # and read this part of it.
            catalogs = (key for key in self.list(layout.CATALOGS, recursive=False) if key != layout.DELETIONS)
            catalog = next(catalogs, None)
        except StorageError:
            return False
        try:
            if catalog is not None:
                self.read(layout.pointer(catalog.removeprefix(layout.CATALOGS).rstrip("/")))
        except StorageError as error:
            return not error.retryable
        return True

    def ensure_bucket(self) -> None:
        """Create our bucket if it is missing and these keys may do so: those of most roles may not even ask for it.

        Then it was made for them, or the first write tells that it is missing.
        """
        try:
            if not self._client.bucket_exists(self.bucket):
                _require_new_name(self.bucket)
                self._client.make_bucket(self.bucket)
        except S3Error as error:
            if error.code == "AccessDenied":
                self._ask_of_the_clock()
            elif error.code not in {"BucketAlreadyOwnedByYou", "BucketAlreadyExists"}:
                raise self._typed(error, f"s3://{self.bucket}") from error
        except _ERRORS as error:
            raise self._typed(error, f"s3://{self.bucket}") from error

    def read(self, key: str, *, bucket: str | None = None, limit: int | None = None) -> Blob:
        """Read an object whole.

        The body is not covered by the client's own retries, so a transfer that breaks off is started once more.
        Raises StorageError: OBJECT_MISSING, BUCKET_MISSING, ACCESS_DENIED, FILE_TOO_LARGE (over `limit` bytes), FETCH_….
        """
        for last in (False, True):
            body = io.BytesIO()
            try:
                came = self.receive(bucket or self.bucket, key, body, limit)
            except StorageError as error:
                if last or error.code is not ErrorCode.FETCH_FAILED:
                    raise
            else:
                return Blob(body.getvalue(), came.mark, came.coding)
        raise AssertionError("unreachable")

    def receive(self, bucket: str, key: str, into: BinaryIO, limit: int | None, *, tagged: bool = True) -> Received:
        """Copy an object's content as it comes; its mark is its tag. Raises StorageError as `read` does, after one attempt.

        tagged: whether it must be what its tag says. Where whoever asks knows its hash, MD5 would only take most of the time.
        """
        name = f"s3://{bucket}/{key}"
        response = None
        _require_name(bucket, key)
        digest, size = hashlib.md5(usedforsecurity=False), 0
        try:
            response = self._client.get_object(bucket, key)
            etag = _require_tag(response.headers.get("ETag", "").strip('"'), name)
            expected = int(response.headers.get("Content-Length", -1))
            if limit is not None and expected > limit:
                raise StorageError(ErrorCode.FILE_TOO_LARGE, f"{name} has {expected} bytes, more than {limit}")
            for chunk in response.stream(_CHUNK, decode_content=False):
                into.write(chunk)
                if tagged:
                    digest.update(chunk)
                size += len(chunk)
                if limit is not None and size > limit:
                    raise StorageError(ErrorCode.FILE_TOO_LARGE, f"{name} has more than {limit} bytes")
            if expected >= 0 and size != expected:
                raise StorageError(ErrorCode.FETCH_FAILED, f"{name} broke off after {size} of {expected} bytes")
            if tagged and _is_md5(etag, response.headers) and digest.hexdigest() != etag:
                raise StorageError(ErrorCode.FETCH_FAILED, f"{name} did not arrive as its ETag says")
        except _ERRORS as error:
            raise self._typed(error, name) from error
        finally:
            if response is not None:
                response.close()
                response.release_conn()
        return Received(etag, response.headers.get("Content-Encoding", ""))

    def write(self, key: str, data: bytes, *, content_type: str = "application/octet-stream") -> None:
        """Write an object whole."""
        stored = self._call(
            key, lambda: self._client.put_object(self.bucket, key, io.BytesIO(data), len(data), content_type=content_type)
        )
        _require_tag(stored.etag, key)

    def create(self, key: str, data: bytes) -> bool:
        """Write an object only if the key is free; False when it was taken."""
        return self._conditional(key, data, {"If-None-Match": "*"})

    def replace(self, key: str, data: bytes, *, etag: str | None) -> None:
        """Overwrite an object only if it still has this tag (None: only if it doesn't exist); raises Conflict."""
        headers = {"If-None-Match": "*"} if etag is None else {"If-Match": f'"{etag}"'}
        if not self._conditional(key, data, headers):
            raise Conflict(ErrorCode.CONFLICT, f"{key} was changed by someone else in between")

    def _conditional(self, key: str, data: bytes, headers: dict[str, str]) -> bool:
        # minio-py has no parameter for request headers of put_object, so the low-level call is used.
        try:
            stored = self._client._put_object(self.bucket, key, data, {**headers, "Content-Type": "application/json"})
            _require_tag(stored.etag, key)
        except S3Error as error:
            if error.code in {"PreconditionFailed", "ConditionalRequestConflict"}:
                return False
            raise self._typed(error, key) from error
        except _ERRORS as error:
            raise self._typed(error, key) from error
        return True

    def address_to_put(self, key: str, seconds: int) -> str:
        """Address to which whoever has it can send this object for so many seconds, signed here: nothing is asked."""
        signed: str = self._client.presigned_put_object(self.bucket, key, expires=timedelta(seconds=seconds))
        return signed

    def exists(self, key: str) -> bool:
        """Tell whether our bucket has this key."""
        try:
            self._stat(self.bucket, key)
        except ObjectMissing:
            return False
        return True

    def size(self, key: str) -> int:
        """Bytes of an object of our bucket."""
        return int(self._stat(self.bucket, key).size or 0)

    def age(self, key: str) -> timedelta | None:
        """Since an object of our bucket was written last; None when there is none."""
        try:
            written: datetime = self._stat(self.bucket, key).last_modified
        except ObjectMissing:
            return None
        return datetime.now(UTC) - written

    def etag(self, key: str, *, bucket: str | None = None) -> str:
        """Tag of an object's present content."""
        return str(self._stat(bucket or self.bucket, key).etag)

    def _stat(self, bucket: str, key: str) -> Any:
        _require_name(bucket, key)
        try:
            stat = self._call(key, lambda: self._client.stat_object(bucket, key))
        except StorageError as error:
            if error.code is ErrorCode.ACCESS_DENIED:
                self._ask_of_the_clock()
            raise
        _require_tag(stat.etag, key)
        return stat

    def _ask_of_the_clock(self) -> None:
        """Raise StoreUnable where it is the clock for which HEAD was refused: its answers have no body that could say so."""
        try:
            next(self.list(layout.CATALOGS, recursive=False), None)
        except StoreUnable:
            raise
        except StorageError:
            return

    def list(self, prefix: str, *, bucket: str | None = None, recursive: bool = True) -> Iterator[str]:
        """Keys below a prefix in order; with recursive=False also the next level's prefixes, which end in `/`."""
        for item in self._items(prefix, bucket or self.bucket, recursive=recursive):
            yield str(item.object_name)

    def listed(self, prefix: str, *, bucket: str | None = None) -> Iterator[Listed]:
        """Objects below a prefix, in the order of their keys, with size, age and tag."""
        for item in self._items(prefix, bucket or self.bucket, recursive=True):
            modified, etag = item.last_modified or datetime.now(UTC), str(item.etag or "").strip('"')
            yield Listed(str(item.object_name), int(item.size or 0), modified, etag)

    def _items(self, prefix: str, bucket: str, *, recursive: bool) -> Iterator[Any]:
        _require_name(bucket)
        try:
            yield from self._client.list_objects(bucket, prefix=prefix, recursive=recursive)
        except _ERRORS as error:
            raise self._typed(error, f"s3://{bucket}/{prefix}") from error

    def download(self, key: str, path: Path, *, limit: int | None = None, tagged: bool = True) -> str:
        """Copy an object of `limit` bytes at most into a file, in constant memory; return its tag.

        Raises StorageError as `read` does. tagged: as for `receive`.
        """
        with path.open("wb") as file:
            return self.receive(self.bucket, key, file, limit, tagged=tagged).mark

    def upload(self, key: str, path: str) -> None:
        """Copy a file into an object, in constant memory."""
        stored = self._call(key, lambda: self._client.fput_object(self.bucket, key, path))
        _require_tag(stored.etag, key)

    def upload_unchanged(self, key: str, path: Path, sha256: str) -> None:
        """The same of a file with this hash, in hex; raises FileChanged, and stores nothing, where its content has another."""
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            content = cast("BinaryIO", Unchanged(file, size, sha256))
            stored = self._call(key, lambda: self._client.put_object(self.bucket, key, content, size, num_parallel_uploads=1))
        _require_tag(stored.etag, key)

    def remove(self, key: str) -> None:
        """Remove an object; no error when there is none."""
        self._call(key, lambda: self._client.remove_object(self.bucket, key))

    def close(self) -> None:
        """Close the connections."""
        self._http.clear()

    def _call(self, name: str, call: Callable[[], T]) -> T:
        try:
            return call()
        except _ERRORS as error:
            raise self._typed(error, name) from error

    def _typed(self, error: Exception, name: str) -> StorageError:
        if isinstance(error, S3Error) and error.code == _SKEWED:
            remedy = "Set the clock of this machine, or that of object storage: they are more than a quarter of an hour apart."
            return StoreUnable(ErrorCode.HOST_UNREACHABLE, f"{name}: {error.code}: {error.message}", remedy=remedy)
        if isinstance(error, S3Error):
            code = _CODES.get(str(error.code), ErrorCode.FETCH_FAILED)
            kind = ObjectMissing if code is ErrorCode.OBJECT_MISSING else StorageError
            return kind(code, f"{name}: {error.code}: {error.message or ''}".rstrip(": "))
        if isinstance(error, ValueError | ParseError):
            return _not_s3(name)
        if isinstance(error, TransferTimeout):
            return StorageAway(ErrorCode.FETCH_TIMEOUT, f"Object storage does not answer in time ({name}: {self.endpoint})")
        reason = getattr(error, "reason", None) or error
        given_up = isinstance(error, urllib3.exceptions.MaxRetryError)
        code = ErrorCode.HOST_UNREACHABLE if given_up else ErrorCode.FETCH_FAILED
        if isinstance(reason, urllib3.exceptions.ResponseError):
            remedy = "Look into the log of the server that PACKSIGHT_S3__ENDPOINT names: it answers, but its disk may be full."
            return StoreUnable(code, f"{name}: {self.endpoint} cannot carry it out ({reason})", remedy=remedy)
        what = f"{name}: {self.endpoint}: {type(reason).__name__}"
        started = "Start the server that PACKSIGHT_S3__ENDPOINT names, or correct it."
        away = StorageAway(code, f"Object storage does not answer ({what})", remedy=started)
        return away if given_up else StorageError(code, what)
