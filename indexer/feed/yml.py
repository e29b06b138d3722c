"""Offers of YML (Yandex Market Language): `yml_catalog/shop/offers/offer`, https://yandex.ru/support/marketplace/tools/elements."""

from __future__ import annotations

from typing import Any

from packsight.indexer.feed.fields import barcodes_in, is_unavailable, vendor_code
from packsight.indexer.feed.offers import Offer
from packsight.indexer.feed.pictures import addresses_in
from packsight.indexer.feed.readable import address, code, readable
from packsight.indexer.feed.xml import local, text_of
from packsight.shared.catalog.manifest import ProductRow

ROOT = "yml_catalog"
CATEGORY = "category"
ELEMENTS = ("offer", CATEGORY)
MAX_FIELD = 20_000
"""Characters kept of a field."""
_ADDRESSES = frozenset(("picture", "url"))


def category_of(element: Any) -> str:
    """Name of a category."""
    return readable(text_of(element))[:MAX_FIELD]


def offer_of(element: Any, categories: dict[str, str], *, unavailable: bool) -> Offer | None:
    """The offer of an element; None without an id, or where it is not available and that counts.

    categories: their names by their ids.
    """
    identity = code(element.get("id", ""))
    if not identity or (not unavailable and is_unavailable(element.get("available") or element.findtext("{*}available") or "")):
        return None
    fields: dict[str, list[str]] = {}
    params: list[str] = []
    for child in (*element, *element.iterfind("{*}pictures/{*}picture")):
        if not isinstance(child.tag, str):
            continue
        tag = local(child)
        value = (address if tag in _ADDRESSES else readable)(text_of(child))[:MAX_FIELD]
        if not value:
            continue
        if tag == "param":
            named = f"{readable(child.get('name', ''))}:"
            params.append(" ".join(filter(None, [named, value, child.get("unit", "").strip()])))
        else:
            fields.setdefault(tag, []).append(value)

    def first(tag: str) -> str:
        return fields.get(tag, [""])[0]

    pictures = tuple(dict.fromkeys(one for text in fields.get("picture", ()) for one in addresses_in(text)))
    words = (first("typePrefix"), first("vendor"), first("model"))
    product = ProductRow(
        id=identity,
        name=first("name") or " ".join(filter(None, words)) or first("title"),
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
        barcodes=barcodes_in(fields.get("barcode", ())),
        picture=pictures[0] if pictures else "",
    )
    return Offer(product, pictures)
