"""Product tables: TSV or CSV with columns `id`, `picture` and optionally `name`, `vendor`, `model`, `url`; streamed.

A row names one picture; rows with the same id are further pictures of the same product.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator
from typing import IO

from packsight.indexer.feed.offers import Faults, FeedError, Offer, Offers
from packsight.indexer.feed.yml import vendor_code
from packsight.shared.catalog.manifest import ProductRow

COLUMNS = ("id", "picture", "name", "vendor", "model", "url")
"""In this order when the first row is not a header."""
MAX_LINE = 1_000_000
"""Characters of a line; a longer one is not a table's."""
_SNIFF = 64 * 1024


def read_table(stream: io.BufferedIOBase | IO[bytes], name: str) -> Offers:
    """Read a table of any length row by row; raises FeedError with the line when it is broken or has no row."""
    faults = Faults()
    by_id: dict[str, Offer] = {}
    for product, picture in rows(stream, name, faults):
        before = by_id.get(product.id)
        by_id[product.id] = Offer(product, (picture,)) if before is None else _joined(before, product, picture)
    if not by_id:
        raise FeedError(
            f"{name} has no rows with id and picture, so nothing was changed. Correct the table and sync again."
        )
    return Offers(by_id, faults.notes())


def _joined(before: Offer, product: ProductRow, picture: str) -> Offer:
    """Add a row to its product: its picture is one more, its fields stand where the rows before had none."""
    missing = {
        field: value
        for field in COLUMNS[2:]
        if (value := getattr(product, field)) and not getattr(before.product, field)
    }
    merged = before.product.model_copy(update=missing) if missing else before.product
    return Offer(merged, before.pictures if picture in before.pictures else (*before.pictures, picture))


def rows(stream: io.BufferedIOBase | IO[bytes], name: str, faults: Faults) -> Iterator[tuple[ProductRow, str]]:
    """Yield product and picture of each row, holding one row at a time; raises FeedError as read_table does."""
    columns: dict[str, int] | None = None
    line = 0
    try:
        for line, row in enumerate(_split(_lines(stream)), start=1):
            cells = [cell.strip() for cell in row]
            if not any(cells):
                continue
            if columns is None:
                header = [cell.lower() for cell in cells]
                columns = {column: index for index, column in enumerate(header)}
                if {"id", "picture"} <= columns.keys():
                    continue
                columns = dict(zip(COLUMNS, range(len(cells)), strict=False))
                if len(cells) < 2:
                    raise FeedError(
                        f"{name} is neither a YML feed nor a table with the columns id and picture. Check the file."
                    )
            values = {c: cells[columns[c]] if c in columns and columns[c] < len(cells) else "" for c in COLUMNS}
            if not values["id"] or not values["picture"]:
                faults.count("rows without id or picture, left out", f"line {line}")
                continue
            yield _product(values), values["picture"]
    except (UnicodeDecodeError, csv.Error) as error:
        raise FeedError(
            f"{name} is broken after line {line}: {error}. Save the table as UTF-8 and sync again."
        ) from None


def _product(values: dict[str, str]) -> ProductRow:
    fields = {column: values[column] for column in COLUMNS}
    name = fields.pop("name") or " ".join(filter(None, (fields["vendor"], fields["model"])))
    return ProductRow(**fields, name=name, vendor_code=vendor_code("", values["url"], values["id"]))


def _lines(stream: io.BufferedIOBase | IO[bytes]) -> Iterator[str]:
    """Decode line by line: UTF-8, or Windows-1251 when the beginning is not UTF-8."""
    start = stream.read(_SNIFF)
    encoding = "utf-8-sig"
    try:
        codecs.getincrementaldecoder(encoding)().decode(start)
    except UnicodeDecodeError:
        encoding = "cp1251"
    decoder = codecs.getincrementaldecoder(encoding)()
    rest = ""
    chunk = start
    while chunk:
        *whole, rest = (rest + decoder.decode(chunk)).split("\n")
        yield from whole
        if len(rest) > MAX_LINE:
            raise csv.Error(f"a line of more than {MAX_LINE} characters")
        chunk = stream.read(_SNIFF)
    rest += decoder.decode(b"", final=True)
    if rest:
        yield rest


def _split(lines: Iterator[str]) -> Iterator[list[str]]:
    """Cut lines into cells; the delimiter is the tab if the first line has one, else semicolon or comma."""
    first = next(lines, "")
    if "\t" in first:
        # Tab-separated values have no quoting, but some programs quote cells that hold quotation marks.
        for line in _chain(first, lines):
            yield [_unquoted(cell) for cell in line.rstrip("\r").split("\t")]
        return
    csv.field_size_limit(MAX_LINE)
    yield from csv.reader(_chain(first, lines), delimiter=";" if first.count(";") > first.count(",") else ",")


def _chain(first: str, lines: Iterator[str]) -> Iterator[str]:
    yield first
    yield from lines


def _unquoted(cell: str) -> str:
    if len(cell) >= 2 and cell[0] == cell[-1] == '"':
        return cell[1:-1].replace('""', '"')
    return cell
