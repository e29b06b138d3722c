"""Small pictures, made by the server with the workers' own limits, a few megabytes of them kept."""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from collections.abc import Callable

from packsight.shared.settings import Settings
from packsight.shared.storage import layout
from packsight.shared.storage.fetch import Fetcher
from packsight.shared.storage.objects import ObjectStore
from packsight.shared.vision.picture import reduced

_KEPT = 32 * 1024 * 1024
"""Bytes: some 4,000 pictures of lists."""
_AT_ONCE = 4
"""Photos decoded at a time: each may take a hundred megabytes (PACKSIGHT_DECODE__MAX_PIXELS)."""


class Pictures:
    """Pictures of photos by reference, and of catalog photos by hash; safe to use from several threads.

    A photo is fetched as workers fetch it: from where references may reach, over public addresses alone. It is decoded and
    written anew, so that nothing but a picture is ever handed on. Raises ImageError or StorageError as fetching and decoding do.
    """

    def __init__(self, settings: Settings, store: ObjectStore) -> None:
        self._settings, self._store = settings, store
        self._fetcher = Fetcher(settings, store)
        self._kept: OrderedDict[tuple[str, int], bytes] = OrderedDict()
        self._size = 0
        self._lock, self._work = threading.Lock(), threading.BoundedSemaphore(_AT_ONCE)

    def of_query(self, reference: str, side: int) -> bytes:
        """A photo that was submitted, as WebP."""
        return self._picture((reference, side), lambda: self._fetcher.fetch(reference, retries=0))

    def of_catalog(self, sha256: str, side: int) -> bytes:
        """A photo of a catalog, as WebP."""
        limit = self._settings.fetch.max_bytes
        return self._picture((sha256, side), lambda: self._store.read(layout.photo(sha256), limit=limit).data)

    def close(self) -> None:
        """Close the connections."""
        self._fetcher.close()

    def _picture(self, key: tuple[str, int], read: Callable[[], bytes]) -> bytes:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        with self._work:
            made = _webp(read(), self._settings, key[1])
        with self._lock:
            if key not in self._kept:
                self._kept[key] = made
                self._size += len(made)
            while self._size > _KEPT:
                self._size -= len(self._kept.popitem(last=False)[1])
        return made


def _webp(data: bytes, settings: Settings, side: int) -> bytes:
    buffer = io.BytesIO()
    reduced(data, settings.decode, side).save(buffer, "WEBP", quality=80)
    return buffer.getvalue()
