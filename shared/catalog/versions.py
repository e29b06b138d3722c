"""Catalog versions in object storage: immutable, hashed, named by one pointer that is compared and set.

    catalogs/<name>/versions/<version>/<file>     written once; manifest.json last
    catalogs/<name>/CURRENT.json                  which version each recipe is served, overwritten only with If-Match
    catalogs/<name>/CURRENT                       the same for workers of releases that knew no recipes: read, never written

A version is made for one recipe (packsight.shared.catalog.recipe), and the pointer names one version for each: workers that
differ in what they decide with, as they do during an upgrade, are each served their own.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from packsight.shared.catalog.manifest import MANIFEST, Manifest, PlainName, read_manifest, verify_files
from packsight.shared.catalog.recipe import Recipe
from packsight.shared.contract.errors import CatalogError, ErrorCode, PacksightError
from packsight.shared.contract.messages import CATALOG_NAME
from packsight.shared.storage import layout
from packsight.shared.storage.objects import ObjectStore


class _Pointer(BaseModel):
    """Content of CURRENT.json, and, without `versions`, of CURRENT."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    version: PlainName
    versions: dict[str, PlainName] = Field(default_factory=dict)
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class Current:
    """The pointer with the tag for its conditional overwrite."""

    version: str
    """The one that was pointed at last: what is meant where nobody names a recipe."""
    versions: Mapping[str, str]
    """By key of the recipe; empty while only older releases have published."""
    etag: str | None
    """None: there is no pointer of this release yet."""

    def version_for(self, recipe: Recipe) -> str | None:
        """Version that workers of this recipe serve; None when there is none for them."""
        return self.versions.get(recipe.key)


