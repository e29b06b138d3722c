"""Small pictures for the report; formats and limits are the workers' own, so that HEIC and sideways photos work."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock

from packsight.shared.contract.errors import PacksightError
from packsight.shared.settings import Decode, Settings
from packsight.shared.storage import layout
from packsight.shared.storage.fetch import Fetcher
from packsight.shared.storage.objects import ObjectStore
from packsight.shared.vision.small import reduced

SIDE = 240
"""Longer side in pixels."""
_SHA256 = re.compile(r"[0-9a-f]{64}")

Read = Callable[[str], bytes]


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A picture as a data URI with its size in pixels."""

    uri: str
    width: int
    height: int


def thumbnail(data: bytes, limits: Decode, side: int = SIDE) -> Thumbnail:
    """Reduce a photo to `side` pixels; raises ImageError when it cannot be decoded."""
    small, buffer = reduced(data, limits, side), io.BytesIO()
    small.save(buffer, "WEBP", quality=75)
    uri = "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
    return Thumbnail(uri, *small.size)


class Thumbnails:
    """Pictures of queries, each made when asked, and of catalog photos, each handed out once for the whole report.

    `query` reads the bytes behind an image reference, `catalog` those behind the sha256 of a catalog photo; a photo
    that cannot be had is no error here, the report shows that it is missing. Safe to use from several threads.
    """

    def __init__(self, query: Read, catalog: Read, limits: Decode, side: int = SIDE) -> None:
        self._query, self._catalog, self._limits, self._side = query, catalog, limits, side
        self._taken: set[str] = set()
        self._lock = Lock()

    def of_query(self, reference: str) -> Thumbnail | None:
        """The picture of a photo that was looked at; None when it cannot be had."""
        return self._make(self._query, reference)

    def of_catalog(self, sha256: str | None) -> Thumbnail | None:
        """The picture of a catalog photo when it is asked for first; None later, or when it cannot be had."""
        if sha256 is None or not _SHA256.fullmatch(sha256):
            return None
        with self._lock:
            if sha256 in self._taken:
                return None
            self._taken.add(sha256)
        return self._make(self._catalog, sha256)

    def _make(self, read: Read, name: str) -> Thumbnail | None:
        try:
            return thumbnail(read(name), self._limits, self._side)
        except PacksightError:
            return None


@contextmanager
def fetched(settings: Settings, store: ObjectStore, side: int = SIDE) -> Iterator[Thumbnails]:
    """Pictures of photos that are fetched as workers do, each asked for once, and of the catalog's in a store."""
    fetcher = Fetcher(settings, store)
    limit = settings.fetch.max_bytes
    try:
        yield Thumbnails(
            query=lambda reference: fetcher.fetch(reference, retries=0),
            catalog=lambda sha256: store.read(layout.photo(sha256), limit=limit).data,
            limits=settings.decode,
            side=side,
        )
    finally:
        fetcher.close()


def style_class(sha256: str | None) -> str:
    """Name of the style that shows a catalog photo; empty when there is none."""
    return f"p-{sha256[:20]}" if sha256 and _SHA256.fullmatch(sha256) else ""
