"""From the named fields of a row or an item, as `shared.tables.columns` names them, to an offer."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import parse_qs, urlsplit

from packsight.indexer.feed.offers import Faults, Offer
from packsight.indexer.feed.pictures import pictures_in
from packsight.indexer.feed.readable import address, code, readable
from packsight.shared.catalog.manifest import ProductRow

_CODES_APART = re.compile(r"\s*[,;|\n]\s*")
_CODE = re.compile(r"(?:.*: *)?(.*?)(?:(?<=\d)\.0+)?")
"""Without what says of which kind it is, and without the decimals that a spreadsheet gives numbers."""
SHORTENED = re.compile(r"\d+(?:[.,]\d+)?E\+\d+")
"""What Excel makes of a long number: its last digits are gone."""
_SPOILT = "barcodes that a spreadsheet has shortened, left out; format the column as text and export it again"
_UNAVAILABLE = frozenset(
    (
        "false", "0", "no", "n", "-", "нет", "ложь", "out_of_stock", "sold_out", "not_available", "unavailable", "discontinued",
        "нет_в_наличии", "нет_на_складе", "отсутствует",
    )
)  # fmt: skip
"""Words for what is not to be had, of YML, Google, WooCommerce, spreadsheets and Russian price lists."""


def offer_of(values: Mapping[str, Sequence[str]], faults: Faults, *, unavailable: bool) -> Offer | None:
    """The offer of fields, each with what its columns hold; None without an id, or where it is not available and that counts.

    What was spoilt in it is counted in `faults`.
    """

    def first(field: str) -> str:
        return next((value for value in values.get(field, ()) if value.strip()), "")

    identity = code(first("id"))
    if not identity or (not unavailable and is_unavailable(first("available"))):
        return None
    listed = dict.fromkeys(one for cell in values.get("picture", ()) for one in pictures_in(cell))
    name, vendor, model, category, description = (
        readable(first(field), faults) for field in ("name", "vendor", "model", "category", "description")
    )
    url = address(first("url"))
    product = ProductRow(
        id=identity,
        name=name or " ".join(filter(None, (vendor, model))),
        vendor=vendor,
        model=model,
        vendor_code=vendor_code(code(first("vendor_code")), url, identity),
        url=url,
        price=first("price").strip(),
        category=category,
        description=description,
        barcodes=barcodes_in(values.get("barcode", ()), faults),
        picture=next(iter(listed), ""),
    )
    return Offer(product, tuple(listed))


def is_unavailable(text: str) -> bool:
    """Whether a field of availability says that there is none."""
    return text.strip().lower().replace(" ", "_") in _UNAVAILABLE


def barcodes_in(cells: Iterable[str], faults: Faults) -> tuple[str, ...]:
    """The barcodes that fields hold, several of which may stand in one; each is told once; what is spoilt is counted."""
    codes: list[str] = []
    for cell in cells:
        if "E+" in cell and SHORTENED.fullmatch(cell.strip()):
            faults.count(_SPOILT, cell)
        else:
            codes += [code(found[1]) for one in _CODES_APART.split(cell.strip()) if (found := _CODE.fullmatch(one))]
    return tuple(dict.fromkeys(filter(None, codes)))


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
