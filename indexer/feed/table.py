"""Product tables, text or workbooks: a row is a product, further rows with the same id are further pictures of it."""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice

from packsight.indexer.feed.fields import SHORTENED, offer_of
from packsight.indexer.feed.offers import Faults, FeedError, Item, Known
from packsight.indexer.feed.pictures import has_picture_suffix, looks_like_picture, pictures_in
from packsight.indexer.feed.readable import code
from packsight.shared.contract.errors import UserError
from packsight.shared.tables.cells import has_several, no_row
from packsight.shared.tables.columns import check_fields, columns
from packsight.shared.tables.linked import Linked, address_of, holds_picture, led_to
from packsight.shared.tables.table import read_rows

BY_POSITION = ("id", "picture", "name", "vendor", "model", "url")
"""In this order when the first row is a product already."""
_BEFORE_ID = 1000
"""Rows without an id at the beginning after which no id is waited for any more: the column is as good as not there."""
_TOLD = 2
"""Fields of a table whose rows may be ids alone, whatever these are."""
_MONTHS = "янв|фев|мар|апр|май|июн|июл|авг|сен|окт|ноя|дек|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
_DATE = re.compile(rf"(?:\d{{1,2}}[.-](?:{_MONTHS})|(?:{_MONTHS})[.-]\d{{2}}|\d{{4}}-\d\d-\d\d(?:T00:00:00)?)", re.IGNORECASE)
"""What Excel makes of two or three numbers, as `1-3`."""
_SPOILT = (
    "ids that a spreadsheet has shortened, so that products become one; format the column as text and export it again"
)
_FRACTIONS = (
    "ids that end in .0, as programs write that take them for numbers; if the shop has them without, keep the column as text"
)
_DATED = "ids that a spreadsheet has taken for dates; format the column as text and write them again"
_ALONE = "rows that are words alone, taken for titles of what is below or totals and left out"
_EXPLAINING = "rows below the header that seem to say what belongs into its columns, left out"
_TOTAL = re.compile(r"(?:итого|всего|total)\b", re.IGNORECASE)
_WIDE = "rows with more cells than the header or first row, which may be in wrong columns; quote cells that hold what parts them"
_EMBEDDED = (
    "rows whose picture lies in the workbook itself and is not taken; save the pictures as files and name these, or their "
    "addresses, in the column, or put them into folders for --photos"
)
_LEADING = {"url": address_of, "picture": led_to}
"""By field for which a cell stands for what it leads to, how that is found."""

_Line = tuple[int, list[str]]


def read_table(
    stream: io.BufferedIOBase,
    name: str,
    faults: Faults,
    *,
    mapping: Mapping[str, str],
    unavailable: bool = True,
    known: Known = lambda _: False,
    key: bytes = b"",
) -> Iterator[Item]:
    """Yield an item for each row, holding one row at a time.

    mapping: names of columns by field (`columns.KNOWN`), where they are not the usual ones. key: of the digests, 64 bytes at
    most. Rows that name no product, and what looks spoilt, are counted in `faults`. Raises FeedError when the table is broken or
    its header is not understood.
    """
    try:
        check_fields(mapping)
        rows = read_rows(stream, name, lambda row: _is_understood(row, mapping), no_row if mapping else _is_product)
        first = next(rows, None)
        if first is None:
            return
        header = first[1]
        found = _header(header, mapping, name)
        if found is None:
            found = {field: [index] for index, field in enumerate(BY_POSITION[: len(header)])}
            rows = chain((first,), rows)
            called = None
        else:
            _note_namelessness(found, header, mapping, faults)
            found, rows = _with_ids(found, header, rows, mapping)
            called = header[found["id"][0]]
        key = hashlib.blake2b(json.dumps(sorted(found.items())).encode(), key=key).digest()
        width, identifying = len(header), found["id"][0]
        begun = called is None
        for line, cells in rows:
            row = _followed(cells, found, faults, f"line {line}") if Linked in map(type, cells) else cells
            if len(row) > width and any(row[width:]):
                faults.count(_WIDE, f"line {line}")
            identity = code(_cell(row, identifying))
            if identity == called:
                continue  # a second line of the header, or another table's
            _note_spoilt(identity, line, faults)
            if _is_title(identity) and (other := _other(row, identity, found, begun=begun)):
                faults.count(other, f"“{identity[:100]}” in line {line}")
                continue
            begun = begun or bool(identity)
            digest = hashlib.blake2b(json.dumps(row).encode(), digest_size=16, key=key).digest()
            if known(digest):
                yield Item(digest, None)
                continue
            values = {field: [row[index] for index in at if index < len(row)] for field, at in found.items()}
            offer = offer_of(values, faults, unavailable=unavailable)
            if offer is not None:
                yield Item(digest, offer)
            elif not identity:
                faults.count("rows without an id, left out", f"line {line}")
    except FeedError:
        raise
    except UserError as error:
        raise FeedError(str(error)) from None


def _is_title(identity: str) -> bool:
    """Whether the only cell of a row may say what stands below: one word in small Latin letters is an id, as in Shopify.

    Numbers and marks may stand beside words that are no codes, which are written in capitals.
    """
    first, *others = identity.split() or [""]
    if not others:
        return (bare := first.rstrip(":.")).isalpha() and not (first.isascii() and first.islower() and bare == first)
    words = [word for word in (one.strip("()«»\"',.:;") for one in (first, *others)) if word.isalpha()]
    return len(words) > len(others) or any(len(word) > 2 and word[1:].islower() for word in words)


