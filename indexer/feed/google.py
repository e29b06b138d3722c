"""Items of Google Merchant feeds: RSS 2.0 and Atom with the `g:` names, https://support.google.com/merchants/answer/7052112."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from packsight.indexer.feed import fields
from packsight.indexer.feed.offers import Offer
from packsight.indexer.feed.xml import local, text_of
from packsight.shared.tables.columns import columns

ROOTS = {"rss": ("item",), "feed": ("entry",)}
"""By root of the feed what its items are called."""


def offer_of(element: Any, *, unavailable: bool) -> Offer | None:
    """The offer of an item; None without an id, or where it is not available and that counts."""
    names, values = [], []
    for child in element:
        if isinstance(child.tag, str):
            names.append(local(child))
            values.append(text_of(child).strip() or child.get("href", ""))  # Atom has a link's address in an attribute
    found = {field: [values[index] for index in at] for field, at in _columns(tuple(names)).items()}
    return fields.offer_of(found, unavailable=unavailable)


@lru_cache(maxsize=256)
def _columns(names: tuple[str, ...]) -> dict[str, list[int]]:
    """Most items of a feed have the same elements."""
    return columns(names, {})
