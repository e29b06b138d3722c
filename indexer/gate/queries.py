"""Stored queries: photos such as customers send, which a user keeps in a folder or under a prefix, or of jobs, described once."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path, PurePosixPath

from packsight.indexer.completion import Progress, extract
from packsight.indexer.extraction import Extractor
from packsight.indexer.gate.job_photos import JobPhoto
from packsight.shared.catalog.recipe import Recipe
from packsight.shared.contract.errors import StorageError, UserError
from packsight.shared.storage import layout
from packsight.shared.storage.feature_store import FeatureStore, FeatureView
from packsight.shared.storage.objects import ObjectStore
from packsight.shared.storage.walk import files_below
from packsight.shared.vision.features import Features
from packsight.shared.vision.suffixes import IMAGE_SUFFIXES


@dataclass(frozen=True, slots=True)
class Queries:
    """names: by sha256; features: of those that could be described, by sha256; given: those that the user keeps."""

    names: Mapping[str, str] = field(default_factory=dict)
    features: Mapping[str, Features] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    given: Set[str] = frozenset()

    @property
    def decisive(self) -> Set[str]:
        """Those without which the same shop is another case: photos of jobs come and go by themselves."""
        return self.features.keys() & self.given


NONE = Queries()


@dataclass(slots=True)
class _Found:
    """Photos by sha256: what they are called, and where workers find them."""

    names: dict[str, str] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def stored_queries(
    location: str,
    of_jobs: Sequence[JobPhoto],
    recipe: Recipe,
    *,
    store: ObjectStore,
    home: Path,
    extractor: Extractor,
    progress: Progress,
    most: int,
    max_bytes: int,
    busy: bool = False,
) -> Queries:
    """Read the first `most` photos of a folder or `s3://bucket/prefix`; have those and photos of jobs described that never were.

    busy: workers are at a job, which new photos of jobs are not to wait for: they are asked another time. Photos that cannot be
    read or described are left out, with a note if the user keeps them. Raises UserError without such a folder, StorageError when
    the prefix cannot be listed.
    """
    found = _kept(location, store, most, max_bytes) if location else _Found()
    given = frozenset(found.names)
    for photo in of_jobs:
        if photo.sha256 not in given:
            found.names[photo.sha256], found.places[photo.sha256] = photo.name, photo.place
    names, notes = found.names, found.notes
    if not names:
        return Queries(notes=tuple(notes))
    view = FeatureView(FeatureStore(store, recipe.parts, home), names)
    lacking = {sha: place for sha, place in found.places.items() if sha not in view and not (busy and sha not in given)}
    if lacking:
        try:
            failed = extract(lacking, view, recipe, extractor, progress)
        except UserError as error:  # no worker is up: a version may be worth more than what it could be asked
            failed, notes = {}, [*notes, f"stored queries that were not asked: {len(lacking)}: {error}"]
        failed = {sha: failure for sha, failure in failed.items() if sha in given}  # jobs' photos go when they are old
        notes += [f"stored query that cannot be described: {names[sha]}: {failure.message}" for sha, failure in failed.items()]
        view.refresh()
    return Queries(names, {sha: view[sha] for sha in names if sha in view}, tuple(notes), given)


def _kept(location: str, store: ObjectStore, most: int, max_bytes: int) -> _Found:
    """Those that the user keeps, laid where workers find them."""
    found = _Found()
    for name, read in islice(_photos(location, store, max_bytes), most):
        data = read()
        if data is None:
            found.notes.append(f"stored query that cannot be read: {name}")
            continue
        sha = hashlib.sha256(data).hexdigest()
        if sha not in found.names and not store.exists(layout.photo(sha)):
            store.write(layout.photo(sha), data)
        found.names.setdefault(sha, name)
        found.places[sha] = layout.address(store.bucket, layout.photo(sha))
    return found


_Read = Callable[[], bytes | None]


def _photos(location: str, store: ObjectStore, max_bytes: int) -> Iterator[tuple[str, _Read]]:
    """Names of photos in order, each with what reads it: None for one that cannot be read."""
    if location.startswith("s3://"):
        bucket, _, prefix = location.removeprefix("s3://").partition("/")
        prefix = prefix.rstrip("/") + "/" if prefix.strip("/") else ""
        for key in store.list(prefix, bucket=bucket):
            if PurePosixPath(key).suffix.lower() in IMAGE_SUFFIXES:
                yield f"s3://{bucket}/{key}", partial(_object, store, bucket, key, max_bytes)
        return
    folder = Path(location)
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder. Correct PACKSIGHT_CATALOG__QUERIES, or leave it empty.")
    for path in files_below(folder, Counter()):
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith("."):
            yield path.relative_to(folder).as_posix(), partial(_file, path, max_bytes)


def _object(store: ObjectStore, bucket: str, key: str, max_bytes: int) -> bytes | None:
    try:
        return store.read(key, bucket=bucket, limit=max_bytes).data
    except StorageError:
        return None


def _file(path: Path, max_bytes: int) -> bytes | None:
    try:
        return path.read_bytes() if path.stat().st_size <= max_bytes else None
    except OSError:
        return None
