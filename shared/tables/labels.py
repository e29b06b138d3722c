"""The table of labels: what each photo shows.

It has the columns `image` and `product_id` (empty: the catalog does not hold the product), and may have `nearest_id`
(the product that comes closest) and `kind` (several, `;` between them). The first two may be called as in shops' exports.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from packsight.shared.contract.errors import UserError
from packsight.shared.tables.columns import KNOWN
from packsight.shared.tables.table import named, read_table

IMAGE = ("image", *KNOWN["picture"])
PRODUCT = ("product_id", *KNOWN["id"])
"""Names under which the columns are found, in this order: a table may have numbers of its own rows in a column `id`."""


USUAL_KIND = "kind"
"""Column of kinds, unless another is named."""


@dataclass(frozen=True, slots=True)
class Label:
    """What a photo shows; `product_id` is empty when the catalog does not hold it."""

    image: str
    product_id: str
    nearest_id: str
    """The product that comes closest: `product_id` where there is one."""
    kinds: tuple[str, ...]
    line: int = field(default=0, compare=False)
    """Where it stands in its table, from 1; 0 for one of no table."""

    @property
    def group(self) -> str:
        """The first of its kinds, or empty."""
        return self.kinds[0] if self.kinds else ""


def read_labels(path: Path, *, kind: str = USUAL_KIND) -> list[Label]:
    """Read a table of labels; `kind` is the column of kinds, the usual one of which there need not be.

    Raises UserError when a column or all rows are missing.
    """
    labels: list[Label] = []
    columns: tuple[str, str, str] | None = None
    for line, row in read_table(path, lambda row: not _missing(row)):
        if columns is None and kind != USUAL_KIND and kind.lower() not in row:
            raise UserError(f"{path} has no column {kind} to measure by; it has {', '.join(row)}.")
        image, product, nearest = columns = columns or _columns(path, row)
        if not row[image]:
            raise UserError(f"{path}, line {line}: the image is empty. Every row must name a photo.")
        kinds = tuple(dict.fromkeys(part.strip() for part in row.get(kind.lower(), "").split(";") if part.strip()))
        labels.append(Label(row[image], row[product], row.get(nearest, "") or row[product], kinds, line))
    if not labels:
        raise UserError(f"{path} has no rows. Each row names a photo and its product.")
    return labels


def _missing(columns: Collection[str]) -> list[str]:
    return [wanted[0] for wanted in (IMAGE, PRODUCT) if named(columns, wanted) is None]


def _columns(path: Path, row: dict[str, str]) -> tuple[str, str, str]:
    """The columns of the photo, its product and the nearest product, the last one empty where there is none."""
    image, product = named(row, IMAGE), named(row, PRODUCT)
    if image is None or product is None:
        raise UserError(
            f"{path} has no column {' and '.join(_missing(row))}; it has {', '.join(row)}. Its first line must name the "
            "columns: image (or picture, photo, фото) holds each photo's path or address, product_id (or id, sku, артикул) the "
            "product on it."
        )
    return image, product, named(row, ("nearest_id",)) or ""
