"""The local copy of the catalogs: one thread of plain I/O in the worker's parent process, no model, no index."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from datetime import UTC, datetime

import redis

from packsight.shared.catalog.deletion import read_deletion
from packsight.shared.catalog.manifest import sync_once
from packsight.shared.catalog.pointer import Current
from packsight.shared.catalog.recipe import Recipe
from packsight.shared.catalog.trust import NOT_CHECKED, Trust
from packsight.shared.catalog.versions import CatalogStore, catalog_names
from packsight.shared.contract.errors import CatalogError, ErrorCode, PacksightError
from packsight.shared.metrics import table
from packsight.shared.metrics.noting import note
from packsight.shared.queue import registry
from packsight.shared.queue.connection import result_database
from packsight.shared.settings import Settings
from packsight.shared.storage.objects import ObjectStore
from packsight.worker.catalogs.pointer import (
    LocalPointer,
    drop_former,
    followed,
    give_up,
    held,
    read_local_pointer,
    served_versions,
    versions_folder,
    write_local_pointer,
)

log = logging.getLogger(__name__)


class Replica(threading.Thread):
    """Follows the pointer of every catalog for the recipes of this host's children.

    It downloads a version once, checks it and lets the children take it up. The children name their recipes, since only
    they have loaded the networks. What is not signed as it should be is refused, and the version before it serves on.
    """

    def __init__(self, settings: Settings, node: str) -> None:
        super().__init__(name="replica", daemon=True)
        self._settings = settings
        self._node = node
        self._looked = time.monotonic()
        self._bringing = False
        self._store = ObjectStore(settings.s3)
        self._trust = Trust.of_reader(settings, settings.home)
        self._redis = result_database(settings)
        self._ended = threading.Event()
        self._errors: dict[str, str] = {}

    def run(self) -> None:
        """Poll until stopped; a hint only shortens the wait."""
        if not self._trust.keyring.checks:
            log.warning("replica: %s. %s", *NOT_CHECKED, extra={"action": "catalogs_unchecked"})
        hints = None
        while not self._ended.is_set():
            try:
                self.sync()
            except Exception as error:
                log.exception("the catalogs cannot be followed")
                self._note("*", error)
            self._looked = time.monotonic()
            try:
                self._announce()
                if hints is None:
                    hints = registry.hints(self._redis)
                self._await_hint(hints)
            except (redis.RedisError, OSError):
                hints = None
                self._ended.wait(self._settings.catalog.poll_seconds)

    @property
    def age(self) -> float:
        """Seconds since it last looked; none while it brings a version, whose parts have limits by their sizes."""
        return 0.0 if self._bringing else time.monotonic() - self._looked

    def stop(self) -> None:
        """End after the current round."""
        self._ended.set()

    def sync(self) -> None:
        """Bring every catalog to the versions that its pointer names; what fails is logged and tried again."""
        try:
            names = dict.fromkeys([*catalog_names(self._store), *held(self._settings.home)])
            recipes = followed(self._settings.home)
        except (PacksightError, OSError) as error:
            self._note("*", error)
            return
        self._errors = {name: text for name, text in self._errors.items() if name in names}
        for name in names:
            try:
                self._follow(CatalogStore(self._store, name, self._trust), recipes)
                self._errors.pop(name, None)
            except (PacksightError, OSError, ValueError) as error:
                self._note(name, error)
                if isinstance(error, CatalogError):
                    self._tell_refused(name, recipes, error)
            self._looked = time.monotonic()

    def _follow(self, catalogs: CatalogStore, recipes: list[Recipe]) -> None:
        if not recipes:
            return
        current = catalogs.current()
        if current is None:
            self._give_up_deleted(catalogs.name)
            return
        failed: Exception | None = None
        for recipe in recipes:
            try:
                self._follow_for(catalogs, current, recipe)
            except (PacksightError, OSError, ValueError) as error:  # the other recipes' versions may be whole
                failed = failed or error
        if failed is not None:
            raise failed

    def _give_up_deleted(self, name: str) -> None:
        """Let nobody answer from a catalog that was deleted; one that is merely not there any more is served on."""
        word = read_deletion(self._store, name, self._trust) if name in held(self._settings.home) else None
        if word is not None:
            self._trust.note(name, word.deleted_at)  # no pointer from before it is followed again
            give_up(self._settings.home, name)
            log.info("replica: catalog %s was deleted", name, extra={"action": "replica_given_up"})

    def _follow_for(self, catalogs: CatalogStore, current: Current, recipe: Recipe) -> None:
        here = read_local_pointer(self._settings.home, catalogs.name, recipe)
        version = current.version_for(recipe)
        if version is not None:
            wanted = LocalPointer(version=version, canary=current.canary_for(recipe), key=current.key)
            same = here is not None and (here.version, here.canary) == (wanted.version, wanted.canary)
            if here is None or not same or not self._trust.keyring.believes(here.key):
                self._bring(catalogs, wanted, recipe, here)
        elif here is None or not here.version:
            self._tell(catalogs, current, recipe, here)

    def _bring(self, catalogs: CatalogStore, wanted: LocalPointer, recipe: Recipe, before: LocalPointer | None) -> None:
        """Bring what is wanted; a canary that cannot be brought keeps nobody from the version beside it."""
        started = time.monotonic()
        self._download(catalogs, wanted.version, recipe)
        if wanted.canary is not None:
            self._take_up(catalogs, wanted.alone, recipe, before, time.monotonic() - started)
            self._download(catalogs, wanted.canary.version, recipe)
        self._take_up(catalogs, wanted, recipe, before, time.monotonic() - started)

    def _download(self, catalogs: CatalogStore, version: str, recipe: Recipe) -> None:
        catalogs.manifest(version).require(recipe)
        self._bringing = True
        try:
            catalogs.download(version, versions_folder(self._settings.home, catalogs.name))
        finally:
            self._bringing, self._looked = False, time.monotonic()

    def _take_up(
        self, catalogs: CatalogStore, wanted: LocalPointer, recipe: Recipe, before: LocalPointer | None, took: float
    ) -> None:
        """Let the children take up what was brought, and clear away what nobody is pointed at."""
        home, name = self._settings.home, catalogs.name
        if wanted == before:
            return
        write_local_pointer(home, name, recipe, wanted)
        told = " and its canary ".join(wanted.versions)
        log.info("replica: catalog %s is at %s (%.1f s)", name, told, took, extra={"action": "replica_swapped"})
        note(table.SWAP_SECONDS.of(name, value=took))
        if catalogs.former() is None:
            drop_former(home, name)
        # The versions before stay for children that have not looked yet; what is mapped survives its removal anyway.
        kept = {*served_versions(home, name), *(before.versions if before else ())}
        for folder in versions_folder(home, name).iterdir():
            if folder.name not in kept and not folder.name.startswith("."):
                shutil.rmtree(folder, ignore_errors=True)

    def _tell(self, catalogs: CatalogStore, current: Current, recipe: Recipe, before: LocalPointer | None) -> None:
        """Tell the children that no version is for them, and in what the one that is served elsewhere differs."""
        try:
            catalogs.manifest(current.version).require(recipe)
            text = f"Catalog {catalogs.name} names no version for this worker any more"
            error = CatalogError(ErrorCode.CATALOG_REFUSED, text, remedy=sync_once(catalogs.name))
        except CatalogError as caught:
            error = caught
        self._write_refusal(catalogs.name, recipe, before, error)

    def _tell_refused(self, name: str, recipes: list[Recipe], error: CatalogError) -> None:
        """Tell the children that have no version why none comes."""
        for recipe in recipes:
            here = read_local_pointer(self._settings.home, name, recipe)
            if here is None or not here.version:
                self._write_refusal(name, recipe, here, error)

    def _write_refusal(self, name: str, recipe: Recipe, before: LocalPointer | None, error: CatalogError) -> None:
        told = LocalPointer(refusal=error.message, remedy=error.remedy)
        if told != before:
            write_local_pointer(self._settings.home, name, recipe, told)

    def _note(self, name: str, error: Exception) -> None:
        text = str(error)
        if self._errors.get(name) != text:
            log.error("replica: catalog %s: %s", name, text, extra={"action": "replica_failed"})
        self._errors[name] = text

    def _announce(self) -> None:
        entry = registry.ReplicaEntry(
            node=self._node, keys=self._trust.keyring.ids, errors=self._errors, at=datetime.now(UTC)
        )
        registry.announce_replica(self._redis, entry)

    def _await_hint(self, hints: redis.client.PubSub) -> None:
        deadline = time.monotonic() + self._settings.catalog.poll_seconds
        while (left := deadline - time.monotonic()) > 0 and not self._ended.is_set():
            if hints.get_message(timeout=min(left, 1.0)) is not None:
                return
