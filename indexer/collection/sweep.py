"""Remove what nothing needs. Each object goes by itself, so that it can be broken off anywhere and done again."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

from packsight.indexer.collection.piles import Pile
from packsight.shared.catalog.versions import CatalogStore, named_parts
from packsight.shared.storage import layout
from packsight.shared.storage.objects import ObjectStore

log = logging.getLogger(__name__)

_SIDE_BY_SIDE = 8
_STEP = 512
"""Objects after which it is asked again whether they are ours to remove."""


def sweep(store: ObjectStore, piles: Iterable[Pile], still_ours: Callable[[], None]) -> None:
    """Remove the piles that go; `still_ours` is asked before every step and raises when they must stay.

    Within a step jobs' manifests go first: the objects of a pile are removed in its order, in one thread for each room.
    """
    for pile in piles:
        keys = iter(pile.keys if pile.goes else ())
        threads = 1 if pile.room == layout.JOBS else _SIDE_BY_SIDE
        with ThreadPoolExecutor(threads, thread_name_prefix="sweep") as pool:
            while step := list(islice(keys, _STEP)):
                still_ours()
                list(pool.map(store.remove, step))


def sweep_parts(catalogs: CatalogStore) -> int:
    """Remove the parts that no version has; return their bytes. The caller holds the catalog's lock.

    They are left behind by versions that were removed and by uploads that never ended. Whoever lost the lock in the midst of an
    upload publishes nothing any more, so its parts are nobody's. While a manifest is not readable all stay.
    """
    versions, unreadable = catalogs.named()
    if unreadable:
        log.warning("parts of catalog %s are not collected: %s", catalogs.name, unreadable[0].message)
        return 0
    named = named_parts(versions)
    gone = [part for sha, part in catalogs.parts.listed().items() if sha not in named]
    for part in gone:
        catalogs.parts.remove(part)
    return sum(part.size for part in gone)
