"""Names that the workers cannot read on a pack: words in them are evidence that no photo will give."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass

import pyarrow as pa

from packsight.shared.catalog.manifest import ProductRow
from packsight.shared.vision.scripts import script

NAMED = 3
"""Scripts that are named, those of most names first."""
_SCHEMA = pa.schema([(name, pa.string()) for name in ("id", "name", "scripts")])


@dataclass(frozen=True, slots=True)
class Unreadable:
    """products: those with such names, and the scripts of these; notes: a line that counts them."""

    products: pa.Table
    notes: tuple[str, ...] = ()


def unreadable_names(products: Iterable[ProductRow], read: Collection[str]) -> Unreadable:
    """Products whose names have letters of scripts that are not among those read.

    read: scripts as Unicode calls them; none are known of while no worker is up, and then nothing is said.
    """
    if not read:
        return Unreadable(_SCHEMA.empty_table())
    counted, rows, named = 0, list[dict[str, str]](), Counter[str]()
    for product in products:
        counted += 1
        if unknown := {name for letter in set(product.name) if (name := script(letter)) and name not in read}:
            rows.append({"id": product.id, "name": product.name, "scripts": _told(sorted(unknown))})
            named.update(unknown)
    table = pa.Table.from_pylist(rows, schema=_SCHEMA)
    if not rows:
        return Unreadable(table)
    which = _told([name for name, _ in named.most_common(NAMED)])
    note = (
        f"{len(rows):,} of {counted:,} names have letters that no worker reads ({which}): their packs are known by looks and "
        "details alone. PACKSIGHT_MODELS__ALPHABET names a head that reads further letters (docs/models.md)"
    )
    return Unreadable(table, (note,))


def _told(scripts: list[str]) -> str:
    return ", ".join(name.capitalize() for name in scripts)
