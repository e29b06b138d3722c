"""Remove what nothing needs. Each object goes by itself, so that it can be broken off anywhere and done again."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import partial

from packsight.indexer.collection.ages import Ages
from packsight.indexer.collection.needs import wanted_uploads
from packsight.indexer.collection.survey import Survey
from packsight.shared.catalog.versions import CatalogStore, named_parts
from packsight.shared.pieces import pieces
from packsight.shared.storage import layout
from packsight.shared.storage.jobs import JobStore
from packsight.shared.storage.objects import ObjectStore

log = logging.getLogger(__name__)

_SIDE_BY_SIDE = 8
_STEP = 512
"""Objects after which it is asked again whether they are ours to remove."""

Removing = Callable[[], AbstractContextManager[object]]


def sweep(store: ObjectStore, found: Survey, ages: Ages, removing: Removing, still_ours: Callable[[], None]) -> None:
    """Remove the piles that go of those that were found; `still_ours` is asked before every step and raises when they must stay.

    Within a step jobs' manifests go first: the objects of a pile are removed in its order, in one thread for each room. Uploads
    go last, where they still may: since they were listed, a job may name them, or somebody have sent them again. removing:
    `Removals.removing`: whoever submits a job waits for the block, which is short, and looks after his photos then.
    """
    going = [pile for pile in found.piles if pile.goes]
    for pile in going:
        if pile.room != layout.UPLOADS:
            remove(store, pile.keys, still_ours, threads=1 if pile.room == layout.JOBS else _SIDE_BY_SIDE)
    jobs, known, wanted = JobStore(store), set(found.jobs), set[str]()
    for pile in (pile for pile in going if pile.room == layout.UPLOADS):
        for step, pool in _steps(pile.keys, _SIDE_BY_SIDE, still_ours):
            with removing():
                new = set(jobs.names()) - known
                wanted |= wanted_uploads(store, new).keys()
                known |= new
                list(pool.map(partial(_remove_old, store, ages), [key for key in step if key not in wanted]))


def remove(store: ObjectStore, keys: Iterable[str], still_ours: Callable[[], None], *, threads: int = _SIDE_BY_SIDE) -> None:
    """Remove objects, some at a time, in their order if in one thread; `still_ours` is asked before each step."""
    for step, pool in _steps(keys, threads, still_ours):
        list(pool.map(store.remove, step))


def _steps(
    keys: Iterable[str], threads: int, still_ours: Callable[[], None]
) -> Iterator[tuple[list[str], ThreadPoolExecutor]]:
    """Keys, some at a time, with whom to remove them."""
    with ThreadPoolExecutor(threads, thread_name_prefix="sweep") as pool:
        for step in pieces(keys, _STEP):
            still_ours()
            yield step, pool


def _remove_old(store: ObjectStore, ages: Ages, key: str) -> None:
    """Remove an upload unless it was sent again."""
    if any(found.key == key and ages.is_over(found, ages.uploads) for found in store.listed(key)):
        store.remove(key)


def sweep_parts(catalogs: CatalogStore, still_ours: Callable[[], None]) -> int:
    """Remove the parts that no version has; return their bytes.

    The caller holds the catalog's lock: `still_ours` is asked when they are listed, and raises where it does not. Whoever has the
    lock by then may be uploading such parts.

    They are left behind by versions that were removed and by uploads that never ended. Whoever lost the lock in the midst of an
    upload publishes nothing any more, so its parts are nobody's. While a manifest is not readable all stay.
    """
    versions, unreadable = catalogs.named()
    if unreadable:
        log.warning("parts of catalog %s are not collected: %s", catalogs.name, unreadable[0].message)
        return 0
    named = named_parts(versions)
    gone = [part for sha, part in catalogs.parts.listed().items() if sha not in named]
    if gone:
        still_ours()
    for part in gone:
        catalogs.parts.remove(part)
    return sum(part.size for part in gone)
