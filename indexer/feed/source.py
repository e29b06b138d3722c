"""Where a feed comes from (file, http(s) address, object storage) and what it is (YML, Google's or a table, packed or plain)."""

from __future__ import annotations

import hashlib
import io
import json
import os
import posixpath
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import lru_cache
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote, urljoin, urlsplit

from lxml import etree

import packsight.indexer.feed as feed_package
import packsight.shared.tables as tables_package
from packsight.indexer.feed import google, xml, yml
from packsight.indexer.feed.fields import url_parameter
from packsight.indexer.feed.offers import Faults, FeedError, Item, Known, Offer
from packsight.indexer.feed.packed import unfetched, unpacked
from packsight.indexer.feed.readable import code
from packsight.indexer.feed.table import read_table
from packsight.shared.contract.errors import PacksightError
from packsight.shared.contract.references import in_ascii, is_whole, plain, printable, scheme
from packsight.shared.settings import Catalog, Settings
from packsight.shared.storage.coding import Received
from packsight.shared.storage.fetch import Fetcher
from packsight.shared.storage.names import without_scheme
from packsight.shared.storage.objects import ObjectStore
from packsight.shared.tables import kinds
from packsight.shared.tables.encoding import beginning
from packsight.shared.tables.lines import Readable
from packsight.shared.tables.workbook import SIGNATURES

_DEADLINE = 900.0
_HOST = re.compile(r"www\.[^/\\\s]+\.[^/\\\s.]+/", re.IGNORECASE)
"""How an address goes on behind https://."""
_SURE_SECONDS = 2.0
"""File systems tell times apart by two seconds or less."""
_SURE_DATE_SECONDS = 60.0


@dataclass
class Feed:
    """A feed that is open to be read once."""

    location: str
    reader: str
    """Name of the way in which it is read: another one makes other offers of the same bytes."""
    validator: str
    """Mark by which it is asked for again; empty where none is sure."""
    faults: Faults
    joins: bool
    """Whether several offers with the same id are one product; else the last one stands."""
    _stream: io.BufferedReader[Any]
    _rules: Catalog

    def items(self, known: Known = lambda _: False) -> Iterator[Item]:
        """Everything in it that is an offer, those that are known by their digest unread.

        Raises FeedError when it cannot be read whole.
        """
        key, faults, unavailable = self.reader.encode()[:64], self.faults, self._rules.include_unavailable
        if _is_xml(self._stream):
            found = read_xml(self._stream, self.location, faults, unavailable=unavailable, known=known, key=key)
        else:
            name = self.location + _as_page(_head(self._stream))
            mapping = self._rules.columns
            found = read_table(self._stream, name, faults, mapping=mapping, unavailable=unavailable, known=known, key=key)
        for item in found:
            if item.offer is None:
                yield item
            elif (offer := identified(item.offer, self._rules.identity, faults)) is not None:
                yield Item(item.digest, offer)


@contextmanager
def open_feed(location: str, settings: Settings, store: ObjectStore, *, validator: str = "") -> Iterator[Feed | None]:
    """A feed or table; None when it surely is what `validator` marks. Raises FeedError when it cannot be fetched or unpacked."""
    rules = settings.catalog
    with _opened(location, settings, store, validator) as (raw, came):
        if raw is None:
            yield None
            return
        with unpacked(raw, location, came.coding, rules.max_feed_bytes) as stream:
            joins = rules.identity != "id" or not _is_xml(stream)
            yield Feed(location, reader_of(rules), came.mark, Faults(), joins, stream, rules)


def reader_of(rules: Catalog) -> str:
    """Name of the way in which feeds are read: by these rules and by this code, whatever is changed in it."""
    said = [rules.identity, rules.include_unavailable, sorted(rules.columns.items()), _code()]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


@lru_cache(maxsize=1)
def _code() -> str:
    digest = hashlib.sha256()
    for package in (feed_package, tables_package):
        for folder in package.__path__:
            for file in sorted(Path(folder).glob("*.py")):
                digest.update(file.read_bytes())
    return digest.hexdigest()


