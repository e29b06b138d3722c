"""The catalog snapshots that a child answers from: taken up between batches, swapped as one reference."""

from __future__ import annotations

import logging
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
    """

    def __init__(self, home: Path, store: ObjectStore, recipe: Recipe) -> None:
        self._home = home
        self._store = store
        self._recipe = recipe
        self._lock = threading.Lock()
        self._open: dict[str, Snapshot] = {}
        self._seen: dict[str, LocalPointer] = {}
        self._refused: dict[str, CatalogError] = {}
        follow(home, recipe)

    @property
    def versions(self) -> dict[str, str]:
        """Version in use by catalog."""
        return {name: snapshot.manifest.version for name, snapshot in list(self._open.items())}

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
            if name not in self._open:
                raise self._refused[name]
            return self._open[name]

    def refresh(self) -> None:
        """Take up what has arrived, so that the next batch need not, and say that versions are still wanted."""
        follow(self._home, self._recipe)
        for name in arrived(self._home, self._recipe):
            self._take_up(name)

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
            snapshot = Snapshot.open(versions_folder(self._home, name) / pointer.version)
            snapshot.manifest.require(self._recipe)
        except CatalogError as error:
            self._refused[name] = error
            log.error("catalog %s: %s", name, error, extra={"action": "catalog_refused"})
            return
        self._refused.pop(name, None)
        self._open[name] = snapshot
        log.info("catalog %s: serving version %s", name, pointer.version, extra={"action": "catalog_swapped"})

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
