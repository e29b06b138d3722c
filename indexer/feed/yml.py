"""Offers of YML (Yandex Market Language): `yml_catalog/shop/offers/offer`, https://yandex.ru/support/marketplace/tools/elements."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from packsight.indexer.feed.fields import barcodes_in, is_unavailable, vendor_code
from packsight.indexer.feed.offers import Faults, Offer
from packsight.indexer.feed.pictures import addresses_in, places_in
from packsight.indexer.feed.readable import address, code, readable
from packsight.indexer.feed.xml import local, text_of
from packsight.shared.catalog.manifest import ProductRow
from packsight.shared.tables.columns import columns

ROOTS = ("yml_catalog", "shop", "offers")
"""The last ones of parts that are handed over alone."""
CATEGORY = "category"
ELEMENTS = ("offer", CATEGORY)
MAX_FIELD = 20_000
"""Characters kept of a field."""
_FIELDS = frozenset(
    (
        "name", "typePrefix", "vendor", "model", "title", "vendorCode", "price", "oldprice", "currencyId", "categoryId",
        "description", "param",
    )
)  # fmt: skip
"""Elements of text that are read."""
_PLACES = frozenset(("url", "picture", "pictures", "barcode"))
"""Those whose text may stand in elements within."""
_OTHERS = {"picture": "image", "name": "title", "barcode": "barcode"}
"""What elements count as that shops call otherwise, by the field of tables that they are."""
_LANGUAGE = re.compile(r"(?<=[a-z])_[a-z]{2}\Z")
"""Of which several names have one each."""


def category_of(element: Any, faults: Faults) -> str:
    """Name of a category."""
    return readable(text_of(element), faults)[:MAX_FIELD]


def offer_of(element: Any, categories: dict[str, str], faults: Faults, *, unavailable: bool) -> Offer | None:
    """The offer of an element; None without an id, or where it is not available and that counts.

    categories: their names by their ids. What was spoilt in it is counted in `faults`.
    """
    identity = code(element.get("id", "")) or code(element.findtext("{*}id") or "")
    if not identity or (not unavailable and is_unavailable(element.get("available") or element.findtext("{*}available") or "")):
        return None
    fields: dict[str, list[str]] = {}
    params: list[str] = []
    for child in element:
        if not isinstance(child.tag, str):
            continue
        tag = _field_of(local(child))
        if not tag:
            continue
        value = (readable(text_of(child), faults) if tag in _FIELDS else address(places_in(child)))[:MAX_FIELD]
        if not value:
            continue
        if tag == "param":
            called = f"{readable(child.get('name', ''), faults)}:"
            params.append(" ".join(filter(None, [called, value, child.get("unit", "").strip()])))
        else:
            fields.setdefault(tag, []).append(value)

    def first(tag: str) -> str:
        return fields.get(tag, [""])[0]

    named = [*fields.get("picture", ()), *fields.get("pictures", ())] or fields.get("image", [])
    pictures = tuple(dict.fromkeys(one for text in named for one in addresses_in(text)))
    words = " ".join(filter(None, (first("typePrefix"), first("vendor"), first("model"))))
    product = ProductRow(
        id=identity,
        name=first("name") or (first("model") and words) or first("title") or words,
        vendor=first("vendor"),
        model=first("model"),
        type_prefix=first("typePrefix"),
        vendor_code=vendor_code(code(first("vendorCode")), first("url"), identity),
        url=first("url"),
        price=first("price"),
        old_price=first("oldprice"),
        currency=first("currencyId"),
        category=categories.get(first("categoryId"), first("categoryId")),
        description=". ".join(filter(None, [first("description"), *params])),
        barcodes=barcodes_in(fields.get("barcode", ()), faults),
        picture=pictures[0] if pictures else "",
    )
    return Offer(product, pictures)


@lru_cache(maxsize=256)
def _field_of(tag: str) -> str:
    """The field that an element is, by another name where YML has none for it; empty for one that is not read."""
    if tag in _FIELDS or tag in _PLACES:
        return tag
    found = columns((_LANGUAGE.sub("", tag),), {})
    return next((other for field, other in _OTHERS.items() if field in found), "")
