"""Items of Google Merchant feeds: RSS 2.0 and Atom with the `g:` names, https://support.google.com/merchants/answer/7052112."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from packsight.indexer.feed import fields
from packsight.indexer.feed.offers import Faults, Offer
from packsight.indexer.feed.pictures import places_in
from packsight.indexer.feed.xml import local, text_of
from packsight.shared.tables.columns import columns

ROOTS = {"rss": ("item",), "feed": ("entry",)}
"""By root of the feed what its items are called."""

_PLACES = frozenset(("picture", "url"))
"""Fields that are addresses."""
_OWN = ("{http://base.google.com/ns/", "{https://base.google.com/ns/")


def offer_of(element: Any, faults: Faults, *, unavailable: bool) -> Offer | None:
    """The offer of an item; None without an id, or where it is not available and that counts.

    Google's own elements go before those of RSS and Atom, whose `id` is the entry's.
    """
    children = [child for child in element if isinstance(child.tag, str)]
    children.sort(key=lambda child: not child.tag.startswith(_OWN))
    names = [local(child) for child in children]
    found = {field: [_text(children[index], field) for index in at] for field, at in _columns(tuple(names)).items()}
    return fields.offer_of(found, faults, unavailable=unavailable)


def _text(element: Any, field: str) -> str:
    """Addresses may stand in elements within, beside what is said of them, or in an attribute, as Atom has them."""
    return (field not in _PLACES and text_of(element).strip()) or places_in(element)


@lru_cache(maxsize=256)
def _columns(names: tuple[str, ...]) -> dict[str, list[int]]:
    """Most items of a feed have the same elements."""
    return columns(names, {})
