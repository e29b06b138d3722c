"""What a version is made of: its rows, and the manifest that names and hashes its files."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from packsight.shared.catalog.packing import pack
from packsight.shared.catalog.patches import ParentFiles, write_patch
from packsight.shared.catalog.recipe import Recipe
from packsight.shared.contract.errors import CatalogError, ErrorCode
from packsight.shared.contract.messages import CATALOG_NAME
from packsight.shared.storage import layout
from packsight.shared.storage.files import hash_file

FORMAT = 8
"""Of the versions that this release makes and serves."""
_FORMER = 4
"""The last format whose versions have their files below their own prefix."""
PlainName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
"""Of a version: what becomes a path on the workers' disks leads nowhere else."""
FileName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_.]{0,60}\.(arrow|faiss|json|lists|npy)$")]
"""Of a file of a version; the format has parts of these kinds, none of which is code or holds further files."""
SegmentName = Annotated[str, StringConstraints(pattern=r"^s[0-9]{4,9}$")]
"""Of a segment: what the names of its files begin with."""
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
MANIFEST = layout.MANIFEST
PATCHES = "patches"
"""Folder in that of a version that was built which has its patches, by the names of the files that they make."""
_PATCHED = 4096
"""Bytes in which a file comes below which no patch is made of it."""
_LESS = 0.5
"""Share of these bytes that a patch has at most: it is one more object to send and to keep."""
_TICK = timedelta(microseconds=256)
"""By which names of versions tell times."""


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ProductRow(_Row):
    """A product of the shop's feed."""

    id: str
    name: str
    vendor: str = ""
    model: str = ""
    type_prefix: str = ""
    vendor_code: str = ""
    url: str = ""
    price: str = ""
    old_price: str = ""
    currency: str = ""
    category: str = ""
    description: str = ""
    barcodes: tuple[str, ...] = ()
    picture: str = ""
    """Main picture as the feed names it."""


class PhotoRow(_Row):
    """A catalog photo: which product it shows, where it came from, where its bytes are."""

    product_id: str
    sha256: str
    source: str
    """The picture's address in the feed, or the extra photo's path; what a changed picture is told by."""
    extra: bool = False
    """True for photos of the extra folder."""
    etag: str = ""
    """Validator of the source (HTTP ETag, Last-Modified, or size and time of a file), to skip an unchanged download."""


class StoredObject(_Row):
    """Bytes by their hash, and how many they are."""

    sha256: Sha256
    size: Annotated[int, Field(ge=0)]


class FileEntry(StoredObject):
    """A file of a version."""

    packed: StoredObject | None = None
    """What object storage has of it where it is compressed there (packsight.shared.catalog.packing)."""
    patch: StoredObject | None = None
    """What makes it of the parent's file of its name, for hosts that have that one (packsight.shared.catalog.patches)."""

    @property
    def stored(self) -> StoredObject:
        """The object that has it."""
        return self.packed or self

    @property
    def objects(self) -> tuple[StoredObject, ...]:
        """All objects that are there for it."""
        return (self.stored,) if self.patch is None else (self.stored, self.patch)


class SelfCheck(_Row):
    """What the version recognised of its own photos when it was built, photos left out one by one."""

    photos: int = 0
    top1: float = 0.0
    precision_matched: float = 0.0
    share_matched: float = 0.0


class ReviewedPairs(_Row):
    """Photos that people reviewed by which a version was calibrated."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    pairs: Annotated[int, Field(ge=0)] = 0
    digest: str = ""
    """Names them, what is known of each, and the rules by which they count."""


class Segment(_Row):
    """Rows of photos that were written together and are never changed (packsight.indexer.build.segments)."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    name: SegmentName
    rows: Annotated[int, Field(ge=0)]
    """Those of photos that are gone among them."""

    @property
    def prefix(self) -> str:
        """What the names of its files begin with."""
        return f"{self.name}."


