"""The catalog snapshots that a child answers from: looked up between batches, swapped as one reference."""

from __future__ import annotations

import logging
import time
from pathlib import Path

from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.catalog.versions import CatalogStore
from packsight.shared.contract.errors import CatalogError, ErrorCode
from packsight.shared.storage.objects import ObjectStore
from packsight.worker.catalogs.pointer import read_local_pointer

log = logging.getLogger(__name__)

_WAIT_SECONDS = 30.0


class Catalogs:
    """Open snapshots by catalog name.

    A version that cannot be opened, or that other models made, is refused once with an error in the log, and the version
    before it serves on.
    """

    def __init__(self, home: Path, store: ObjectStore, *, embedder: str, spotter: str) -> None:
        self._home = home
        self._store = store
        self._embedder = embedder
        self._spotter = spotter
        self._open: dict[str, Snapshot] = {}
        self._seen: dict[str, Path] = {}
        self.refused: dict[str, str] = {}

    @property
    def versions(self) -> dict[str, str]:
        """Version in use by catalog."""
        return {name: snapshot.manifest.version for name, snapshot in self._open.items()}

    def get(self, name: str) -> Snapshot:
        """Snapshot that this host currently serves; a whole batch is answered from the one returned here.

        Raises CatalogError: CATALOG_MISSING when the catalog was never published or has not arrived yet,
        CATALOG_REFUSED when its only version cannot be used.
        """
        folder = read_local_pointer(self._home, name) or self._await_replica(name)
        if self._seen.get(name) != folder:
            self._seen[name] = folder
            self._swap(name, folder)
        if name not in self._open:
            raise CatalogError(ErrorCode.CATALOG_REFUSED, self.refused[name])
        return self._open[name]

    def refresh(self) -> None:
        """Take up new versions of the catalogs in use while there is no work."""
        for name in list(self._seen):
            try:
                self.get(name)
            except CatalogError:
                log.debug("catalog %s is refused", name)

    def _swap(self, name: str, folder: Path) -> None:
        try:
            snapshot = Snapshot.open(folder)
            snapshot.check_models(self._embedder, self._spotter)
        except CatalogError as error:
            self.refused[name] = error.message
            log.error("catalog %s: version %s refused: %s", name, folder.name, error, extra={"action": "catalog_refused"})
            return
        self.refused.pop(name, None)
        self._open[name] = snapshot
        log.info("catalog %s: serving version %s", name, folder.name, extra={"action": "catalog_swapped"})

    def _await_replica(self, name: str) -> Path:
        if CatalogStore(self._store, name).current() is None:
            raise CatalogError(ErrorCode.CATALOG_MISSING, f"There is no catalog named {name}", retryable=False)
        deadline = time.monotonic() + _WAIT_SECONDS
        while time.monotonic() < deadline:
            if (folder := read_local_pointer(self._home, name)) is not None:
                return folder
            time.sleep(0.1)
        raise CatalogError(
            ErrorCode.CATALOG_MISSING,
            f"Catalog {name} is published but has not arrived at this worker",
            remedy="Look for `replica` in the worker's log; the download fails or is slow.",
        )