class CatalogStore:
    """The versions of one catalog in object storage."""

    def __init__(self, store: ObjectStore, name: str) -> None:
        self._store = store
        self.name = name

    def current(self) -> Current | None:
        """Read the pointer; None when nothing was ever published."""
        found = self._pointer(layout.pointer(self.name))
        if found is not None:
            return Current(found[0].version, found[0].versions, found[1])
        former = self.former()
        return None if former is None else Current(former, {}, None)

    def former(self) -> str | None:
        """Version that workers of releases without recipes serve; None when none ever published here."""
        found = self._pointer(layout.former_pointer(self.name))
        return None if found is None else found[0].version

    def served(self) -> set[str]:
        """Versions that any worker is pointed at, those of releases without recipes included."""
        current, former = self.current(), self.former()
        named = {*current.versions.values(), current.version} if current is not None else set()
        return named | ({former} if former is not None else set())

    def _pointer(self, key: str) -> tuple[_Pointer, str] | None:
        try:
            blob = self._store.read(key)
        except PacksightError as error:
            if error.code in {ErrorCode.OBJECT_MISSING, ErrorCode.BUCKET_MISSING}:
                return None
            raise
        try:
            return _Pointer.model_validate_json(blob.data), blob.etag
        except ValidationError:
            raise CatalogError(
                ErrorCode.CATALOG_REFUSED,
                f"The pointer {key} is not readable",
                remedy="Run the release that wrote it, or remove the object and sync the catalog again.",
            ) from None

    def manifest(self, version: str) -> Manifest:
        """Read the manifest of a version; raises CatalogError when there is none."""
        try:
            blob = self._store.read(layout.version(self.name, version, MANIFEST))
        except PacksightError as error:
            if error.code is not ErrorCode.OBJECT_MISSING:
                raise
            raise CatalogError(
                ErrorCode.CATALOG_MISSING,
                f"Catalog {self.name} has no version {version}",
                remedy=f"`packsight catalog versions --catalog {self.name}` lists those there are.",
                retryable=False,
            ) from None
        manifest = read_manifest(blob.data, version)
        if manifest.version != version:
            text = f"The manifest of version {version} of {self.name} is that of {manifest.version}"
            raise CatalogError(ErrorCode.CATALOG_REFUSED, text)
        return manifest

    def versions(self) -> list[Manifest]:
        """Manifests of all whole versions, oldest first; a version without a manifest is unfinished and left out."""
        return [
            self.manifest(key.split("/")[-2])
            for key in self._store.list(layout.versions(self.name))
            if key.endswith("/" + MANIFEST)
        ]

    def upload(self, folder: Path) -> None:
        """Upload a sealed version, manifest last, and check that every file arrived whole."""
        manifest = read_manifest((folder / MANIFEST).read_bytes(), folder.name)
        prefix = layout.version(self.name, manifest.version)
        for name, entry in manifest.files.items():
            self._store.upload(prefix + name, str(folder / name))
            if (size := self._store.size(prefix + name)) != entry.size:
                raise CatalogError(ErrorCode.CATALOG_REFUSED, f"{name} arrived with {size} of {entry.size} bytes")
        self._store.upload(prefix + MANIFEST, str(folder / MANIFEST))

    def point(self, *versions: str, expected: Current | None) -> None:
        """Let the pointer name these versions, each for its recipe, if it still is what the caller saw.

        What it names for other recipes stays. Raises Conflict when another publisher won, CatalogError for a version that
        is not there or that this release does not read.
        """
        manifests = [self.manifest(version) for version in versions]
        for manifest in manifests:
            manifest.require_format()
        before = {} if expected is None else expected.versions
        named = {**before, **{manifest.recipe.key: manifest.version for manifest in manifests}}
        self._point(max(versions), named, expected)

    def drop(self, recipes: Collection[str], *, expected: Current) -> None:
        """Let the pointer name nothing for these recipe keys, if it still is what the caller saw; raises Conflict."""
        named = {key: version for key, version in expected.versions.items() if key not in recipes}
        self._point(expected.version, named, expected)

    def drop_former(self) -> None:
        """Remove the pointer of releases without recipes, when no worker of theirs is left."""
        self._store.remove(layout.former_pointer(self.name))

    def _point(self, version: str, versions: Mapping[str, str], expected: Current | None) -> None:
        pointer = _Pointer(version=version, versions=dict(versions), changed_at=datetime.now(UTC))
        self._store.replace(
            layout.pointer(self.name),
            pointer.model_dump_json(indent=1).encode(),
            etag=None if expected is None else expected.etag,
        )

    def download(self, version: str, folder: Path) -> Path:
        """Bring a version to `folder/<version>`: to a temporary folder, hashes checked, then renamed into place."""
        target = folder / version
        if (target / MANIFEST).exists():
            return target
        folder.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{version}-", dir=folder))
        try:
            manifest = self.manifest(version)
            self.fetch(manifest, part, manifest.files)
            (part / MANIFEST).write_text(manifest.model_dump_json(indent=1))
            try:
                part.rename(target)
            except OSError:
                if not (target / MANIFEST).exists():  # another process of this host was faster: its copy is as good
                    raise
        finally:
            shutil.rmtree(part, ignore_errors=True)
        return target

    def fetch(self, manifest: Manifest, folder: Path, names: Collection[str]) -> None:
        """Bring some files of a version, of whatever format, into a folder; raises CatalogError for one that is damaged."""
        if missing := sorted(set(names) - manifest.files.keys()):
            text = f"Version {manifest.version} of {self.name} has no {', '.join(missing)}"
            raise CatalogError(ErrorCode.CATALOG_REFUSED, text)
        for name in names:
            self._store.download(layout.version(self.name, manifest.version, name), str(folder / name))
        verify_files(folder, manifest, names)

    def remove(self, version: str) -> None:
        """Remove a version, manifest first, so that no reader meets half of one."""
        prefix = layout.version(self.name, version)
        self._store.remove(prefix + MANIFEST)
        for key in list(self._store.list(prefix)):
            self._store.remove(key)

    def unfinished(self) -> list[str]:
        """Versions without a manifest: uploads that never ended."""
        seen: dict[str, bool] = {}
        for key in self._store.list(layout.versions(self.name)):
            version = key.removeprefix(layout.versions(self.name)).split("/")[0]
            seen[version] = seen.get(version, False) or key.endswith("/" + MANIFEST)
        return [version for version, whole in seen.items() if not whole]


def catalog_names(store: ObjectStore) -> Iterator[str]:
    """Names of all catalogs that object storage holds; what has no name of a catalog is none."""
    for prefix in store.list(layout.CATALOGS, recursive=False):
        name = prefix.removeprefix(layout.CATALOGS).strip("/")
        if re.fullmatch(CATALOG_NAME, name):
            yield name
