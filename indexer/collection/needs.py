"""What must stay: what versions have, what is known of their photos' sources, what jobs ask for."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

from packsight.indexer.collection.marks import Marks
from packsight.indexer.state.copy import copied
from packsight.shared.catalog.manifest import Manifest
from packsight.shared.catalog.recipe import Recipe
from packsight.shared.catalog.signatures import Keyring
from packsight.shared.catalog.tables import PHOTOS, PhotoTable
from packsight.shared.catalog.trust import Trust
from packsight.shared.catalog.versions import CatalogStore
from packsight.shared.contract.errors import ObjectMissing
from packsight.shared.storage import layout
from packsight.shared.storage.jobs import JobStore
from packsight.shared.storage.objects import ObjectStore
from packsight.shared.storage.reviews import ReviewStore
from packsight.shared.storage.verdicts import Kind


@dataclass(frozen=True, slots=True)
class CatalogNeeds:
    """One catalog's versions, whoever signed them, and what they and the next sync need. Nothing is needed for certain while
    a manifest is not readable: then all stays."""

    name: str
    versions: tuple[Manifest, ...]
    photos: Marks
    """Of versions."""
    sources: Marks
    """Fetched for a version that is not there yet, or known to be of no use, which is not found out again; and what people
    reviewed, by which each version is calibrated."""
    reviewed: Mapping[str, str]
    """Keys of the uploads that people reviewed, by hash: until a sync has taken them in, their bytes may lie nowhere else."""
    unreadable: tuple[str, ...] = ()

    @property
    def makers(self) -> frozenset[str]:
        """Fingerprints of what made the features of its versions."""
        return frozenset(maker for version in self.versions for maker in Recipe.of(version).parts.values() if maker)


def read_needs(store: ObjectStore, name: str) -> CatalogNeeds:
    """Read what a catalog needs; raises CatalogError for a version whose list of photos is damaged."""
    catalogs = CatalogStore(store, name, Trust(Keyring()))  # a version that nobody is to believe keeps its parts too
    versions, unreadable = catalogs.named()
    reviewed = _reviewed(store, name)
    return CatalogNeeds(
        name,
        tuple(versions),
        Marks(_photos(catalogs, versions)),
        Marks(filter(is_hash, chain(copied(store, name), reviewed))),
        {sha: key for sha, key in reviewed.items() if key.startswith(layout.UPLOADS)},
        tuple(error.message for error in unreadable),
    )


def _reviewed(store: ObjectStore, name: str) -> dict[str, str]:
    """Where photos lie that people reviewed, by hash."""
    prefix = layout.address(store.bucket, "")
    settled = ReviewStore(store, name).reviewed().settled
    return {verdict.sha256: verdict.image.removeprefix(prefix) for verdict in settled if verdict.kind is not Kind.BAD}


def _photos(catalogs: CatalogStore, versions: Iterable[Manifest]) -> Iterator[str]:
    lists = {made.files[PHOTOS].sha256: made for made in versions if PHOTOS in made.files}
    for made in lists.values():
        with TemporaryDirectory() as folder:
            catalogs.fetch(made, Path(folder), (PHOTOS,))
            yield from PhotoTable(Path(folder) / PHOTOS).values("sha256")


def made_photos(store: ObjectStore, sources: Marks) -> dict[str, str]:
    """Hashes of photos that were made of these, by key; they are few, and only their bytes tell."""
    keys = [key for key in store.list(layout.MADE) if (source := source_of(key)) and source in sources]
    return {key: hashlib.sha256(store.read(key).data).hexdigest() for key in keys}


def source_of(key: str) -> str:
    """Hash of the photo that one was made of, by its key; empty where the key is none of ours."""
    return name if is_hash(name := key.rpartition("/")[2].removesuffix(".jpg")) else ""


def is_hash(text: str) -> bool:
    """Whether this is a sha256 in hex."""
    return len(text) == 64 and not set(text) - set("0123456789abcdef")


def wanted_uploads(store: ObjectStore, jobs: Iterable[str]) -> Mapping[str, str]:
    """Keys of photos that these jobs ask for, each with a job that does; one that was removed meanwhile asks for none."""
    prefix = layout.address(store.bucket, "")
    found: dict[str, str] = {}
    for job in jobs:
        try:
            images = JobStore(store).images(job)
        except ObjectMissing:
            continue
        for image in images:
            if image.reference.startswith(prefix):
                found[image.reference.removeprefix(prefix)] = job
    return found
