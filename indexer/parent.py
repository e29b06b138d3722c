"""What is published already: the rows that a sync starts from, and what each recipe is served."""

from __future__ import annotations

from dataclasses import dataclass

from packsight.indexer.plan import Rows
from packsight.shared.catalog.manifest import Manifest
from packsight.shared.catalog.recipe import Recipe
from packsight.shared.catalog.tables import published_rows
from packsight.shared.catalog.versions import CatalogStore


@dataclass(frozen=True, slots=True)
class Parent:
    """A published version, of whatever format, as far as a new one follows from it."""

    manifest: Manifest
    rows: Rows


@dataclass(frozen=True, slots=True)
class Target:
    """A recipe that living workers answer with, and the version that comes before the next one for it."""

    recipe: Recipe
    parent: Parent | None

    def is_served(self, rows: Rows, fit: str) -> bool:
        """Tell whether the version that this recipe has holds the same and was fitted in this way."""
        return (
            self.parent is not None
            and self.parent.manifest.recipe == self.recipe
            and self.parent.manifest.fit == fit
            and rows.same_content(self.parent.rows)
        )

    def is_matched_alike(self, rows: Rows, fit: str) -> bool:
        """Tell whether the version that this recipe has differs in what is shown of its products at most."""
        return (
            self.parent is not None
            and self.parent.manifest.has_parts
            and self.parent.manifest.recipe == self.recipe
            and self.parent.manifest.fit == fit
            and rows.matched_alike(self.parent.rows)
        )

    @property
    def described(self) -> frozenset[str]:
        """Photos that surely have features of this recipe: those of a version with the same parts."""
        if self.parent is None or self.parent.manifest.recipe.parts != self.recipe.parts:
            return frozenset()
        return frozenset(photo.sha256 for photo in self.parent.rows.photos)


def read_parent(catalogs: CatalogStore, version: str) -> Parent:
    """Read what a new version needs of a published one; raises CatalogError when it is damaged or not there."""
    return Parent(catalogs.manifest(version), Rows(*published_rows(catalogs, version)))
