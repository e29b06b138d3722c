"""What is published already: the version that a sync starts from, and what each recipe is served."""

from __future__ import annotations

from dataclasses import dataclass

from packsight.indexer.state import resolution
from packsight.indexer.state.database import State
from packsight.indexer.state.published import mirror
from packsight.indexer.state.resolution import ProductRows
from packsight.shared.catalog.manifest import Manifest
from packsight.shared.catalog.recipe import Recipe
from packsight.shared.catalog.shown import matched
from packsight.shared.catalog.tables import published_matched
from packsight.shared.catalog.versions import CatalogStore


@dataclass(frozen=True, slots=True)
class Parent:
    """A published version, of whatever format, as far as a new one follows from it."""

    manifest: Manifest
    number: int
    """Of its rows in the state."""


@dataclass(frozen=True, slots=True)
class Target:
    """A recipe that living workers answer with, and the version that comes before the next one for it."""

    recipe: Recipe
    parent: Parent | None

    def is_served(self, state: State, fit: str) -> bool:
        """Tell whether the version that this recipe has holds what is resolved and was fitted in this way."""
        if self.parent is None or not self.is_own or self.parent.manifest.fit != fit:
            return False
        return resolution.same_rows(state, self.parent.number)

    def is_matched_alike(self, state: State, catalogs: CatalogStore, fit: str) -> bool:
        """Tell whether the version that this recipe has differs in what is shown of its products at most."""
        parent = self.parent
        if parent is None or not self.is_own or parent.manifest.fit != fit or not parent.manifest.has_parts:
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
