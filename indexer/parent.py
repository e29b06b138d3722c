"""What is published already: the rows that a sync starts from, and what each recipe is served."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from packsight.indexer.build.fingerprint import fit_fingerprint
from packsight.indexer.plan import Rows
from packsight.shared.catalog.decision_model import Model
from packsight.shared.catalog.manifest import Manifest
from packsight.shared.catalog.recipe import Recipe
from packsight.shared.catalog.tables import published_rows
from packsight.shared.catalog.versions import CatalogStore

_MODEL = "model.json"


@dataclass(frozen=True, slots=True)
class Parent:
    """A published version, of whatever format, as far as a new one follows from it."""

    manifest: Manifest
    rows: Rows
    model: Model | None
    """Its weights; None when it is of another matching, where they would mean something else."""


@dataclass(frozen=True, slots=True)
class Target:
    """A recipe that living workers answer with, and the version that comes before the next one for it."""

    recipe: Recipe
    parent: Parent | None

    def is_served(self, rows: Rows) -> bool:
        """Tell whether the version that this recipe has holds the same and was fitted in the same way."""
        return (
            self.parent is not None
            and self.parent.manifest.recipe == self.recipe
            and self.parent.manifest.fit == fit_fingerprint()
            and rows.same_content(self.parent.rows)
        )

    @property
    def described(self) -> frozenset[str]:
        """Photos that surely have features of this recipe: those of a version with the same parts."""
        if self.parent is None or self.parent.manifest.recipe.parts != self.recipe.parts:
            return frozenset()
        return frozenset(photo.sha256 for photo in self.parent.rows.photos)


def read_parent(catalogs: CatalogStore, version: str, matching: str) -> Parent:
    """Read what a new version needs of a published one; raises CatalogError when it is damaged or not there."""
    manifest = catalogs.manifest(version)
    rows = Rows(*published_rows(catalogs, version))
    if manifest.matching != matching:
        return Parent(manifest, rows, None)
    with TemporaryDirectory() as folder:
        catalogs.fetch(manifest, Path(folder), (_MODEL,))
        return Parent(manifest, rows, Model.model_validate_json(Path(folder, _MODEL).read_bytes()))
