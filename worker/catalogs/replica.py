"""The local copy of the catalogs: one thread of plain I/O in the worker's parent process, no model, no index."""

from __future__ import annotations

import json
import logging
import shutil
import threading
import time
from datetime import UTC, datetime

import redis

from packsight.shared.catalog.versions import CatalogStore, catalog_names
from packsight.shared.contract.errors import PacksightError
from packsight.shared.settings import Settings
from packsight.shared.storage.objects import ObjectStore
from packsight.worker.catalogs.pointer import local_pointer, read_local_pointer, write_local_pointer

log = logging.getLogger(__name__)

HINTS = "packsight:catalogs"
"""Pub/sub channel on which a publisher says that a pointer moved. Only a hint: polling is what is relied on."""
_KEY_TTL = 60


def replica_key(node: str) -> str:
    """Redis key under which a worker says which versions its host has."""
    return f"packsight:replica:{node}"


class Replica(threading.Thread):
    """Follows `CURRENT` of every catalog: downloads a version once, checks it, lets the children take it up."""

    def __init__(self, settings: Settings, node: str) -> None:
        super().__init__(name="replica", daemon=True)
        self._settings = settings
        self._node = node
        self._store = ObjectStore(settings.s3)
        self._redis = redis.Redis.from_url(settings.result_url.get_secret_value(), socket_timeout=5)
        self._ended = threading.Event()
        self._versions: dict[str, str] = {}
        self._errors: dict[str, str] = {}

    def run(self) -> None:
        """Poll until stopped; a hint only shortens the wait."""
        hints = None
        while not self._ended.is_set():
            self.sync()
            try:
                self._announce()
                if hints is None:
                    hints = self._redis.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
                    hints.subscribe(HINTS)
                self._await_hint(hints)
            except (redis.RedisError, OSError):
                hints = None
                self._ended.wait(self._settings.catalog.poll_seconds)

    def stop(self) -> None:
        """End after the current round."""
        self._ended.set()

    def sync(self) -> None:
        """Bring every catalog to the version that its pointer names; what fails is logged and tried again."""
        try:
            names = list(catalog_names(self._store))
        except PacksightError as error:
            self._note("*", error)
            return
        self._errors.pop("*", None)
        for name in names:
            try:
                self._follow(name)
                self._errors.pop(name, None)
            except (PacksightError, OSError, ValueError) as error:
                self._note(name, error)

    def _follow(self, name: str) -> None:
        current = CatalogStore(self._store, name).current()
        if current is None or self._versions.get(name) == current.version:
            return
        versions = local_pointer(self._settings.home, name).parent / "versions"
        started = time.monotonic()
        CatalogStore(self._store, name).download(current.version, versions)
        previous = read_local_pointer(self._settings.home, name)
        write_local_pointer(self._settings.home, name, current.version)
        self._versions[name] = current.version
        log.info(
            "replica: catalog %s is at %s (%.1f s)",
            name,
            current.version,
            time.monotonic() - started,
            extra={"action": "replica_swapped"},
        )
        # The version before stays for children that have not looked yet; what is mapped survives its removal anyway.
        kept = {current.version, previous.name if previous else ""}
        for folder in versions.iterdir():
            if folder.name not in kept and not folder.name.startswith("."):
                shutil.rmtree(folder, ignore_errors=True)

    def _note(self, name: str, error: Exception) -> None:
        text = str(error)
        if self._errors.get(name) != text:
            log.error("replica: catalog %s: %s", name, text, extra={"action": "replica_failed"})
        self._errors[name] = text

    def _announce(self) -> None:
        state = {
            "node": self._node,
            "catalogs": self._versions,
            "errors": self._errors,
            "at": datetime.now(UTC).isoformat(),
        }
        self._redis.set(replica_key(self._node), json.dumps(state), ex=_KEY_TTL)

    def _await_hint(self, hints: redis.client.PubSub) -> None:
        deadline = time.monotonic() + self._settings.catalog.poll_seconds
        while (left := deadline - time.monotonic()) > 0 and not self._ended.is_set():
            if hints.get_message(timeout=min(left, 1.0)) is not None:
                return
