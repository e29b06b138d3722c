"""Features that the release before this one stored, of which whatever is still made in the same way is used on.

It kept all parts of a photo in one object, `features/<embedder>+<spotter>+<number>/<shard>.parquet`, with the columns that
the parts have today; the number stood for rules of key points and thumbnails that are others now.
"""

from __future__ import annotations

from collections.abc import Iterator

from packsight.shared.contract.messages import PARTS, Part
from packsight.shared.storage import layout
from packsight.shared.storage.objects import ObjectStore


def former_folders(store: ObjectStore, part: Part, fingerprint: str) -> Iterator[str]:
    """Prefixes of that release's objects whose part was made as `fingerprint` says."""
    for folder in store.list(layout.FEATURES, recursive=False):
        names = folder.removeprefix(layout.FEATURES).rstrip("/").split("+")
        if len(names) == len(PARTS) and names[PARTS.index(part)] == fingerprint:
            yield folder
