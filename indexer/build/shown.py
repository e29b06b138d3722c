"""A version in which other things are shown of the same products: everything that matching needs is its parent's."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from packsight.shared.catalog.manifest import FORMAT, Manifest, ProductRow, new_version, seal
from packsight.shared.catalog.shown import is_shown, write_shown


def show_anew(
    folder: Path, parent: Manifest, products: Sequence[ProductRow], notes: Sequence[str], version: str = ""
) -> Manifest:
    """Write what is shown of the parent's products, and a manifest that names all other parts as the parent's does.

    Nothing is described, fitted or asked: the parts are those that were checked when the parent was published. products: the
    parent's, in any order. version: its name; one of now without.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_shown(folder, products)
    made = {
        "format": FORMAT,
        "version": version or new_version(),
        "parent": parent.version,
        "former": parent.built,
        "shown": True,
        "created_at": datetime.now(UTC),
        "notes": tuple(notes),
        "refused": (),  # the parent may have been, and let be served all the same
    }
    kept = {name: entry for name, entry in parent.files.items() if not is_shown(name)}
    return seal(folder, parent.model_copy(update=made), kept)
