"""Which products a barcode stands for, as two flat arrays that are memory-mapped: of a catalog without barcodes, empty ones."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from packsight.shared.catalog.arrays import open_array
from packsight.shared.catalog.gtin import listed_gtins

_CODES, _PRODUCTS = "barcodes.npy", "barcode_products.npy"


@dataclass(frozen=True, slots=True)
class BarcodeTable:
    """Row by row a GTIN and a product that has it; a code that several products share has a row for each.

    codes: [n] int64, rising; products: [n] int32, rising within a code.
    """

    codes: npt.NDArray[np.int64]
    products: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.codes)

    def find(self, codes: Iterable[int]) -> dict[int, int]:
        """Numbers of the products that have one of these codes, each with the first of them that it has."""
        found: dict[int, int] = {}
        for code in codes:
            first, last = np.searchsorted(self.codes, [code, code + 1]).tolist()
            for product in self.products[first:last].tolist():
                found.setdefault(product, code)
        return found

    def save(self, folder: Path) -> None:
        """Write the table's files."""
        np.save(folder / _CODES, self.codes)
        np.save(folder / _PRODUCTS, self.products)

    @classmethod
    def open(cls, folder: Path) -> BarcodeTable:
        """Memory-map what `save` wrote; raises OSError or ValueError when it is damaged."""
        return cls(open_array(folder / _CODES), open_array(folder / _PRODUCTS))


class Listed(NamedTuple):
    """A feed's barcodes as a table, and what an operator should know of those that are not in it."""

    table: BarcodeTable
    notes: tuple[str, ...]


def list_barcodes(products: Iterable[tuple[str, ...]], most_products: int) -> Listed:
    """Put the barcodes of products, in the order of their numbers, into a table.

    A code that more than `most_products` share was filled in for want of a real one; it is left out.
    """
    rows: set[tuple[int, int]] = set()
    foreign = 0
    for number, barcodes in enumerate(products):
        for text in barcodes:
            codes = listed_gtins(text)
            foreign += not codes
            rows |= {(code, number) for code in codes}
    groups = [list(group) for _, group in groupby(sorted(rows), key=lambda row: row[0])]
    kept = [row for group in groups if len(group) <= most_products for row in group]
    filled = sum(len(group) > most_products for group in groups)
    table = BarcodeTable(np.array([row[0] for row in kept], np.int64), np.array([row[1] for row in kept], np.int32))
    notes = []
    if foreign:
        notes.append(f"{foreign} barcodes of the feed are no EAN or UPC, or their check digit is wrong; they are not used")
    if filled:
        notes.append(f"{filled} barcodes stand for more than {most_products} products each; they are not used")
    return Listed(table, tuple(notes))
