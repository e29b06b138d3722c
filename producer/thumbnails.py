"""Small pictures for the report; formats and limits are the workers' own, so that HEIC and sideways photos work."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

from PIL import Image

from packsight.shared.contract.errors import PacksightError
from packsight.shared.settings import Decode
from packsight.shared.vision.picture import SIXTEEN_BIT_MODES, load, opaque, opened, orientation, within

SIDE = 240
"""Longer side in pixels."""
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What undoes an EXIF orientation (EXIF 2.32, tag 0x0112)."""
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
    with opened(data, limits) as image:
        size = within(image.size, side)
        image.draft(None, size)  # does something for JPEG only
        load(image)
        # 257 = 65535 / 255; Pillow's own conversion clips at 255 instead of scaling.
        whole = image.point(lambda sample: sample / 257).convert("L") if image.mode in SIXTEEN_BIT_MODES else image
        small = opaque(whole).resize(size, Image.Resampling.BOX)
        if (turn := _TURNS.get(orientation(image))) is not None:
            small = small.transpose(turn)
        buffer = io.BytesIO()
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


def style_class(sha256: str | None) -> str:
    """Name of the style that shows a catalog photo; empty when there is none."""
    return f"p-{sha256[:20]}" if sha256 and _SHA256.fullmatch(sha256) else ""
