"""Bring catalog photos into object storage as `photos/<sha256>`, downloading only what changed since last seen."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

from packsight.indexer.feed.source import operator_settings, root_of
from packsight.indexer.plan import PhotoKey, PhotoRequest, SourceState
from packsight.indexer.source_states import SourceStates
from packsight.shared.contract.errors import PacksightError
from packsight.shared.contract.outcomes import Failure
from packsight.shared.settings import Settings
from packsight.shared.storage import layout
from packsight.shared.storage.fetch import Fetcher
from packsight.shared.storage.objects import ObjectStore

STEP = 200
"""Photos after which progress is written down."""

T = TypeVar("T")


@dataclass(slots=True)
class Fetched:
    """What is at every wanted source now, and how many photos were downloaded to know it."""

    states: dict[PhotoKey, SourceState]
    downloads: int = 0


def fetch_photos(
    wanted: Iterable[PhotoRequest],
    known: Mapping[PhotoKey, SourceState],
    *,
    described: Set[str],
    feed: str,
    extras: str,
    settings: Settings,
    store: ObjectStore,
    sources: SourceStates,
    progress: Callable[[int], None] = lambda _: None,
) -> Fetched:
    """Look at every wanted source, a bounded number at a time.

    `known`: what is known of them; its validators save unchanged downloads. `described`: photos that surely have
    features, whose bytes need not be there. A source that fails is a SourceState with its failure; only a broken object
    store raises.
    """
    result = Fetched({})
    with (
        closing(Fetcher(operator_settings(settings, feed, root_of(feed)), store)) as pictures,
        closing(Fetcher(operator_settings(settings, f"{extras.rstrip('/')}/", Path(extras)), store)) as folder,
        ThreadPoolExecutor(settings.fetch.threads, thread_name_prefix="fetch") as pool,
    ):

        def look(photo: PhotoRequest) -> tuple[PhotoKey, SourceState, bool]:
            fetcher = folder if photo.key[1] else pictures
            return photo.key, *_look(photo, known.get(photo.key), described, fetcher, store)

        for step in _steps(wanted, STEP):
            new: dict[PhotoKey, SourceState] = {}
            try:
                for key, state, downloaded in pool.map(look, step):
                    result.states[key] = state
                    result.downloads += downloaded
                    if state.sha256 and state != known.get(key):
                        new[key] = state
                    progress(len(result.states))
            finally:
                sources.add(new)
    return result


def _look(
    photo: PhotoRequest, known: SourceState | None, described: Set[str], fetcher: Fetcher, store: ObjectStore
) -> tuple[SourceState, bool]:
    if known is not None and not known.sha256:
        known = None
    if known is not None and known.sha256 not in described and not store.exists(layout.photo(known.sha256)):
        known = None
    try:
        fetched = fetcher.fetch_if_changed(photo.reference, known.validator if known is not None else "")
    except PacksightError as error:
        return SourceState(failure=Failure.of(error)), False
    if fetched is None:
        return known or SourceState(), False
    sha256 = hashlib.sha256(fetched.data).hexdigest()
    if not store.exists(layout.photo(sha256)):
        store.write(layout.photo(sha256), fetched.data)
    failure = known.failure if known is not None and known.sha256 == sha256 else None
    return SourceState(sha256, fetched.validator, failure), True


def _steps(items: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(items)
    while step := list(islice(iterator, size)):
        yield step
