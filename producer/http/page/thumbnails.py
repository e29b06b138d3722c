"""Small pictures, made by the server with the workers' own limits, a few megabytes of them kept."""

from __future__ import annotations

import hashlib
import io
import threading
from collections import OrderedDict
from collections.abc import Callable

from packsight.shared.contract.errors import ErrorCode, ImageError
from packsight.shared.settings import Settings
from packsight.shared.storage import layout
from packsight.shared.storage.fetch import Fetcher
from packsight.shared.storage.objects import ObjectStore
from packsight.shared.vision.small import reduced

_KEPT = 32 * 1024 * 1024
"""Bytes: some 4,000 pictures of lists."""
_SECONDS = 5.0
"""For which the server of a photo is waited for; the worker that answered was more patient."""
_AT_ONCE = 4
"""Photos decoded at a time: each may take a hundred megabytes (PACKSIGHT_DECODE__MAX_PIXELS)."""


class Pictures:
    """Pictures of photos by reference, and of catalog photos by hash; safe to use from several threads.

    A photo is fetched as workers fetch it: from where references may reach, over public addresses alone. It is decoded and
    written anew, so that nothing but a picture is ever handed on. Raises ImageError or StorageError as fetching and decoding do.
    """

    def __init__(self, settings: Settings, store: ObjectStore) -> None:
        self._settings, self._store = settings, store
        # Of the server's own disk nothing is shown, and nobody waits long for a host that may hang.
        fetch = settings.fetch.model_copy(update={"root": None, "deadline": _SECONDS})
        self._fetcher = Fetcher(settings.model_copy(update={"fetch": fetch}), store)
        self._kept: OrderedDict[tuple[str, int], bytes] = OrderedDict()
        self._size = 0
        self._lock, self._work = threading.Lock(), threading.BoundedSemaphore(_AT_ONCE)

    def of_query(self, reference: str, side: int, sha256: str | None = None) -> bytes:
        """A photo that was submitted, as WebP; sha256: of the bytes that were answered, so that nothing else is looked at."""

        def read() -> bytes:
            data = self._fetcher.fetch(reference, retries=0)
            if sha256 and hashlib.sha256(data).hexdigest() != sha256:
                raise ImageError(ErrorCode.OBJECT_MISSING, "What lies there now is not the photo that was answered")
            return data

        return self._picture((f"{sha256 or ''} {reference}", side), read)

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
        data = read()
        with self._work:
            made = _webp(data, self._settings, key[1])
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
