"""What is published already: the version that a sync starts from, and what each recipe is served."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

from packsight.indexer.state import resolution
from packsight.indexer.state.database import State
from packsight.indexer.state.published import mirror
from packsight.indexer.state.resolution import NO_VERSION, ProductRows
from packsight.shared.catalog.manifest import FORMAT, PATCHES, Manifest
from packsight.shared.catalog.parts import mark
from packsight.shared.catalog.recipe import Recipe
from packsight.shared.catalog.shown import matched
from packsight.shared.catalog.tables import published_matched
from packsight.shared.catalog.versions import CatalogStore
from packsight.shared.contract.errors import CatalogError

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Parent:
    """A published version, of whatever format, as far as a new one follows from it."""

    manifest: Manifest
    number: int
    """Of its rows in the state."""
    folder: Path | None = None
    """Where its files are, checked; None where they are not at hand."""


@dataclass(frozen=True, slots=True)
class Target:
    """A recipe that living workers answer with, and the version that comes before the next one for it."""

    recipe: Recipe
    parent: Parent | None

    def is_served(self, state: State, fit: str) -> bool:
        """Tell whether the version that this recipe has holds what is resolved, and is made and fitted as one would be now."""
        parent = self.parent
        if parent is None or not self.is_own or parent.manifest.fit != fit or parent.manifest.format != FORMAT:
            return False
        return resolution.same_rows(state, parent.number)

    def is_matched_alike(self, state: State, catalogs: CatalogStore, fit: str) -> bool:
        """Tell whether the version that this recipe has differs in what is shown of its products at most."""
        parent = self.parent
        if parent is None or not self.is_own or parent.manifest.fit != fit or parent.manifest.format != FORMAT:
            return False
        changed = resolution.changed_products(state, parent.number)
        if changed is None or not resolution.same_photos(state, parent.number):
            return False
        before = published_matched(catalogs, parent.manifest, changed)
        return {row.id: matched(row) for row in ProductRows(state).named(changed)} == before

    @property
    def version(self) -> str:
        """Name of the version before; empty without one."""
        return self.parent.manifest.version if self.parent is not None else ""

    @property
    def before(self) -> int:
        """Number of the version before, in the state; NO_VERSION without one."""
        return self.parent.number if self.parent is not None else NO_VERSION

    @property
    def is_own(self) -> bool:
        """Whether the version before is of this very recipe."""
        return self.parent is not None and self.parent.manifest.recipe == self.recipe

    @property
    def described(self) -> int | None:
        """Number of a version whose photos surely have features of this recipe: one with the same parts."""
        if self.parent is None or self.parent.manifest.recipe.parts != self.recipe.parts:
            return None
        return self.parent.number


def read_parent(state: State, catalogs: CatalogStore, version: str, feed: str) -> Parent:
    """Read what a new version needs of a published one; raises CatalogError when it is damaged or not there."""
    return Parent(catalogs.manifest(version), mirror(state, catalogs, version, feed))


def brought(target: Target, catalogs: CatalogStore, home: Path, kept: Collection[str]) -> Parent | None:
    """The version before with its files, to be built upon; of those in `home` all that are not to be kept go.

    What this host lacks is fetched, as a worker's would. A version of an older release or of other features has no rows that
    could be used, and one that is damaged is not trusted: it stays without files, so that all is written anew.
    """
    parent = target.parent
    if parent is None or parent.manifest.format != FORMAT or parent.manifest.recipe.parts != target.recipe.parts:
        return parent
    try:
        folder = catalogs.download(parent.manifest.version, home)
    except CatalogError as error:
        log.warning("version %s is not built upon: %s", parent.manifest.version, error)
        return parent
    for other in home.iterdir():
        if other.name not in kept:
            shutil.rmtree(other, ignore_errors=True)
    return replace(parent, folder=folder)


def keep_built(folder: Path, manifest: Manifest, home: Path) -> None:
    """Keep a version that was built, checked and published, so that it need not be fetched to be built upon.

    One whose files are not all there is not kept: what it lacks is on this host already.
    """
    target = home / manifest.version
    if target.exists() or not all((folder / name).exists() for name in manifest.files):
        return
    home.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(folder / PATCHES, ignore_errors=True)
    for name in manifest.files:
        mark(folder / name)
    folder.rename(target)

