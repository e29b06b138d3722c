"""Features that the release before this one stored, of which whatever is still made in the same way is used on.

It kept all parts of a photo in one object, `features/<embedder>+<spotter>+<number>/<shard>.parquet`, with the columns that
the parts have today; the number stood for the rules of key points and thumbnails.
"""

from __future__ import annotations

from collections.abc import Iterator

from packsight.shared.contract.messages import PARTS, Part
from packsight.shared.storage import layout
from packsight.shared.storage.objects import ObjectStore

RENAMED = {"2": "details-2"}
"""Fingerprints of that release whose makers make the same today, but are called otherwise, and how.

It needs no care: when the rules of today change, so does their name, and what was stored is used no longer.
"""


def former_folders(store: ObjectStore, part: Part, fingerprint: str) -> Iterator[str]:
    """Prefixes of that release's objects whose part was made as `fingerprint` says."""
    for folder in store.list(layout.FEATURES, recursive=False):
        names = folder.removeprefix(layout.FEATURES).rstrip("/").split("+")
        if len(names) == len(PARTS):
            name = names[PARTS.index(part)]
            if RENAMED.get(name, name) == fingerprint:
                yield folder
