"""Where a feed comes from (file, http(s) address, object storage) and what it is (YML, Google's or a table, gzip or plain)."""

from __future__ import annotations

import gzip
import io
import posixpath
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote, urljoin, urlsplit

from packsight.indexer.feed import google, xml, yml
from packsight.indexer.feed.fields import url_parameter
from packsight.indexer.feed.offers import Faults, FeedError, Offer, Offers, collect
from packsight.indexer.feed.table import read_table
from packsight.shared.contract.errors import PacksightError
from packsight.shared.settings import Settings
from packsight.shared.storage.fetch import Fetcher
from packsight.shared.storage.objects import ObjectStore
from packsight.shared.tables.cells import Readable
from packsight.shared.tables.encoding import Recoder

MAX_RATIO = 100
"""Feeds of real shops shrink to a tenth or a twentieth; a bomb to a thousandth."""
_RATIO_FROM = 16_000_000
_DEADLINE = 900.0


def read_offers(location: str, settings: Settings, store: ObjectStore) -> Offers:
    """Read the offers of a feed or table; raises FeedError when it cannot be read whole."""
    faults, rules = Faults(), settings.catalog
    with _opened(location, settings, store) as raw, _unpacked(raw, location, rules.max_feed_bytes) as stream:
        try:
            if _is_xml(stream):
                offers, join = read_xml(stream, location, faults, unavailable=rules.include_unavailable), False
            else:
                mapping, unavailable = rules.columns, rules.include_unavailable
                offers, join = read_table(stream, location, faults, mapping=mapping, unavailable=unavailable), True
            return collect(identified(offers, rules.identity, faults), faults, location, join=join or rules.identity != "id")
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise FeedError(f"{location} is a broken gzip file: {error}. Pack the feed again.") from None


def identified(offers: Iterable[Offer], identity: str, faults: Faults) -> Iterator[Offer]:
    """Give offers the id that `Catalog.identity` asks for; those that lack it are counted and left out."""
    for offer in offers:
        product = offer.product
        match identity.partition(":"):
            case ("id", *_):
                yield offer
                continue
            case ("vendor_code", *_):
                named = product.vendor_code
            case (_, _, parameter):
                named = url_parameter(product.url, parameter)
        if named:
            yield Offer(product.model_copy(update={"id": named}), offer.pictures)
        else:
            faults.count(f"offers without {identity}, left out", f"id {product.id}")


def _is_xml(stream: io.BufferedReader[_Guarded]) -> bool:
    try:
        return Recoder().recode(stream.peek(512)[:512]).lstrip().startswith(b"<")
    except UnicodeDecodeError:
        return False


def read_xml(stream: Readable, name: str, faults: Faults, *, unavailable: bool = True) -> Iterator[Offer]:
    """Yield the offers of a YML or Google feed in constant memory; those without an id are counted.

    `unavailable`: whether those are kept that are marked as not available. Raises FeedError as `xml.items` does.
    """
    categories: dict[str, str] = {}
    for root, element in xml.items(stream, name, faults, {yml.ROOT: yml.ELEMENTS, **google.ROOTS}):
        is_yml = root == yml.ROOT
        offer = (
            yml.offer_of(element, categories, unavailable=unavailable)
            if is_yml
            else google.offer_of(element, unavailable=unavailable)
        )
        if offer is not None:
            yield offer
        elif not _has_id(element, is_yml=is_yml):
            faults.count("offers without an id, left out", f"line {element.sourceline}")


def _has_id(element: Any, *, is_yml: bool) -> bool:
    if is_yml:
        return xml.local(element) == "category" or bool(element.get("id", "").strip())
    return any(xml.local(child) == "id" for child in element if isinstance(child.tag, str))


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
            return picture
        picture = urljoin(location, picture)
    return quote(picture, safe="!#$%&'()*+,/:;=?@[]~")


def operator_settings(settings: Settings, location: str, root: Path | None = None) -> Settings:
    """Settings for fetching what the operator named: its host or the folder of its key is allowed, local paths below `root`.

    More patience too.
    """
    hosts = [urlsplit(location).netloc.rpartition("@")[2]] if location.startswith("http") else []
    prefixes = [location[: location.rindex("/") + 1]] if location.startswith("s3://") else []
    fetch = settings.fetch.model_copy(
        update={
            "root": root or settings.fetch.root,
            "allowed_hosts": (*settings.fetch.allowed_hosts, *hosts),
            "allowed_prefixes": (*settings.fetch.allowed_prefixes, *prefixes),
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
        data = fetcher.fetch(location, unpack=False)
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
