"""The catalog snapshots that a child answers from: taken up between batches, swapped as one reference."""

from __future__ import annotations

import logging
import math
import threading
import time
from functools import reduce
from operator import or_
from pathlib import Path
from typing import NamedTuple

from packsight.shared.catalog.recipe import Recipe
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.catalog.versions import is_published
from packsight.shared.contract.errors import CatalogError, ErrorCode
from packsight.shared.storage.objects import ObjectStore
from packsight.worker.catalogs.pointer import LocalPointer, arrived, follow, read_local_pointer, stamps, versions_folder

log = logging.getLogger(__name__)

_WAIT_SECONDS = 30.0
"""For the first catalog to arrive on this host. Where others are served already, batches of these would wait too."""


class _Place(NamedTuple):
    """What is open under a catalog's name: the version that answers, or its canary."""

    name: str
    tried: bool = False


class Catalogs:
    """Open snapshots by catalog name, two of a catalog with a canary.

    A version that cannot be opened, or that another recipe made, is refused once with an error in the log, and the version
    before it serves on; of a canary, the version beside it. Two threads come here: that of the batches asks for snapshots, the
    registration's looks for new ones meanwhile. A batch keeps the snapshot that it was given, whatever is taken up while it runs.

    room: bytes of files that may be open together. Beyond it the version is closed that nobody has asked for longest, and opened
    again when somebody does; one is always open.
    """

    def __init__(self, home: Path, store: ObjectStore, recipe: Recipe, room: float = math.inf) -> None:
        self._home = home
        self._store = store
        self._recipe = recipe
        self._lock = threading.Lock()
        self._room = room
        self._open: dict[_Place, Snapshot] = {}
        """The one that was asked for last comes last."""
        self._closed: dict[_Place, str] = {}
        """Versions that were open and will be again."""
        self._files: dict[_Place, dict[int, int]] = {}
        """Bytes of the files of what is open by their inodes: files that versions have in common are mapped once."""
        self._seen: dict[str, LocalPointer] = {}
        self._refused: dict[_Place, CatalogError] = {}
        follow(home, recipe)

    @property
    def versions(self) -> dict[str, str]:
        """Version in use by catalog, those that are closed for want of room included."""
        return self._in_use(tried=False)

    @property
    def canaries(self) -> dict[str, str]:
        """Canary in use by catalog."""
        return self._in_use(tried=True)

    def _in_use(self, *, tried: bool) -> dict[str, str]:
        found = {**self._closed, **{place: snapshot.manifest.version for place, snapshot in list(self._open.items())}}
        return {place.name: version for place, version in found.items() if place.tried == tried}

    @property
    def latest(self) -> dict[str, str]:
        """Version that was looked at last by catalog, in use or refused."""
        return {name: pointer.version for name, pointer in list(self._seen.items()) if pointer.version}

    @property
    def refused(self) -> dict[str, str]:
        """Why the latest version of a catalog, its canary, or any, is not in use."""
        found = sorted(dict(self._refused).items(), key=lambda one: one[0], reverse=True)
        return {place.name: f"{error.message}. {error.remedy}" for place, error in found}

    def get(self, name: str, message: str = "") -> Snapshot:
        """Snapshot from which this host answers a message of this id; a whole batch is answered from the one returned here.

        Raises CatalogError: CATALOG_MISSING when the catalog was never published or has not arrived yet,
        CATALOG_REFUSED when there is no version that this child can use.
        """
        if not self._take_up(name):
            self._await_replica(name, 0.0 if self.versions else _WAIT_SECONDS)
            self._take_up(name)
        with self._lock:
            for place in self._places(name, message):
                if place in self._closed:
                    self._reopen(place)
                if place in self._open:
                    snapshot = self._open[place] = self._open.pop(place)
                    self._make_room()
                    return snapshot
            # Without the traces of those who were told before, which it would gather for as long as it is refused.
            raise self._refused[_Place(name)].with_traceback(None)

    def _places(self, name: str, message: str) -> list[_Place]:
        """Where to look for what answers a message, first where it should be."""
        canary = self._seen[name].canary if name in self._seen else None
        tried = canary is not None and canary.takes(message)
        return [*([_Place(name, tried=True)] if tried else []), _Place(name)]

    def glance(self) -> object:
        """What is another than before when something has arrived; to be had for little, without taking it up."""
        return stamps(self._home, self._recipe)

    def refresh(self) -> None:
        """Take up what has arrived, so that the next batch need not, and say that versions are still wanted."""
        follow(self._home, self._recipe)
        for name in arrived(self._home, self._recipe):
            self._take_up(name)
            with self._lock:
                self._make_room()

    def _take_up(self, name: str) -> bool:
        """Open what has arrived of a catalog, if it is new; False when nothing has."""
        with self._lock:
            pointer = read_local_pointer(self._home, name, self._recipe)
            if pointer is not None and pointer.deleted:
                self._forget(name)
            elif pointer is not None and self._seen.get(name) != pointer:
                before = self._seen.get(name, LocalPointer())
                self._seen[name] = pointer
                if pointer.alone != before.alone:
                    self._swap(_Place(name), pointer.version, pointer)
                if pointer.canary != before.canary:
                    self._try(_Place(name, tried=True), pointer)
            return name in self._seen

    def _forget(self, name: str) -> None:
        """Answer no more from a catalog that was deleted."""
        if self._seen.pop(name, None) is None:
            return
        for place in (_Place(name), _Place(name, tried=True)):
            for known in (self._open, self._closed, self._files, self._refused):
                known.pop(place, None)
        log.info("catalog %s was deleted", name, extra={"action": "catalog_given_up"})

    def _swap(self, place: _Place, version: str, pointer: LocalPointer) -> None:
        try:
            if not version:
                raise CatalogError(ErrorCode.CATALOG_REFUSED, pointer.refusal, remedy=pointer.remedy)
            snapshot = self._opened(place, version)
        except CatalogError as error:
            self._refuse(place, error)
            return
        self._refused.pop(place, None)
        self._closed.pop(place, None)
        if place in self._open:
            self._open[place] = snapshot
        else:  # nobody has asked for it yet
            self._open = {place: snapshot, **self._open}
        what = "trying" if place.tried else "serving"
        log.info("catalog %s: %s version %s", place.name, what, version, extra={"action": "catalog_swapped"})

    def _try(self, place: _Place, pointer: LocalPointer) -> None:
        """Take up a canary in the place of another, or of none."""
        version = pointer.canary.version if pointer.canary is not None else ""
        if version == self._in_use(tried=True).get(place.name):
            return  # for another share
        self._open.pop(place, None)
        self._closed.pop(place, None)
        self._refused.pop(place, None)
        if version:
            self._swap(place, version, pointer)

    def _opened(self, place: _Place, version: str) -> Snapshot:
        """A snapshot of a version: the one that is open already, as that of a canary is which comes to answer all."""
        for other, snapshot in self._open.items():
            if other == (place.name, not place.tried) and snapshot.manifest.version == version:
                self._files[place] = self._files[other]
                return snapshot
        folder = versions_folder(self._home, place.name) / version
        snapshot = Snapshot.open(folder)
        snapshot.manifest.require(self._recipe)
        self._files[place] = {found.st_ino: found.st_size for found in map(Path.stat, folder.iterdir())}
        return snapshot

    def _reopen(self, place: _Place) -> None:
        version = self._closed.pop(place)
        try:
            self._open[place] = self._opened(place, version)
        except CatalogError as error:
            self._refuse(place, error)

    def _refuse(self, place: _Place, error: CatalogError) -> None:
        self._refused[place] = error
        log.error("catalog %s: %s", place.name, error, extra={"action": "catalog_refused"})

    def _make_room(self) -> None:
        for place in list(self._open)[:-1]:
            if sum(reduce(or_, (self._files[one] for one in self._open)).values()) <= self._room:
                return
            self._closed[place] = self._open.pop(place).manifest.version
            log.info("catalog %s: closed until it is asked for", place.name, extra={"action": "catalog_closed"})

    def _await_replica(self, name: str, seconds: float) -> None:
        if not is_published(self._store, name):
            raise CatalogError(ErrorCode.CATALOG_MISSING, f"There is no catalog named {name}", retryable=False)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            pointer = read_local_pointer(self._home, name, self._recipe)
            if pointer is not None and not pointer.deleted:
                return
            time.sleep(0.1)
        raise CatalogError(
            ErrorCode.CATALOG_MISSING,
            f"Catalog {name} is published but has not arrived at this worker",
            remedy="Look for `replica` in the worker's log; the download fails or is slow.",
        )
