"""What the parent and the children of a host agree on in files: which recipes need versions, which versions are here.

    recipes/<recipe>.json                      written by children, touched while they live
    replica/<catalog>/CURRENT.<recipe>.json    written by the replica: the version to serve, or why there is none
    replica/<catalog>/versions/<version>/…     downloaded and checked
    replica/<catalog>/CURRENT                  the pointer of workers of older releases that share this folder

Workers of several recipes may share a folder: each has pointers of its own.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from packsight.shared.catalog.canary import Canary
from packsight.shared.catalog.manifest import MANIFEST
from packsight.shared.catalog.recipe import Recipe
from packsight.shared.storage.files import write_whole

FORGOTTEN = 24 * 3600.0
"""Seconds without a child after which a recipe is no longer followed: a worker that starts again finds its versions here."""


class LocalPointer(BaseModel):
    """The version to serve, or why there is none."""

    model_config = ConfigDict(frozen=True)

    version: str = ""
    canary: Canary | None = None
    """What a share of the messages is answered from instead, if it is here too."""
    key: str = ""
    """Name of the key that signed the pointer which led here; empty when signatures were not asked for."""
    refusal: str = ""
    """A sentence for people, set when `version` is empty."""
    remedy: str = ""
    deleted: bool = False
    """Whether the catalog was deleted, so that nobody is to answer from what there was of it."""

    @property
    def alone(self) -> LocalPointer:
        """The same without its canary."""
        return self.model_copy(update={"canary": None})

    @property
    def versions(self) -> tuple[str, ...]:
        """All that it names."""
        return (self.version, *((self.canary.version,) if self.canary is not None else ()))


def follow(home: Path, recipe: Recipe) -> None:
    """Ask the replica of this host for versions of a recipe; to be repeated while there is a child with it."""
    file = _recipes(home) / f"{recipe.key}.json"
    try:
        os.utime(file)
    except FileNotFoundError:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, recipe.model_dump_json())


def followed(home: Path) -> list[Recipe]:
    """Recipes that this host needs versions of; what was not asked for in a long time is forgotten with its pointers."""
    found = []
    for file in sorted(_recipes(home).glob("*.json")):
        if time.time() - file.stat().st_mtime < FORGOTTEN:
            with suppress(ValidationError):  # of a damaged one, which its children write anew
                found.append(Recipe.model_validate_json(file.read_bytes()))
                continue
            file.unlink(missing_ok=True)
        else:
            for pointer in (home / "replica").glob(f"*/CURRENT.{file.stem}.json"):
                pointer.unlink(missing_ok=True)
            file.unlink(missing_ok=True)
    return found


def versions_folder(home: Path, catalog: str) -> Path:
    """Folder of the versions of a catalog that are on this host."""
    return home / "replica" / catalog / "versions"


def write_local_pointer(home: Path, catalog: str, recipe: Recipe, pointer: LocalPointer) -> None:
    """Let the children of a recipe take up a version that has been downloaded and checked, or tell them that there is none."""
    file = _pointer(home, catalog, recipe)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(file, pointer.model_dump_json())


def read_local_pointer(home: Path, catalog: str, recipe: Recipe) -> LocalPointer | None:
    """What children of this recipe should serve; None when nothing has arrived."""
    try:
        pointer = _read(_pointer(home, catalog, recipe))
    except (FileNotFoundError, ValidationError):
        return None  # the replica writes a damaged one anew
    if pointer.version and not _is_here(home, catalog, pointer.version):
        return None
    if pointer.canary is not None and not _is_here(home, catalog, pointer.canary.version):
        return pointer.model_copy(update={"canary": None})
    return pointer


def _is_here(home: Path, catalog: str, version: str) -> bool:
    return (versions_folder(home, catalog) / version / MANIFEST).exists()


def arrived(home: Path, recipe: Recipe) -> list[str]:
    """Names of the catalogs of which this host has a version for this recipe, or knows that there is none."""
    return sorted(file.parent.name for file in (home / "replica").glob(f"*/CURRENT.{recipe.key}.json"))


def stamps(home: Path, recipe: Recipe) -> dict[str, tuple[int, int]]:
    """Of each catalog, what tells this recipe's pointer from one that was written before it: for a glance, without reading it."""
    found, file = dict[str, tuple[int, int]](), f"CURRENT.{recipe.key}.json"
    with suppress(OSError), os.scandir(home / "replica") as catalogs:
        for catalog in catalogs:
            with suppress(OSError):
                pointer = os.stat(f"{catalog.path}/{file}")  # noqa: PTH116 - many times a second, for which a Path is dear
                found[catalog.name] = pointer.st_ino, pointer.st_mtime_ns
    return found


def served_versions(home: Path, catalog: str) -> Iterator[str]:
    """Versions of a catalog that any pointer of this host names."""
    folder = home / "replica" / catalog
    for file in [*folder.glob("CURRENT.*.json"), *folder.glob("CURRENT")]:
        yield from _read(file).versions


def held(home: Path) -> list[str]:
    """Names of the catalogs of which this host has something to give up: files, or a pointer that does not say so already."""
    told = {file.parent.name for file in _pointers(home) if not _says_deleted(file)}
    return sorted(told | {file.parent.parent.name for file in (home / "replica").glob("*/versions/*")})


def give_up(home: Path, catalog: str) -> None:
    """Remove what this host has of a catalog that was deleted, then have the children forget it: the end of it comes last."""
    shutil.rmtree(versions_folder(home, catalog), ignore_errors=True)  # what is mapped survives it
    drop_former(home, catalog)
    told = LocalPointer(refusal=f"Catalog {catalog} was deleted", deleted=True).model_dump_json()
    for file in (file for file in _pointers(home) if file.parent.name == catalog):
        write_whole(file, told)


def drop_former(home: Path, catalog: str) -> None:
    """Forget what workers of older releases served here."""
    (home / "replica" / catalog / "CURRENT").unlink(missing_ok=True)


def _pointers(home: Path) -> list[Path]:
    return list((home / "replica").glob("*/CURRENT.*.json"))


def _says_deleted(file: Path) -> bool:
    try:
        return _read(file).deleted
    except (FileNotFoundError, ValidationError):
        return False


def _read(file: Path) -> LocalPointer:
    return LocalPointer.model_validate_json(file.read_bytes())


def _pointer(home: Path, catalog: str, recipe: Recipe) -> Path:
    return home / "replica" / catalog / f"CURRENT.{recipe.key}.json"


def _recipes(home: Path) -> Path:
    return home / "recipes"
