"""The table of labels: what each photo shows.

It has the columns `image` and `product_id` (empty: the catalog does not hold the product), and may have `nearest_id`
(the product that comes closest) and `kind` (several, `;` between them). The first two may be called as in shops' exports.

A table of reviews, as `packsight review export` writes it, is one too: its verdicts say what a row shows, and whether it shows
anything that can be told.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from packsight.shared.contract.errors import UserError
from packsight.shared.tables.columns import FILE, FILE_OF_PICTURE, KNOWN
from packsight.shared.tables.linked import led_to
from packsight.shared.tables.table import named, read_table

IMAGE = ("image", *KNOWN["picture"], *FILE_OF_PICTURE, *FILE)
PRODUCT = ("product_id", *KNOWN["id"])
"""Names under which the columns are found, in this order: a table may have numbers of its own rows in a column `id`."""


USUAL_KIND = "kind"
"""Column of kinds, unless another is named."""

REVIEW = frozenset(("verdict", "offered"))
"""Columns that only reviews have together."""
RIGHT, OTHER, ABSENT = "right", "other", "not_listed"
"""Verdicts that are labels: it shows the first candidate, another product, or none of the catalog."""
_NAMED = 5
"""Lines that are named of those without a label."""
TELL_NOTHING = frozenset(("bad_photo", "undone"))
"""Verdicts that are no labels."""


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


@dataclass(frozen=True, slots=True)
class LabelTable:
    """What a table says. unsaid: its lines, from 1, whose reviews say of no product whether the photo shows it."""

    labels: list[Label]
    unsaid: tuple[int, ...] = ()

    @property
    def hint(self) -> str:
        """What is told of rows that are no labels; empty without any."""
        if not self.unsaid:
            return ""
        lines = ", ".join(map(str, self.unsaid[:_NAMED])) + (" …" if len(self.unsaid) > _NAMED else "")
        return (
            "Reviews that say of no product whether the photo shows it, or that count no longer, are no labels: "
            f"{len(self.unsaid)} of {len(self.unsaid) + len(self.labels)} rows left out (lines {lines})."
        )


def read_labels(path: Path, *, kind: str = USUAL_KIND) -> list[Label]:
    """The labels of a table; as `read_label_table`."""
    return read_label_table(path, kind=kind).labels


def read_label_table(path: Path, *, kind: str = USUAL_KIND) -> LabelTable:
    """Read a table of labels; `kind` is the column of kinds, the usual one of which there need not be.

    Raises UserError when a column or all rows are missing, and for a verdict that is not known.
    """
    labels: list[Label] = []
    unsaid: list[int] = []
    columns: tuple[str, str, str] | None = None
    for line, row in read_table(path, lambda row: not _missing(row)):
        if columns is None and kind != USUAL_KIND and kind.lower() not in row:
            raise UserError(f"{path} has no column {kind} to measure by; it has {', '.join(row)}.")
        image, product, nearest = columns = columns or _columns(path, row)
        if not row[image]:
            raise UserError(f"{path}, line {line}: the image is empty. Every row must name a photo.")
        shown = _reviewed(path, line, row) if row.keys() >= REVIEW else row[product]
        if shown is None:
            unsaid.append(line)
            continue
        kinds = tuple(dict.fromkeys(part.strip() for part in row.get(kind.lower(), "").split(";") if part.strip()))
        labels.append(Label(led_to(row[image]), shown, row.get(nearest, "") or shown, kinds, line))
    if not labels:
        raise UserError(
            f"No row of {path} has a verdict that counts and tells a product, or that none is listed. Review some of its photos."
            if unsaid
            else f"{path} has no rows. Each row names a photo and its product."
        )
    return LabelTable(labels, tuple(unsaid))


def _reviewed(path: Path, line: int, row: dict[str, str]) -> str | None:
    """The product that a review says a photo shows, empty for none of the catalog; None where it does not tell or count."""
    verdict, product = re.sub(r"[ -]", "_", row["verdict"].lower()), row.get("product_id", "")
    if not verdict and product:  # as `packsight review import` takes it
        verdict = OTHER
    if not verdict or verdict in TELL_NOTHING or row.get("counts", "").lower() in {"no", "disputed"}:
        return None
    if verdict == ABSENT:
        return ""
    if verdict not in {RIGHT, OTHER}:
        raise UserError(
            f"{path}, line {line}: the verdict `{row['verdict']}` is not known. Say one of {RIGHT}, {OTHER}, {ABSENT}, bad_photo."
        )
    if verdict == RIGHT:
        product = product or row.get("first_id", "")
    if not product:
        raise UserError(f"{path}, line {line}: the verdict is {verdict}, and no product_id says of which product. Fill it in.")
    return product


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