def identified(offer: Offer, identity: str, faults: Faults) -> Offer | None:
    """Give an offer the id that `Catalog.identity` asks for; one that lacks it is counted and left out."""
    product = offer.product
    match identity.partition(":"):
        case ("id", *_):
            return offer
        case ("vendor_code", *_):
            named = product.vendor_code
        case (_, _, parameter):
            named = url_parameter(product.url, parameter)
    if not named:
        faults.count(f"offers without {identity}, left out", f"id {product.id}")
        return None
    return Offer(product.model_copy(update={"id": named}), offer.pictures)


def _as_page(head: bytes) -> str:
    """What to say beside the name of a table that is a web page: a server's error comes as one."""
    if not kinds.is_html(head):
        return ""
    title = plain(kinds.page_title(head))
    return f", an HTML page called “{title}”," if title else ", an HTML page,"


def _head(stream: io.BufferedReader[Any]) -> bytes:
    return stream.peek(kinds.HEAD)[: kinds.HEAD]


def _is_xml(stream: io.BufferedReader[Any]) -> bool:
    """Whether it is a feed in XML; the table of a web page is a table."""
    head = _head(stream)
    if head.startswith(SIGNATURES):  # what lies in a workbook may be unpacked, and begin with XML
        return False
    text = xml.without_what_is_before(beginning(head, xml.declared(head)))
    return text.startswith(b"<") and not kinds.is_html(text)


def read_xml(
    stream: Readable, name: str, faults: Faults, *, unavailable: bool = True, known: Known = lambda _: False, key: bytes = b""
) -> Iterator[Item]:
    """Yield the items of a YML or Google feed in constant memory; those without an id are counted.

    `unavailable`: whether those are kept that are marked as not available. key: of the digests, 64 bytes at most. Raises
    FeedError as `xml.items` does.
    """
    categories: dict[str, str] = {}
    keyed: bytes | None = None
    for root, element in xml.items(stream, name, faults, {**dict.fromkeys(yml.ROOTS, yml.ELEMENTS), **google.ROOTS}):
        is_yml = root in yml.ROOTS
        if is_yml and xml.local(element) == yml.CATEGORY:
            categories[element.get("id", "")] = yml.category_of(element, faults)
            keyed = None
            continue
        if keyed is None:  # offers name categories by their numbers, so what these mean is a part of them
            keyed = hashlib.blake2b(json.dumps(categories).encode(), key=key).digest()
        text = etree.tostring(element, encoding="utf-8", with_tail=False)
        digest = hashlib.blake2b(text, digest_size=16, key=keyed).digest()
        if known(digest):
            yield Item(digest, None)
            continue
        offer = (
            yml.offer_of(element, categories, faults, unavailable=unavailable)
            if is_yml
            else google.offer_of(element, faults, unavailable=unavailable)
        )
        if offer is not None:
            if not offer.product.name:
                faults.count("offers without a name", f"id {offer.product.id}")
            yield Item(digest, offer)
        elif not _has_id(element, is_yml=is_yml):
            faults.count("offers without an id, left out", f"line {element.sourceline}")


def _has_id(element: Any, *, is_yml: bool) -> bool:
    if is_yml and code(element.get("id", "")):
        return True
    return any(xml.local(child) == "id" and code(xml.text_of(child)) for child in element if isinstance(child.tag, str))


def is_remote(location: str) -> bool:
    """Tell an address (`s3://`, `http(s)://`) from a file path."""
    return location.startswith("s3://") or scheme(location) in {"http", "https"}


def root_of(location: str) -> Path | None:
    """Folder that relative pictures of a local feed stand in; None for an address."""
    return None if is_remote(location) else Path(location).resolve().parent


