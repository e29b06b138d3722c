"""Object storage as packsight uses it: a few plain S3 calls over the MinIO SDK, errors turned into typed ones."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar
from xml.etree.ElementTree import ParseError

import urllib3
from minio import Minio
from minio.error import InvalidResponseError, S3Error, ServerError
from urllib3.exceptions import HTTPError
from urllib3.exceptions import TimeoutError as TransferTimeout
from urllib3.util import Retry, Timeout

from packsight.shared.contract.errors import ErrorCode, StorageError
from packsight.shared.settings import S3
from packsight.shared.storage import deadline, layout

T = TypeVar("T")

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
_CHUNK = 256 * 1024


class Conflict(StorageError):
    """A conditional write lost: someone else wrote the object in between."""


@dataclass(frozen=True, slots=True)
class Blob:
    """An object's content with the tag that a conditional overwrite names."""

    data: bytes
    etag: str


class ObjectStore:
    """One S3 endpoint. Make it in the process that uses it: connections must not be shared over a fork."""

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
        """Whether the server is there and lets us look into our bucket."""
        try:
            # Not HEAD of the bucket: that is a right to list all of it. Whoever asks may list this.
            next(iter(self._client.list_objects(self.bucket, prefix=layout.CATALOGS)), None)
        except (S3Error, ServerError, InvalidResponseError, HTTPError, ValueError, ParseError):
            return False
        return True

    def ensure_bucket(self) -> None:
        """Create our bucket if it is missing and these keys may do so: those of most roles may not even ask for it.

        Then it was made for them, or the first write tells that it is missing.
        """
        try:
            if not self._client.bucket_exists(self.bucket):
                self._client.make_bucket(self.bucket)
        except S3Error as error:
            if error.code not in {"BucketAlreadyOwnedByYou", "BucketAlreadyExists", "AccessDenied"}:
                raise self._typed(error, self.bucket) from error
        except (HTTPError, ServerError, InvalidResponseError) as error:
            raise self._typed(error, self.bucket) from error

    def read(self, key: str, *, bucket: str | None = None, limit: int | None = None) -> Blob:
        """Read an object whole.

        The body is not covered by the client's own retries, so a transfer that breaks off is started once more.
        Raises StorageError: OBJECT_MISSING, BUCKET_MISSING, ACCESS_DENIED, FILE_TOO_LARGE (over `limit` bytes), FETCH_….
        """
        for last in (False, True):
            try:
                return self._read_once(bucket or self.bucket, key, limit)
            except StorageError as error:
                if last or error.code is not ErrorCode.FETCH_FAILED:
                    raise
        raise AssertionError("unreachable")

    def _read_once(self, bucket: str, key: str, limit: int | None) -> Blob:
        name = f"s3://{bucket}/{key}"
        response = None
        try:
            response = self._client.get_object(bucket, key)
            expected = int(response.headers.get("Content-Length", -1))
            if limit is not None and expected > limit:
                raise StorageError(ErrorCode.FILE_TOO_LARGE, f"{name} has {expected} bytes, more than {limit}")
            body = io.BytesIO()
            for chunk in response.stream(_CHUNK, decode_content=False):
                body.write(chunk)
                if limit is not None and body.tell() > limit:
                    raise StorageError(ErrorCode.FILE_TOO_LARGE, f"{name} has more than {limit} bytes")
            if expected >= 0 and body.tell() != expected:
                raise StorageError(ErrorCode.FETCH_FAILED, f"{name} broke off after {body.tell()} of {expected} bytes")
            return Blob(body.getvalue(), response.headers.get("ETag", "").strip('"'))
        except (S3Error, ServerError, InvalidResponseError, HTTPError, ValueError) as error:
            raise self._typed(error, name) from error
        finally:
            if response is not None:
                response.close()
                response.release_conn()

    def write(self, key: str, data: bytes, *, content_type: str = "application/octet-stream") -> None:
        """Write an object whole."""
        self._call(
            key, lambda: self._client.put_object(self.bucket, key, io.BytesIO(data), len(data), content_type=content_type)
        )

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
            self._client._put_object(self.bucket, key, data, {**headers, "Content-Type": "application/json"})
        except S3Error as error:
            if error.code in {"PreconditionFailed", "ConditionalRequestConflict"}:
                return False
            raise self._typed(error, key) from error
        except (ServerError, InvalidResponseError, HTTPError) as error:
            raise self._typed(error, key) from error
        return True

    def exists(self, key: str) -> bool:
        """Tell whether our bucket has this key."""
        try:
            self._call(key, lambda: self._client.stat_object(self.bucket, key))
        except StorageError as error:
            if error.code is ErrorCode.OBJECT_MISSING:
                return False
            raise
        return True

    def size(self, key: str) -> int:
        """Bytes of an object of our bucket."""
        stat = self._call(key, lambda: self._client.stat_object(self.bucket, key))
        return int(stat.size or 0)

    def etag(self, key: str, *, bucket: str | None = None) -> str:
        """Tag of an object's present content."""
        stat = self._call(key, lambda: self._client.stat_object(bucket or self.bucket, key))
        return (stat.etag or "").strip('"')

    def list(self, prefix: str, *, bucket: str | None = None, recursive: bool = True) -> Iterator[str]:
        """Keys below a prefix in order; with recursive=False also the next level's prefixes, which end in `/`."""
        listing = self._client.list_objects(bucket or self.bucket, prefix=prefix, recursive=recursive)
        try:
            for item in listing:
                yield str(item.object_name)
        except (S3Error, ServerError, InvalidResponseError, HTTPError, ParseError) as error:
            raise self._typed(error, f"s3://{bucket or self.bucket}/{prefix}") from error

    def download(self, key: str, path: str) -> None:
        """Copy an object into a file, in constant memory."""
        self._call(key, lambda: self._client.fget_object(self.bucket, key, path))

    def upload(self, key: str, path: str) -> None:
        """Copy a file into an object, in constant memory."""
        self._call(key, lambda: self._client.fput_object(self.bucket, key, path))

    def remove(self, key: str) -> None:
        """Remove an object; no error when there is none."""
        self._call(key, lambda: self._client.remove_object(self.bucket, key))

    def close(self) -> None:
        """Close the connections."""
        self._http.clear()

    def _call(self, name: str, call: Callable[[], T]) -> T:
        try:
            return call()
        except (S3Error, ServerError, InvalidResponseError, HTTPError) as error:
            raise self._typed(error, name) from error

    def _typed(self, error: Exception, name: str) -> StorageError:
        if isinstance(error, S3Error):
            code = _CODES.get(str(error.code), ErrorCode.FETCH_FAILED)
            return StorageError(code, f"{name}: {error.code}: {error.message or ''}".rstrip(": "))
        if isinstance(error, ValueError):
            return StorageError(ErrorCode.REFERENCE_INVALID, f"{name}: {error}")
        if isinstance(error, TransferTimeout):
            return StorageError(ErrorCode.FETCH_TIMEOUT, f"{name}: {self.endpoint} did not answer in time")
        reason = getattr(error, "reason", None) or error
        unreachable = isinstance(error, urllib3.exceptions.MaxRetryError)
        code = ErrorCode.HOST_UNREACHABLE if unreachable else ErrorCode.FETCH_FAILED
        return StorageError(code, f"{name}: {self.endpoint}: {type(reason).__name__}")
