"""From the named fields of a row or an item, as `shared.tables.columns` names them, to an offer."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from urllib.parse import parse_qs, urlsplit

from packsight.indexer.feed.offers import Offer
from packsight.indexer.feed.readable import address, readable
from packsight.shared.catalog.manifest import ProductRow
from packsight.shared.vision.suffixes import IMAGE_SUFFIXES

_REMOTE = re.compile(r"(https?:)?//|s3://", re.IGNORECASE)
_NEXT_ADDRESS = re.compile(r"[\s,;|]+(?=(?:https?:)?//|s3://)", re.IGNORECASE)
_APART = re.compile(r"\s*[|\n\r]+\s*")
_LISTED = re.compile(r"\s*[,;]\s*")
_CODES_APART = re.compile(r"\s*[,;|\n]\s*")


def offer_of(values: Mapping[str, Sequence[str]], *, unavailable: bool) -> Offer | None:
    """The offer of fields, each with what its columns hold; None without an id, or where it is not available and that counts."""

    def first(field: str) -> str:
        return next((value for value in values.get(field, ()) if value.strip()), "")

    identity = first("id").strip()
    if not identity or (not unavailable and is_unavailable(first("available"))):
        return None
    listed = dict.fromkeys(one for cell in values.get("picture", ()) for one in pictures_in(cell))
    vendor, model, url = readable(first("vendor")), readable(first("model")), address(first("url"))
    codes = (code for cell in values.get("barcode", ()) for code in _CODES_APART.split(cell.strip()) if code)
    product = ProductRow(
        id=identity,
        name=readable(first("name")) or " ".join(filter(None, (vendor, model))),
        vendor=vendor,
        model=model,
        vendor_code=vendor_code(first("vendor_code").strip(), url, identity),
        url=url,
        price=first("price").strip(),
        category=readable(first("category")),
        description=readable(first("description")),
        barcodes=tuple(dict.fromkeys(codes)),
        picture=next(iter(listed), ""),
    )
    return Offer(product, tuple(listed))


def is_unavailable(text: str) -> bool:
    """Whether a field of availability says that there is none: as YML, Google and shops' tables write it."""
    return text.strip().lower().replace(" ", "_") in {"false", "0", "no", "нет", "out_of_stock", "нет_в_наличии"}


def pictures_in(cell: str) -> list[str]:
    """The pictures that one cell names: apart by bars or line breaks, or by commas and semicolons where each part is a picture.

    What stands between addresses parts them; a comma inside of one does not.
    """
    found: list[str] = []
    for part in _APART.split(cell.strip()):
        parts = _NEXT_ADDRESS.split(part)
        if len(parts) == 1 and not _REMOTE.match(part):
            listed = _LISTED.split(part)
            parts = listed if all(looks_like_picture(one) for one in listed if one) else parts
        found += [one for one in (address(text).strip(",;") for text in parts) if one]
    return found


def addresses_in(text: str) -> list[str]:
    """The addresses that a text holds, where it holds nothing else; else the text."""
    parts = _NEXT_ADDRESS.split(text) if text.count("//") > 1 and _REMOTE.match(text) else [text]
    return [part.rstrip(",;| ") for part in parts] if len(parts) > 1 else parts


def looks_like_picture(text: str) -> bool:
    """Whether it is an address, or a path with the suffix of a picture, perhaps with a query."""
    return bool(_REMOTE.match(text)) or has_picture_suffix(text)


def has_picture_suffix(text: str) -> bool:
    """Whether it is a path or an address that ends as a picture's, perhaps with a query."""
    path = text.strip().replace("\\", "/").partition("?")[0]
    return PurePosixPath(path).suffix.lower() in IMAGE_SUFFIXES


def vendor_code(code: str, url: str, identity: str) -> str:
    """Name of the product's folder of extra photos: its vendor code, else the `utm_term` of its url, else its id."""
    found = code or url_parameter(url, "utm_term") or identity
    return found if found.isascii() else unicodedata.normalize("NFC", found)


def url_parameter(url: str, name: str) -> str:
    """The first value of a parameter in an address; empty without one."""
    try:
        values = parse_qs(urlsplit(url).query).get(name, [])
    except ValueError:
        return ""
    return values[0].strip() if values else ""