def _other(row: Sequence[str], identity: str, found: Mapping[str, Sequence[int]], *, begun: bool) -> str:
    """What a row is whose id may be a title, where it is no product; empty for a product. begun: whether one came before."""
    if len(found) > _TOLD and (not has_several(row) or _is_total(row, identity, found)):
        return _ALONE
    return "" if begun or not _is_explanation(row, found) else _EXPLAINING


def _is_total(row: Sequence[str], identity: str, found: Mapping[str, Sequence[int]]) -> bool:
    """Whether it is a sum of what stands above it, and no product."""
    return _TOTAL.match(identity) is not None and not any(
        _cell(row, index) for field in ("name", "model", "picture", "barcode") for index in found.get(field, ())
    )


def _is_explanation(row: Sequence[str], found: Mapping[str, Sequence[int]]) -> bool:
    """Whether it says which pictures are to be named: forms of marketplaces do so below their header."""
    pictures = [one for index in found.get("picture", ()) for one in pictures_in(_cell(row, index))]
    return bool(pictures) and all(map(_is_words, pictures))


def _is_words(text: str) -> bool:
    """Whether what should name a picture does not."""
    return (" " in text or text.isalpha()) and not looks_like_picture(text)


def _note_spoilt(identity: str, line: int, faults: Faults) -> None:
    """Say of an id that a spreadsheet has made something else of it."""
    if "E+" in identity and SHORTENED.fullmatch(identity):
        faults.count(_SPOILT, f"{identity} in line {line}")
    elif identity.endswith(".0") and identity[:-2].isdecimal():
        faults.count(_FRACTIONS, f"{identity} in line {line}")
    elif _DATE.fullmatch(identity):
        faults.count(_DATED, f"{identity} in line {line}")


def _with_ids(
    found: dict[str, list[int]], header: Sequence[str], rows: Iterator[_Line], mapping: Mapping[str, str]
) -> tuple[dict[str, list[int]], Iterator[_Line]]:
    """The columns, without those of ids that are empty where another one holds ids, and all rows."""
    ahead: list[_Line] = []
    for line in islice(rows, _BEFORE_ID):
        ahead.append(line)
        if _cell(line[1], found["id"][0]):
            break
    names, best = list(header), found
    while not any(_cell(row, best["id"][0]) for _, row in ahead):
        names[best["id"][0]] = ""
        best = columns(names, mapping)
        if _lacking(best, mapping):
            best = found
            break
    return best, chain(ahead, rows)


def _followed(row: list[str], found: Mapping[str, Sequence[int]], faults: Faults, place: str) -> list[str]:
    """A row of a workbook with what links lead to in the place of pictures and addresses."""
    leading = {index: follow for field, follow in _LEADING.items() for index in found.get(field, ())}
    followed = [leading[index](cell) if index in leading else cell for index, cell in enumerate(row)]
    if any(map(holds_picture, row)) and not any(_cell(followed, index) for index in found.get("picture", ())):
        faults.count(_EMBEDDED, place)
    return followed


def _cell(row: Sequence[str], index: int) -> str:
    return row[index] if index < len(row) else ""


def _note_namelessness(
    found: Mapping[str, Sequence[int]], row: Sequence[str], mapping: Mapping[str, str], faults: Faults
) -> None:
    """Say that products have no names where a column that is not understood may hold them."""
    rest = [cell for index, cell in enumerate(row) if cell and all(index not in at for at in found.values())]
    if rest and not found.keys() & {"name", "model"} and mapping.get("name") != "":
        faults.count("no column is known for products' names, --map name=… says which it is", f"of {', '.join(rest)[:200]}")


def _header(row: Sequence[str], mapping: Mapping[str, str], name: str) -> dict[str, list[int]] | None:
    """The columns that a header names; None when it is a product. Raises FeedError when it is neither."""
    found = columns(row, mapping)
    lacking = _lacking(found, mapping)
    if not lacking:
        return found
    if not mapping and len(row) > 1 and looks_like_picture(led_to(row[1])):
        return None
    raise FeedError(
        f"{name} has no column {' and '.join(lacking)}; it has {', '.join(filter(None, row))[:500]}. Name the columns "
        "with --map, say --map id=Code --map picture=Photo (--map picture= where there is none), or give a YML or Google feed."
    )


def _is_understood(row: Sequence[str], mapping: Mapping[str, str]) -> bool:
    """Whether it names the columns that are needed, and two at least: one word may stand in any row."""
    found = columns(row, mapping)
    return not _lacking(found, mapping) and len({index for at in found.values() for index in at}) > 1


def _is_product(row: Sequence[str]) -> bool:
    """Whether it is surely a product of a table without a header."""
    return len(row) > 1 and bool(row[0]) and not has_picture_suffix(row[0]) and has_picture_suffix(led_to(row[1]))


def _lacking(found: Mapping[str, Sequence[int]], mapping: Mapping[str, str]) -> list[str]:
    """Names of columns that a header has to have and has not."""
    unnamed = [column for field, column in mapping.items() if column and field not in found]
    needed = ("id",) if mapping.get("picture") == "" else ("id", "picture")
    return unnamed or [field for field in needed if field not in found]
