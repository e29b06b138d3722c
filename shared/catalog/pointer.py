"""What a catalog's pointer says: which version each recipe is served, which one is tried, and what is to stay as it is.

Values alone: how they are read, signed and compared and set is told in packsight.shared.catalog.versions.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from packsight.shared.catalog.canary import Canary
from packsight.shared.catalog.hold import Hold
from packsight.shared.catalog.manifest import Manifest, PlainName
from packsight.shared.catalog.recipe import Recipe
from packsight.shared.catalog.signatures import Document
from packsight.shared.contract.errors import CatalogError, ErrorCode

WRITE_ANEW = (
    "Write it anew by `packsight catalog rollback VERSION` (`packsight catalog versions` lists them) or `packsight catalog sync "
    "--force`, and look who can write the bucket."
)


class Pointer(BaseModel):
    """Content of CURRENT.json, and, without `versions`, of CURRENT."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    catalog: str = ""
    """Empty in one that was written before pointers were signed."""
    version: PlainName
    versions: dict[str, PlainName] = Field(default_factory=dict)
    """By key of the recipe, which is a hash of its fingerprints."""
    canaries: dict[str, Canary] = Field(default_factory=dict)
    """By key of the recipe, which has a version too."""
    holds: dict[str, Hold] = Field(default_factory=dict)
    """By key of the recipe, which has a version too."""
    changed_at: AwareDatetime
    """Later than in every pointer before: by this an old one that was put back is told."""

    @classmethod
    def parse(cls, body: bytes, key: str) -> Pointer:
        """Read what lies under a key; raises CatalogError when that is not readable."""
        try:
            return cls.model_validate_json(body)
        except ValidationError:
            raise CatalogError(
                ErrorCode.CATALOG_REFUSED,
                f"The pointer {key} is not readable",
                remedy=f"Run the release that wrote it. Else: {WRITE_ANEW}",
            ) from None

    def seen(self, etag: str | None, key: str = "") -> Current:
        """What it says, with the tag under which it was found, and the name of the key by which it was checked."""
        return Current(self.version, self.versions, etag, self.changed_at, key, self.canaries, self.holds)


@dataclass(frozen=True, slots=True)
class Current:
    """The pointer with the tag for its conditional overwrite; what is to be overwritten is such a value that was changed."""

    version: str
    """The one that was pointed at last: what is meant where nobody names a recipe."""
    versions: Mapping[str, str]
    """By key of the recipe; empty while only older releases have published."""
    etag: str | None
    """None: there is no pointer of this release yet."""
    changed_at: datetime | None = None
    """As it says itself; None for a pointer of older releases, and for one that is not believed."""
    key: str = ""
    """Name of the key by which it was checked; empty where nothing is."""
    canaries: Mapping[str, Canary] = field(default_factory=dict)
    """By key of the recipe."""
    holds: Mapping[str, Hold] = field(default_factory=dict)
    """By key of the recipe; no sync publishes in its place."""

    def version_for(self, recipe: Recipe) -> str | None:
        """Version that workers of this recipe serve; None when there is none for them."""
        return self.versions.get(recipe.key)

    def canary_for(self, recipe: Recipe) -> Canary | None:
        """Version that workers of this recipe answer a share of the messages from."""
        return self.canaries.get(recipe.key)

    def served(self) -> frozenset[str]:
        """Versions that any worker is pointed at, canaries included."""
        return _named(self.version, self.versions, self.canaries)

    def naming(self, manifests: Iterable[Manifest], *, share: float = 0.0, hold: bool = False) -> Current:
        """The same with these versions, each for its recipe, as CatalogStore.point says."""
        last, versions, canaries, holds = self.version, dict(self.versions), dict(self.canaries), dict(self.holds)
        for manifest in sorted(manifests, key=lambda one: one.version):
            key = manifest.recipe.key
            if share and key in versions:
                canaries[key] = Canary(version=manifest.version, share=share)
                continue
            before = holds.pop(key, None)
            latest = max(versions.get(key, ""), before.gone_back_from if before is not None else "")
            if hold and manifest.version < latest:
                since = before.since if before is not None else datetime.now(UTC)
                holds[key] = Hold(gone_back_from=latest, since=since)
            last = versions[key] = manifest.version
            canaries.pop(key, None)
        return replace(self, version=last, versions=versions, canaries=canaries, holds=holds)

    def without(self, recipes: Collection[str]) -> Current:
        """The same with nothing for these recipe keys."""
        versions = {key: version for key, version in self.versions.items() if key not in recipes}
        canaries = {key: self.canaries[key] for key in self.canaries.keys() & versions}
        holds = {key: self.holds[key] for key in self.holds.keys() & versions}
        return replace(self, versions=versions, canaries=canaries, holds=holds)

    def written(self, catalog: str, changed_at: datetime) -> Pointer:
        """What to write for it."""
        return Pointer(
            catalog=catalog, version=self.version, versions=dict(self.versions), canaries=dict(self.canaries),
            holds=dict(self.holds), changed_at=changed_at,
        )  # fmt: skip


def pointed_at(data: bytes, key: str) -> frozenset[str]:
    """Versions that a pointer names, whoever signed it, canaries included; raises CatalogError for one that is not readable."""
    pointer = Pointer.parse(Document.split(data).body, key)
    return _named(pointer.version, pointer.versions, pointer.canaries)


def _named(version: str, versions: Mapping[str, str], canaries: Mapping[str, Canary]) -> frozenset[str]:
    return frozenset({version, *versions.values(), *(canary.version for canary in canaries.values())})
