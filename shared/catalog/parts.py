"""Files of versions, each named by the sha256 of what is stored: sent, kept and brought once, however many versions have it.

A part is never changed, so that whoever has one under its name has the right one. On a host a part that was checked when it
came is told from any other file by its mark, as Nix marks its store (Dolstra, The purely functional software deployment
model, 2006): nobody may write it, and it seems to be of the first second of 1970, which no later write leaves as it is. What
bears the mark is linked into further versions without being read again.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from packsight.shared.catalog.manifest import (
    MANIFEST,
    PATCHES,
    FileEntry,
    Manifest,
    StoredObject,
    read_manifest,
    stored_as,
    verify_file,
    verify_files,
)
from packsight.shared.catalog.packing import pack, unpack
from packsight.shared.catalog.patches import NUMBERED, ParentFiles, apply_patch
from packsight.shared.contract.errors import CatalogError, ErrorCode, StorageError
from packsight.shared.storage import deadline, layout
from packsight.shared.storage.objects import Listed, ObjectStore

log = logging.getLogger(__name__)

SIDE_BY_SIDE = 8
"""Parts that are sent or brought at a time: enough that small ones do not wait for each other's answers, and half of the
connections that an ObjectStore keeps."""
PATIENCE = 60.0
"""Seconds that a part of any size may take to come: a store that is restarted meanwhile is there again."""
SLOWEST = 250_000 / SIDE_BY_SIDE
"""Bytes a second of a part beyond that, so 2 Mbit/s of all that come at a time: less is no link that a catalog is served over,
but a server that hardly answers. Each read has a limit of its own, within which such a server may send one byte."""
FRESH = timedelta(hours=1)
"""Age up to which a part that no version names is built upon. An older one may be collected at any moment, so it is sent
again, which makes it young."""
_MARK_NS = 1_000_000_000
_READ_ONLY = 0o444


class Parts:
    """The parts of one catalog in object storage."""

    def __init__(self, store: ObjectStore, catalog: str) -> None:
        self._store, self._catalog = store, catalog

    def listed(self) -> dict[str, Listed]:
        """All parts, by hash."""
        prefix = layout.part(self._catalog)
        return {found.key.removeprefix(prefix): found for found in self._store.listed(prefix)}

    def remove(self, part: Listed) -> None:
        """Remove a part; no error when it is gone."""
        self._store.remove(part.key)

    def send(self, folder: Path, manifest: Manifest, named: Collection[str], *, anew: bool = False) -> None:
        """Upload the files of a version that are not there.

        named: parts that versions have, which therefore stay. anew: whatever is in the folder is sent. Raises CatalogError for
        a file that is neither in the folder nor among the parts, and for one that arrived in another size.
        """
        held, young = self.listed(), datetime.now(UTC) - FRESH
        objects: dict[str, tuple[Path, StoredObject, bool]] = {}
        for name, entry in manifest.files.items():
            objects[entry.stored.sha256] = (folder / name, entry.stored, entry.packed is not None)
            if entry.patch is not None:
                objects[entry.patch.sha256] = (folder / PATCHES / name, entry.patch, False)
        missing: list[tuple[Path, StoredObject, bool]] = []
        for path, stored, packed in objects.values():
            found = held.get(stored.sha256)
            whole = found is not None and found.size == stored.size
            if whole and not anew and (stored.sha256 in named or (found is not None and found.modified > young)):
                continue
            if path.exists():
                missing.append((path, stored, packed))
            elif not whole:
                raise CatalogError(ErrorCode.CATALOG_REFUSED, f"{path.name} is neither built nor a part of {self._catalog}")
        with ThreadPoolExecutor(SIDE_BY_SIDE, thread_name_prefix="parts") as pool:
            sent = sum(pool.map(lambda one: self._send(*one), missing))
        self._tell(manifest, "sent", len(missing), sent, len(objects))

    def _send(self, path: Path, stored: StoredObject, packed: bool) -> int:
        key = layout.part(self._catalog, stored.sha256)
        with TemporaryDirectory(dir=path.parent) as aside:
            own = Path(aside) / path.name if packed else path
            if packed and not (pack(path, own) and stored_as(own) == stored):
                raise CatalogError(
                    ErrorCode.CATALOG_REFUSED,
                    f"{path.name} is no longer packed as it was when {self._catalog} was built upon it",
                    remedy="Sync once with `packsight catalog sync --force`, which builds and packs everything anew.",
                )
            self._store.upload(key, str(own))
        if (size := self._store.size(key)) != stored.size:
            raise CatalogError(ErrorCode.CATALOG_REFUSED, f"{path.name} arrived with {size} of {stored.size} bytes")
        return size

    def bring(
        self, folder: Path, manifest: Manifest, keys: Mapping[str, str], copies: Mapping[str, Path], parent: Path | None
    ) -> None:
        """Bring files of a version into a folder, checked.

        keys: where each lies in object storage. copies: marked files of this host by their hash. parent: folder of the version's
        parent, where this host has it: what is much like its files is made of them. Raises CatalogError for one that is damaged,
        StorageError for one that does not come, or too slowly.
        """
        missing = [name for name in keys if not _linked(copies, manifest.files[name], folder / name)]
        before = None if parent is None else ParentFiles(parent, folder)

        def fetch(name: str) -> int:
            entry, path = manifest.files[name], folder / name
            came = entry.patch if before is not None and before.has(name) else None
            if came is None or before is None or not self._make(path, entry, came, before, manifest.version):
                came = entry.stored
                self._fetch(keys[name], path, entry, manifest.version)
            mark(path)
            return came.size

        with ThreadPoolExecutor(SIDE_BY_SIDE, thread_name_prefix="parts") as pool:
            fetched = sum(pool.map(fetch, [name for name in missing if name in NUMBERED]))
            fetched += sum(pool.map(fetch, [name for name in missing if name not in NUMBERED]))
        self._tell(manifest, "fetched", len(missing), fetched, len(keys))

    def _fetch(self, key: str, path: Path, entry: FileEntry, version: str) -> None:
        own = path.with_name(f".{path.name}") if entry.packed else path
        self._download(key, own, entry.stored)
        if entry.packed:
            with suppress(ValueError):  # what is written then is not what the manifest says
                unpack(own, path, entry.size)
            own.unlink()
        verify_file(path, entry, version)

    def _make(self, path: Path, entry: FileEntry, patch: StoredObject, parent: ParentFiles, version: str) -> bool:
        """Make a file of the parent's; False, with nothing written, where that does not succeed: it comes whole then."""
        own = path.with_name(f".{path.name}")
        try:
            self._download(layout.part(self._catalog, patch.sha256), own, patch)
            apply_patch(own, path, entry.size, parent)
            verify_file(path, entry, version)
        except (CatalogError, StorageError, OSError, ValueError) as error:
            log.warning("%s of version %s cannot be made of its parent's and is brought whole: %s", path.name, version, error)
            path.unlink(missing_ok=True)
            return False
        finally:
            own.unlink(missing_ok=True)
        return True

    def _download(self, key: str, path: Path, stored: StoredObject) -> None:
        with deadline.within(PATIENCE + stored.size / SLOWEST):
            self._store.download(key, path, limit=stored.size, tagged=False)

    def _tell(self, manifest: Manifest, done: str, count: int, size: int, of: int) -> None:
        text = "version %s of %s: %d of %d parts %s, %d bytes"
        log.info(text, manifest.version, self._catalog, count, of, done, size, extra={"action": f"parts_{done}"})


def _linked(copies: Mapping[str, Path], entry: FileEntry, path: Path) -> bool:
    """Give a marked copy a further name; False where there is none, or the disk knows no links."""
    copy = copies.get(entry.sha256)
    with suppress(OSError):
        if copy is not None and is_marked(copy) and copy.stat().st_size == entry.size:
            os.link(copy, path)
            return True
    return False


def mark(path: Path) -> None:
    """Say of a file that it was checked just now."""
    path.chmod(_READ_ONLY)
    os.utime(path, ns=(_MARK_NS, _MARK_NS))


def is_marked(path: Path) -> bool:
    """Whether a file was checked when it came and not written since; raises OSError."""
    return path.stat().st_mtime_ns == _MARK_NS


def verify(folder: Path) -> Manifest:
    """Check what of a version bears no mark against its manifest; raises CatalogError on the first difference."""
    manifest = read_manifest((folder / MANIFEST).read_bytes(), folder.name)
    unmarked = [name for name in manifest.files if not (folder / name).exists() or not is_marked(folder / name)]
    verify_files(folder, manifest, unmarked)
    return manifest
