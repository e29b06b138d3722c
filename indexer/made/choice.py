"""Which products' only photos another one is made of, and what is put behind it."""

from __future__ import annotations

import hashlib
from bisect import bisect
from collections import Counter
from collections.abc import Sequence

from packsight.shared.catalog.manifest import PhotoRow


def chosen(photos: Sequence[PhotoRow], most: int) -> list[str]:
    """Hashes of at most so many photos that are the only ones of their products, in rising order.

    The lowest ones: hashes are as good as drawn by lot, and a catalog that gains or loses a product keeps nearly all others.
    """
    count = Counter(photo.product_id for photo in photos)
    return sorted({photo.sha256 for photo in photos if count[photo.product_id] == 1})[:most]


def behind(source: str, photos: Sequence[str]) -> str | None:
    """The photo of which a piece may be behind another: any but itself, mostly the same one when others come or go.

    photos: hashes in rising order. None when there is no other.
    """
    place = bisect(photos, hashlib.sha256(source.encode()).hexdigest())
    return next((one for one in (*photos[place : place + 2], *photos[:2]) if one != source), None)
