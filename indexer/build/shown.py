"""A version in which other things are shown of the same products: everything that matching needs is its parent's."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from packsight.indexer.parent import Parent
from packsight.indexer.plan import Rows
from packsight.shared.catalog.manifest import FORMAT, ProductRow, new_version, seal
from packsight.shared.catalog.shown import is_shown, write_shown


def show_anew(folder: Path, parent: Parent, products: Sequence[ProductRow], notes: Sequence[str]) -> Parent:
    """Write what is shown of the parent's products, and a manifest that names all other parts as the parent's does.

    Nothing is described, fitted or asked: the parts are those that were checked when the parent was published. Raises
    KeyError for a product that is not among `products`.
    """
    shown = {product.id: product for product in products}
    rows = Rows([shown[before.id] for before in parent.rows.products], parent.rows.photos)
    folder.mkdir(parents=True, exist_ok=True)
    write_shown(folder, rows.products)
    made = {
        "format": FORMAT,
        "version": new_version(),
        "parent": parent.manifest.version,
        "created_at": datetime.now(UTC),
        "notes": tuple(notes),
    }
    kept = {name: entry for name, entry in parent.manifest.files.items() if not is_shown(name)}
    return Parent(seal(folder, parent.manifest.model_copy(update=made), kept), rows)
