"""Whether a backup's catalogs are whole: what pointers name is there, with manifests that are believed and all of their files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from packsight.deploy.backup.folder import BackupFolder, Copied
from packsight.shared.catalog.manifest import MANIFEST, read_manifest
from packsight.shared.catalog.pointer import pointed_at
from packsight.shared.catalog.signatures import Document, Keyring, Kind
from packsight.shared.contract.errors import CatalogError
from packsight.shared.storage import layout

POINTERS = ("/CURRENT.json", "/CURRENT")


def is_pointer(key: str) -> bool:
    """Whether an object names the versions that are served."""
    return key.startswith(layout.CATALOGS) and key.count("/") == 2 and key.endswith(POINTERS)


def is_manifest(key: str) -> bool:
    """Whether an object makes a whole of a version."""
    return key.startswith(layout.CATALOGS) and key.endswith(f"/{MANIFEST}")


def faults(folder: BackupFolder, copies: Iterable[Copied], keyring: Keyring) -> Iterator[str]:
    """What is missing of catalogs, or not believed, a sentence each; that the contents are what their names say is not asked."""
    by_key = {one.key: one for one in copies if one.key.startswith(layout.CATALOGS)}
    for key, one in by_key.items():
        if not is_pointer(key):
            continue
        if not folder.holds(one):
            yield _lost(folder, one)
            continue
        catalog, data = key.split("/")[1], folder.place(one.sha256).read_bytes()
        try:
            if key == layout.pointer(catalog):
                keyring.check(Kind.POINTER, Document.split(data), f"The pointer of catalog {catalog}")
            for version in sorted(pointed_at(data, key)):
                yield from _of_version(folder, by_key, catalog, version, keyring)
        except CatalogError as error:
            yield f"{error.message}. {error.remedy}".rstrip(".")


def _lost(folder: BackupFolder, one: Copied) -> str:
    return f"{one.key} is damaged or missing in {folder.root}. Restore an earlier backup: `--at NAME`"


def _of_version(
    folder: BackupFolder, by_key: Mapping[str, Copied], catalog: str, version: str, keyring: Keyring
) -> Iterator[str]:
    name = f"version {version} of {catalog}"
    found = by_key.get(layout.version(catalog, version, MANIFEST))
    if found is None:
        yield f"The pointer of catalog {catalog} names {version}, which is not there"
        return
    if not folder.holds(found):
        yield _lost(folder, found)
        return
    document = Document.split(folder.place(found.sha256).read_bytes())
    manifest = read_manifest(document.body, version)
    if not manifest.is_former:
        keyring.check(Kind.MANIFEST, document, f"The manifest of {name}")
    for file, entry in manifest.files.items():  # without a patch a host brings the whole
        own = layout.version(catalog, version, file) if manifest.is_former else layout.part(catalog, entry.stored.sha256)
        if own not in by_key:
            yield f"{file} of {name} is not there"
        elif by_key[own].sha256 != entry.stored.sha256:
            yield f"{file} of {name} is not what its manifest says"