class Epoch(_Row):
    """Since when projection, lists and codes are the same, byte for byte, so that rows of several versions go together."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    began: PlainName
    """The version with which it began."""
    reason: str
    """Why it did, for people."""
    rules: str
    """Fingerprint of what is carried from version to version, and how it is learned."""
    photos: Annotated[int, Field(ge=0)]
    """Among so many photos it was learned."""
    added: Annotated[int, Field(ge=0)] = 0
    """So many have come since."""


class Manifest(BaseModel):
    """What a version is; enough to refuse it. Versions of older releases are read too, with what they say of themselves."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    format: int = FORMAT
    catalog: Annotated[str, StringConstraints(pattern=CATALOG_NAME)]
    version: PlainName
    parent: str | None = None
    former: str | None = None
    """The last version before it that was built: its parent, or what that one shows."""
    shown: bool = False
    """Whether it only shows its parent's products otherwise, in prices and texts: then it decides as `former` does."""
    created_at: datetime
    products: int
    photos: int
    single: int | None = None
    """Products with one photo, which cannot be left out, so that no weight is learned of them; None in older versions."""
    embedder: str
    """Fingerprint, as the three that follow: together the recipe."""
    spotter: str
    details: str = ""
    """Empty in a version of an older release."""
    matching: str = ""
    """Empty in a version of an older release."""
    fit: str = ""
    """Fingerprint of the parameters of projection, index and fit: what the workers need not share."""
    dimension: int
    """Of the raw embedding."""
    projected: int
    """Dimension of the vectors in the index."""
    index: str
    """Faiss factory name of the index, and how many of its lists are visited."""
    recall: float = 1.0
    """Share of photos, asked while they were not in the index, whose nearest photo it found first; 1 where it compares all."""
    faiss: str
    """Version of Faiss that wrote the index."""
    self_check: SelfCheck = SelfCheck()
    made_check: SelfCheck = SelfCheck()
    """The same of photos that were made of products' only ones, which stay listed: easier than any that customers send."""
    reviewed: ReviewedPairs = ReviewedPairs()
    reviewed_check: SelfCheck = SelfCheck()
    """The same of photos that people reviewed and whose product is listed, by how they are answered without themselves."""
    notes: tuple[str, ...] = ()
    """What an operator should know: fallbacks, photos that could not be fetched."""
    refused: tuple[str, ...] = ()
    """Why the indexer did not publish it, and kept it for a look only; empty for all others."""
    epoch: Epoch | None = None
    """None in a version of an older release."""
    segments: tuple[Segment, ...] = ()
    """In the order in which their rows are numbered; empty in a version of an older release."""
    files: dict[FileName, FileEntry] = Field(default_factory=dict)

    @property
    def recipe(self) -> Recipe:
        """What the version was made with."""
        return Recipe.of(self)

    @property
    def built(self) -> str | None:
        """The version that was built of which it is: itself, or what it shows otherwise."""
        return self.former if self.shown else self.version

    @property
    def is_former(self) -> bool:
        """True for a version like those of release 0.1: it need not be signed, and has no parts; no worker serves it."""
        return self.format <= _FORMER

    def written(self) -> str:
        """Its text, without what it does not say: a file's entry is most of what a new price sends."""
        return self.model_dump_json(indent=1, exclude_none=True)

    def require_format(self) -> None:
        """Raise CatalogError unless this release serves the version."""
        if self.format != FORMAT:
            age = "an older" if self.format < FORMAT else "a newer"
            raise CatalogError(
                ErrorCode.CATALOG_REFUSED,
                f"Version {self.version} of {self.catalog} was made by {age} release "
                f"(format {self.format}, this release reads {FORMAT})",
                remedy=sync_once(self.catalog),
            )

    def require(self, recipe: Recipe) -> None:
        """Raise CatalogError, saying what differs, unless the version was made for this recipe."""
        self.require_format()
        if self.recipe != recipe:
            raise CatalogError(
                ErrorCode.CATALOG_REFUSED,
                f"Version {self.version} of {self.catalog} is not for this worker: "
                f"it was made with {self.recipe.differences(recipe)}",
                remedy=sync_once(self.catalog),
            )


def sync_once(catalog: str) -> str:
    """What to do when no version fits."""
    return f"Sync the catalog once with this release: `packsight catalog sync --catalog {catalog} --feed …`."


