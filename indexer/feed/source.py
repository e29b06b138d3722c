"""Where a feed comes from (file, http(s) address, object storage) and what it is (YML or table, gzip or plain)."""

from __future__ import annotations

import gzip
import io
import posixpath
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from urllib.parse import quote, urljoin, urlsplit

from packsight.indexer.feed.offers import Faults, FeedError, Offers, collect
from packsight.indexer.feed.table import read_table
from packsight.indexer.feed.yml import read_feed
from packsight.shared.contract.errors import PacksightError
from packsight.shared.settings import Settings
from packsight.shared.storage.fetch import Fetcher
from packsight.shared.storage.objects import ObjectStore

MAX_RATIO = 100
"""Feeds of real shops shrink to a tenth or a twentieth; a bomb to a thousandth."""
_RATIO_FROM = 16_000_000
_DEADLINE = 900.0


def read_offers(location: str, settings: Settings, store: ObjectStore) -> Offers:
    """Read the offers of a feed or table; raises FeedError when it cannot be read whole."""
    faults = Faults()
    with _opened(location, settings, store) as raw, _unpacked(raw, location, settings.catalog.max_feed_bytes) as stream:
        try:
            beginning = stream.peek(512)[:512].removeprefix(b"\xef\xbb\xbf").lstrip()
            if beginning.startswith((b"<", b"\xff\xfe", b"\xfe\xff")):
                offers = read_feed(stream, location, faults, unavailable=settings.catalog.include_unavailable)
                return collect(offers, faults, location)
            return read_table(stream, location)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise FeedError(f"{location} is a broken gzip file: {error}. Pack the feed again.") from None


def is_remote(location: str) -> bool:
    """Tell an address (`s3://`, `http(s)://`) from a file path."""
    return location.startswith(("s3://", "http://", "https://"))


def root_of(location: str) -> Path | None:
    """Folder that relative pictures of a local feed stand in; None for an address."""
    return None if is_remote(location) else Path(location).resolve().parent


def reference_of(picture: str, location: str) -> str:
    """Turn a picture as the feed names it into a reference that can be fetched.

    Relative pictures belong to the feed's own folder or address; spaces and Cyrillic letters of addresses are quoted.
    """
    if picture.startswith("//"):
        picture = "https:" + picture
    if picture.startswith("s3://"):
        return picture
    if "://" not in picture:
        if location.startswith("s3://"):
            bucket, _, key = location.removeprefix("s3://").partition("/")
            return (
                f"s3://{bucket}/{posixpath.normpath(posixpath.join('/', posixpath.dirname(key), picture)).lstrip('/')}"
            )
        if not is_remote(location):
            return picture.replace("\\", "/")
        picture = urljoin(location, picture)
    return quote(picture, safe="!#$%&'()*+,/:;=?@[]~")


def operator_settings(settings: Settings, location: str, root: Path | None = None) -> Settings:
    """Settings for fetching what the operator named: its host is allowed, local paths below `root`, more patience."""
    hosts = [urlsplit(location).netloc.rpartition("@")[2]] if location.startswith("http") else []
    fetch = settings.fetch.model_copy(
        update={
            "root": root or settings.fetch.root,
            "allowed_hosts": (*settings.fetch.allowed_hosts, *hosts),
            "retries": 5,
            "deadline": max(settings.fetch.deadline, 60.0),
        }
    )
    return settings.model_copy(update={"fetch": fetch})


@contextmanager
def _opened(location: str, settings: Settings, store: ObjectStore) -> Iterator[IO[bytes]]:
    if not is_remote(location):
        try:
            with Path(location).open("rb") as file:
                yield file
        except OSError as error:
            raise FeedError(f"{location} cannot be read: {error.strerror}. Check the path of the feed.") from None
        return
    patient = operator_settings(settings, location)
    limits = patient.fetch.model_copy(update={"max_bytes": settings.catalog.max_feed_bytes, "deadline": _DEADLINE})
    fetcher = Fetcher(patient.model_copy(update={"fetch": limits}), store)
    try:
        data = fetcher.fetch(location)
    except PacksightError as error:
        raise FeedError(f"The feed cannot be fetched: {error}") from None
    finally:
        fetcher.close()
    with tempfile.TemporaryFile() as file:
        file.write(data)
        del data
        file.seek(0)
        yield file


@contextmanager
def _unpacked(raw: IO[bytes], name: str, limit: int) -> Iterator[io.BufferedReader[_Guarded]]:
    magic = raw.read(2)
    raw.seek(0)
    guarded = _Guarded(raw, name, limit, packed=magic == b"\x1f\x8b")
    with io.BufferedReader(guarded, 256 * 1024) as stream:
        yield stream


class _Guarded(io.RawIOBase):
    """A feed's bytes, unpacked if need be, that end in FeedError when there are too many of them."""

    def __init__(self, raw: IO[bytes], name: str, limit: int, *, packed: bool) -> None:
        self._raw = raw
        self._source: IO[bytes] = gzip.GzipFile(fileobj=raw) if packed else raw  # type: ignore[assignment]
        self._name, self._limit, self._packed = name, limit, packed
        self._given = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]
        data = self._source.read(len(view))
        view[: len(data)] = data
        self._given += len(data)
        if self._given > self._limit:
            raise FeedError(
                f"{self._name} has more than {self._limit} bytes. Raise PACKSIGHT_CATALOG__MAX_FEED_BYTES if it is right."
            )
        if self._packed and self._given > max(_RATIO_FROM, MAX_RATIO * self._raw.tell()):
            raise FeedError(
                f"{self._name} unpacks to more than {MAX_RATIO} times its size, which no feed does. Check the file."
            )
        return len(data)
