"""The table of labels: what each photo shows.

It has the columns `image` and `product_id` (empty: the catalog does not hold the product), and may have `nearest_id`
(the product that comes closest) and `kind` (several, `;` between them).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from packsight.shared.contract.errors import UserError
from packsight.shared.tables.table import read_table


@dataclass(frozen=True, slots=True)
class Label:
    """What a photo shows; `product_id` is empty when the catalog does not hold it."""

    image: str
    product_id: str
    nearest_id: str
    """The product that comes closest: `product_id` where there is one."""
    kinds: tuple[str, ...]

    @property
    def group(self) -> str:
        """The first of its kinds, or empty."""
        return self.kinds[0] if self.kinds else ""


def read_labels(path: Path, *, kind: str = "kind") -> list[Label]:
    """Read a table of labels; `kind` is the column of kinds. Raises UserError when a column or all rows are missing."""
    labels = []
    for number, row in enumerate(read_table(path), start=2):
        if missing := {"image", "product_id"} - row.keys():
            raise UserError(f"{path} has no column {' and '.join(sorted(missing))}; it has {', '.join(row)}.")
        if not row["image"].strip():
            raise UserError(f"{path}, line {number}: the image is empty. Every row must name a photo.")
        product = row["product_id"].strip()
        kinds = tuple(dict.fromkeys(part.strip() for part in row.get(kind.lower(), "").split(";") if part.strip()))
        labels.append(Label(row["image"].strip(), product, row.get("nearest_id", "").strip() or product, kinds))
    if not labels:
        raise UserError(f"{path} has no rows. Each row names a photo and its product.")
    return labels
