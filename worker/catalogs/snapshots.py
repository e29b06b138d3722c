"""The catalog snapshots that a child answers from: taken up between batches, swapped as one reference."""

from __future__ import annotations

import logging
import math
import threading
import time
from pathlib import Path

from packsight.shared.catalog.recipe import Recipe
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.catalog.versions import is_published
from packsight.shared.contract.errors import CatalogError, ErrorCode
from packsight.shared.storage.objects import ObjectStore
from packsight.worker.catalogs.pointer import LocalPointer, arrived, follow, read_local_pointer, versions_folder

log = logging.getLogger(__name__)

_WAIT_SECONDS = 30.0


class Catalogs:
    """Open snapshots by catalog name.

    A version that cannot be opened, or that another recipe made, is refused once with an error in the log, and the version
    before it serves on. Two threads come here: that of the batches asks for snapshots, the registration's looks for new
    ones meanwhile. A batch keeps the snapshot that it was given, whatever is taken up while it runs.

    room: bytes of files that may be open together. Beyond it the catalog is closed that nobody has asked for longest, and opened
    again when somebody does; one is always open.
    """

    def __init__(self, home: Path, store: ObjectStore, recipe: Recipe, room: float = math.inf) -> None:
        self._home = home
        self._store = store
        self._recipe = recipe
        self._lock = threading.Lock()
        self._room = room
        self._open: dict[str, Snapshot] = {}
        """The one that was asked for last comes last."""
        self._closed: dict[str, str] = {}
        """Versions that were open and will be again."""
        self._sizes: dict[str, int] = {}
        """Bytes of the files of what is open."""
        self._seen: dict[str, LocalPointer] = {}
        self._refused: dict[str, CatalogError] = {}
        follow(home, recipe)

    @property
    def versions(self) -> dict[str, str]:
        """Version in use by catalog, those that are closed for want of room included."""
        return {**self._closed, **{name: snapshot.manifest.version for name, snapshot in list(self._open.items())}}

    @property
    def latest(self) -> dict[str, str]:
        """Version that was looked at last by catalog, in use or refused."""
        return {name: pointer.version for name, pointer in list(self._seen.items()) if pointer.version}

    @property
    def refused(self) -> dict[str, str]:
        """Why the latest version of a catalog, or any, is not in use."""
        return {name: f"{error.message}. {error.remedy}" for name, error in list(self._refused.items())}

    def get(self, name: str) -> Snapshot:
        """Snapshot that this host currently serves; a whole batch is answered from the one returned here.

        Raises CatalogError: CATALOG_MISSING when the catalog was never published or has not arrived yet,
        CATALOG_REFUSED when there is no version that this child can use.
        """
        if not self._take_up(name):
            self._await_replica(name)
            self._take_up(name)
        with self._lock:
            if name in self._closed:
                self._reopen(name)
            if name not in self._open:
                raise self._refused[name]
            snapshot = self._open[name] = self._open.pop(name)
            self._make_room()
            return snapshot

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
            if pointer is not None and self._seen.get(name) != pointer:
                self._seen[name] = pointer
                self._swap(name, pointer)
            return name in self._seen

    def _swap(self, name: str, pointer: LocalPointer) -> None:
        try:
            if not pointer.version:
                raise CatalogError(ErrorCode.CATALOG_REFUSED, pointer.refusal, remedy=pointer.remedy)
            snapshot = self._opened(name, pointer.version)
        except CatalogError as error:
            self._refuse(name, error)
            return
        self._refused.pop(name, None)
        self._closed.pop(name, None)
        if name in self._open:
            self._open[name] = snapshot
        else:  # nobody has asked for it yet
            self._open = {name: snapshot, **self._open}
        log.info("catalog %s: serving version %s", name, pointer.version, extra={"action": "catalog_swapped"})

    def _opened(self, name: str, version: str) -> Snapshot:
        folder = versions_folder(self._home, name) / version
        snapshot = Snapshot.open(folder)
        snapshot.manifest.require(self._recipe)
        self._sizes[name] = sum(file.stat().st_size for file in folder.iterdir())
        return snapshot

    def _reopen(self, name: str) -> None:
        version = self._closed.pop(name)
        try:
            self._open[name] = self._opened(name, version)
        except CatalogError as error:
            self._refuse(name, error)

    def _refuse(self, name: str, error: CatalogError) -> None:
        self._refused[name] = error
        log.error("catalog %s: %s", name, error, extra={"action": "catalog_refused"})

    def _make_room(self) -> None:
        for name in list(self._open)[:-1]:
            if sum(self._sizes[name] for name in self._open) <= self._room:
                return
            self._closed[name] = self._open.pop(name).manifest.version
            log.info("catalog %s: closed until it is asked for", name, extra={"action": "catalog_closed"})

    def _await_replica(self, name: str) -> None:
        if not is_published(self._store, name):
            raise CatalogError(ErrorCode.CATALOG_MISSING, f"There is no catalog named {name}", retryable=False)
        deadline = time.monotonic() + _WAIT_SECONDS
        while time.monotonic() < deadline:
            if read_local_pointer(self._home, name, self._recipe) is not None:
                return
            time.sleep(0.1)
        raise CatalogError(
            ErrorCode.CATALOG_MISSING,
            f"Catalog {name} is published but has not arrived at this worker",
            remedy="Look for `replica` in the worker's log; the download fails or is slow.",
        )