def new_version(after: str = "") -> str:
    """Name of a version made now: sorts by time, to a quarter of a millisecond, and is unique by its random tail.

    after: name of a version after which it sorts in any case: that may have been made where the clock is ahead of ours.
    """
    now, before = datetime.now(UTC), made_at(after)
    if before is not None:
        now = max(now, before + _TICK)
    return f"{now:%Y%m%dT%H%M%S}-{now.microsecond >> 8:03x}{os.urandom(2).hex()[:3]}"


def made_at(version: str) -> datetime | None:
    """When a version was made, as its name says; None for one that says nothing."""
    second, _, rest = version.partition("-")
    try:
        ticks = int(rest[:3], 16) if rest else 0
        return datetime.strptime(second, "%Y%m%dT%H%M%S").replace(tzinfo=UTC) + ticks * _TICK
    except (ValueError, OverflowError):
        return None


def stored_as(path: Path) -> StoredObject:
    """What object storage says of a file that lies there as it is."""
    return StoredObject(sha256=hash_file(path), size=path.stat().st_size)


def _entry(path: Path, packed: Path) -> FileEntry:
    is_packed = pack(path, packed)
    return FileEntry(**stored_as(path).model_dump(), packed=stored_as(packed) if is_packed else None)


def _patched(path: Path, entry: FileEntry, parent: ParentFiles) -> FileEntry:
    """The entry with a patch, where there is a file of the parent's that is much like it."""
    if entry.stored.size < _PATCHED or not parent.has(path.name):
        return entry
    patch = path.parent / PATCHES / path.name
    if not write_patch(path, patch, parent, _LESS * entry.stored.size):
        return entry
    return entry.model_copy(update={"patch": stored_as(patch)})


def seal(
    folder: Path, manifest: Manifest, kept: Mapping[str, FileEntry] = MappingProxyType({}), parent: Path | None = None
) -> Manifest:
    """Hash every file of a built version and write its manifest, and patches of what is much like its parent's.

    kept: files that are parts already, there or not. parent: folder of its parent, where that is at hand; what is the same there
    has no patch, since whoever has the parent has it.
    """
    built = [path for path in sorted(folder.iterdir()) if path.name != MANIFEST and path.name not in kept]
    with TemporaryDirectory(dir=folder) as aside:
        files = {path.name: _entry(path, Path(aside) / path.name) for path in built}
    if parent is not None:
        (folder / PATCHES).mkdir()
        before = ParentFiles(parent, folder)
        linked = {entry.sha256 for entry in read_manifest((parent / MANIFEST).read_bytes(), parent.name).files.values()}
        files = {
            name: entry if entry.sha256 in linked else _patched(folder / name, entry, before) for name, entry in files.items()
        }
        with suppress(OSError):  # there are some in it
            (folder / PATCHES).rmdir()
    # Patches of those that are kept were for whoever has the parent's parent.
    whole = {name: entry.model_copy(update={"patch": None}) for name, entry in kept.items()}
    sealed = manifest.model_copy(update={"files": {**whole, **files}})
    (folder / MANIFEST).write_text(sealed.written())
    return sealed


def read_manifest(data: bytes | str, name: str) -> Manifest:
    """Parse a manifest of this or an older release; raises CatalogError for one that cannot be read."""
    try:
        return Manifest.model_validate_json(data)
    except ValidationError as error:
        message = f"The manifest of {name} is not readable: {error.error_count()} faults"
        raise CatalogError(ErrorCode.CATALOG_REFUSED, message) from None


def verify_files(folder: Path, manifest: Manifest, names: Collection[str]) -> None:
    """Check some files of a version against its manifest; raises CatalogError on the first difference."""
    for name in names:
        verify_file(folder / name, manifest.files[name], manifest.version)


def verify_file(path: Path, entry: FileEntry, version: str) -> None:
    """Check a file against what the manifest of a version says of it; raises CatalogError."""
    if not path.exists() or path.stat().st_size != entry.size or hash_file(path) != entry.sha256:
        raise CatalogError(
            ErrorCode.CATALOG_REFUSED,
            f"{path.name} of version {version} is damaged",
            remedy="Publish the catalog again with `packsight catalog sync --force`; the version before it goes on serving.",
        )
