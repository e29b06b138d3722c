"""What the pages of one server keep between requests: pictures, indexes of jobs, review desks, products of catalogs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Annotated, Generic, TypeVar

from fastapi import Depends, Request

from packsight.producer.catalog_view import CatalogView
from packsight.producer.http.door import Door
from packsight.producer.http.page.inbox import Inbox
from packsight.producer.http.page.job_indexes import PATIENT, JobIndexes
from packsight.producer.http.page.thumbnails import Pictures
from packsight.producer.jobs import NoSuchJob
from packsight.producer.reviews.inbox import Waiting
from packsight.producer.reviews.products import Products
from packsight.producer.rows import Row
from packsight.shared.catalog.versions import catalog_names
from packsight.shared.storage.jobs import JobManifest

T = TypeVar("T")

_KNOWN_SECONDS = 10.0
"""For which names of catalogs and what they publish are not asked for again: one that appears may wait so long."""


class _Remembered(Generic[T]):
    """A value that is made again when it is older than a few seconds; one thread makes it while others wait."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make, self._lock = make, threading.Lock()
        self._made: tuple[float, T] | None = None

    def __call__(self) -> T:
        with self._lock:
            if self._made is None or time.monotonic() - self._made[0] > _KNOWN_SECONDS:
                self._made = (time.monotonic(), self._make())
            return self._made[1]


@dataclass
class Rooms:
    """Of one server; made with its door, closed before it."""

    door: Door
    pictures: Pictures = field(init=False)
    indexes: JobIndexes = field(init=False)
    _inboxes: dict[str, Inbox] = field(default_factory=dict)
    _views: dict[str, tuple[CatalogView, _Remembered[Products]]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.pictures = Pictures(self.door.settings, self.door.client.store)
        self.indexes = JobIndexes(self.door.client, self.door.settings.home / "http" / "jobs")
        self.catalogs = _Remembered(lambda: list(catalog_names(self.door.client.store)))

    def inbox(self, catalog: str) -> Inbox:
        """What waits for people of a catalog's answers."""
        with self._lock:
            return self._inboxes.setdefault(catalog, Inbox(self.door.client, self.indexes, self.manifests, catalog))

    def view(self, catalog: str) -> CatalogView:
        """A catalog as people look at it."""
        return self._view(catalog)[0]

    def products(self, catalog: str) -> Products:
        """Products of the version that is served, as it was a few seconds ago; raises UserError when none is."""
        return self._view(catalog)[1]()

    def _view(self, catalog: str) -> tuple[CatalogView, _Remembered[Products]]:
        with self._lock:
            if catalog not in self._views:
                view = CatalogView(self.door.client.store, self.door.settings, catalog)
                self._views[catalog] = view, _Remembered(view.products)
            return self._views[catalog]

    def manifest(self, job: str) -> JobManifest:
        """What a job asks for, as it was a few seconds ago; raises NoSuchJob."""
        try:
            return self.door.manifests.of(job)
        except NoSuchJob:
            self.indexes.forget(job)
            raise

    def row(self, job: str, place: int) -> Row | None:
        """The answer to a photo of a job; None where there is none, or not yet. Raises NoSuchJob."""
        manifest = self.manifest(job)
        if place >= manifest.photos:
            return None
        return self.indexes.of(manifest, patience=PATIENT).row(self.door.client, place)

    def whole(self, waiting: Sequence[Waiting]) -> list[tuple[Waiting, Row]]:
        """What waits with its answers in full, but for what was removed meanwhile."""
        places: dict[str, list[int]] = {}
        for one in waiting:
            places.setdefault(one.row.job, []).append(one.row.index)
        rows: dict[tuple[str, int], Row] = {}
        for job, wanted in places.items():
            with suppress(NoSuchJob):
                index = self.indexes.of(self.manifest(job), patience=0)
                rows |= {(job, place): row for place, row in index.rows(self.door.client, wanted).items()}
        found = ((one, rows.get((one.row.job, one.row.index))) for one in waiting)
        return [(one, row) for one, row in found if row is not None]

    def manifests(self) -> Iterator[JobManifest]:
        """Those of all jobs there are, newest first."""
        names = self.door.client.jobs.names()
        self.indexes.keep_only(names)
        yield from self.door.manifests.newest_of(names)

    def close(self) -> None:
        """Close what is open."""
        self.indexes.close()
        self.pictures.close()


async def rooms(request: Request) -> Rooms:
    """Those of the server that a request came to."""
    found: Rooms = request.app.state.rooms
    return found


TheRooms = Annotated[Rooms, Depends(rooms)]
