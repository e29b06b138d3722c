"""Names that the workers cannot read on a pack: words in them are evidence that no photo will give."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable

from packsight.shared.catalog.manifest import ProductRow
from packsight.shared.vision.scripts import script

NAMED = 3
"""Scripts that are named, those of most names first."""


def unreadable_names(products: Iterable[ProductRow], read: Collection[str]) -> tuple[str, ...]:
    """A line that says how many names have letters of scripts that are not among those read; none where all can be read.

    read: scripts as Unicode calls them; none are known of while no worker is up, and then nothing is said.
    """
    if not read:
        return ()
    counted, lacking, named = 0, 0, Counter[str]()
    for product in products:
        counted += 1
        unknown = {name for letter in set(product.name) if (name := script(letter)) and name not in read}
        lacking += bool(unknown)
        named.update(unknown)
    if not lacking:
        return ()
    which = ", ".join(name.capitalize() for name, _ in named.most_common(NAMED))
    return (
        f"{lacking:,} of {counted:,} names have letters that no worker reads ({which}): their packs are known by looks and "
        "details alone. PACKSIGHT_MODELS__ALPHABET names a head that reads further letters (docs/models.md)",
    )