def reference_of(picture: str, location: str) -> str:
    """Turn a picture as the feed names it into a reference that can be fetched.

    Relative pictures belong to the feed's own folder or address; spaces and Cyrillic letters of addresses are quoted, those of
    hosts written as DNS has them. What begins with `www.` and the rest of a host lacks the beginning of an address alone. Only
    a local feed may name files by address.
    """
    if not is_remote(location) and is_whole(path := without_scheme(picture)):
        picture = path
    if picture.startswith("//"):
        picture = "https:" + picture
    elif _HOST.match(picture):
        picture = "https://" + picture
    if picture.startswith("s3://"):
        return picture
    if "://" not in picture:
        if is_remote(location):
            picture = picture.replace("\\", "/")
        if location.startswith("s3://"):
            bucket, _, key = location.removeprefix("s3://").partition("/")
            return (
                f"s3://{bucket}/{posixpath.normpath(posixpath.join('/', posixpath.dirname(key), picture)).lstrip('/')}"
            )
        if not is_remote(location):
            return picture
        picture = urljoin(location, picture)
    if not picture.isascii():
        with suppress(ValueError):  # whoever fetches it says what is wrong with its host
            host = urlsplit(picture).netloc
            picture = picture.replace(host, host if "@" in host else in_ascii(host), 1)
    return quote(picture, safe="!#$%&'()*+,/:;=?@[]~")


def operator_settings(settings: Settings, location: str, root: Path | None = None) -> Settings:
    """Settings for fetching what the operator named: its host or the folder of its key is allowed, local paths below `root`.

    More patience too.
    """
    hosts = [urlsplit(location).netloc.rpartition("@")[2]] if scheme(location) in {"http", "https"} else []
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


def check_readable(location: str) -> None:
    """Raise FeedError when a feed is a file that cannot be read; what lies elsewhere is only known once it is fetched."""
    if not is_remote(location):
        _check_name(location)
        try:
            if not Path(location).is_fifo():  # what a pipe holds can be read once
                Path(location).open("rb").close()
        except OSError as error:
            raise _unreadable(location, error) from None


@contextmanager
def _opened(location: str, settings: Settings, store: ObjectStore, validator: str) -> Iterator[tuple[IO[bytes] | None, Received]]:
    """The feed's bytes and what is known of them; None when they are still those of `validator`."""
    if not is_remote(location):
        _check_name(location)
        try:
            with Path(location).open("rb") as file:
                mark = _mark(file)
                yield (None if mark and mark == validator else file), Received(mark)
        except OSError as error:
            raise _unreadable(location, error) from None
        return
    patient = operator_settings(settings, location)
    limits = patient.fetch.model_copy(update={"max_bytes": settings.catalog.max_feed_bytes, "deadline": _DEADLINE})
    with tempfile.TemporaryFile() as file, closing(Fetcher(patient.model_copy(update={"fetch": limits}), store)) as fetcher:
        try:
            came = fetcher.copy_if_changed(location, validator, file)
        except PacksightError as error:
            raise unfetched(error) from None
        file.seek(0)
        if came is None:
            yield None, Received(validator)
        else:
            yield file, came if _is_sure(came.mark) else Received("", came.coding)


def _check_name(location: str) -> None:
    if not is_whole(location):  # it is kept as text
        raise FeedError(f"{printable(location)}: this name is not written in UTF-8. Rename the file or its folder.")


def _unreadable(location: str, error: OSError) -> FeedError:
    if scheme(location):
        return FeedError(f"Feeds are not read from {scheme(location)}://. Name a file, or an address with https://, http:// or s3://.")
    return FeedError(f"{location or 'A feed without a name'} cannot be read: {error.strerror}. Check the path of the feed.")


def _mark(file: IO[bytes]) -> str:
    """Mark of an open file; empty while it may be written to again within the same tick of its clock.

    The time at which its entry changed cannot be set by those who copy or restore a file.
    """
    status = os.fstat(file.fileno())
    if time.time() - max(status.st_mtime, status.st_ctime) < _SURE_SECONDS:
        return ""
    return f"file:{status.st_ino}-{status.st_size}-{status.st_mtime_ns}-{status.st_ctime_ns}"


def _is_sure(mark: str) -> bool:
    """Whether what has this mark is the same: a date of whole seconds is no proof while they last (RFC 9110, 8.8.2.2)."""
    kind, _, value = mark.partition(":")
    if kind != "modified":
        return True
    try:
        return time.time() - parsedate_to_datetime(value).timestamp() >= _SURE_DATE_SECONDS
    except (ValueError, TypeError):
        return False
