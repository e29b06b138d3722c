"""A job's manifest in object storage: what was submitted, in order. Task ids follow from it, so submitting resumes.

Photos that could not be opened where they were submitted are no part of its messages; they stand in a list of their own. So do
the columns that a caller had beside his references, and what a job is called: no worker is told of either, and releases that know
neither read the rest.
"""

from __future__ import annotations

import gzip
import json
import re
import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from itertools import chain
from pathlib import PurePath
from typing import Annotated, Any, TypeVar, overload

from pydantic import BaseModel, ConfigDict, Field

from packsight.shared.contract.errors import ObjectMissing
from packsight.shared.contract.messages import (
    CALLED,
    MAX_IMAGES,
    Priority,
    RecognizeOptions,
    RecognizeRequest,
    Reference,
)
from packsight.shared.contract.outcomes import Failure
from packsight.shared.storage import layout
from packsight.shared.storage.objects import ObjectStore

JOB_NAME = r"^[a-z0-9][a-z0-9-]{0,62}$"
BATCH_SIZE = 16
"""Photos per message unless said otherwise: few enough that all workers end together, many enough to keep each busy."""
_IMAGES = "images.jsonl.gz"
_UNOPENED = "unopened.jsonl.gz"
_COLUMNS = "columns.jsonl.gz"
_ABOUT = "about.json"
_CALLED = 3
"""Photos by whose names a batch is known."""


class _Value(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class JobImage(_Value):
    """One image of a job."""

    reference: Reference
    name: str
    """What the producer calls it: a file's path, an object's key, a row of a list."""
    sha256: str | None = None
    extra: dict[str, str] = Field(default_factory=dict)
    """The producer's own columns, which come back in every result."""


class Unopened(_Value):
    """A photo of a job that no worker is asked about: it could not be opened where it was submitted."""

    name: str
    failure: Failure
    extra: dict[str, str] = Field(default_factory=dict)


_Photo = TypeVar("_Photo", JobImage, Unopened)


class JobKind(StrEnum):
    """What a job was made for."""

    PHOTOS = "photos"
    EVALUATION = "evaluation"


class JobAbout(BaseModel):
    """What is told of a job beside what it asks for; a later release may tell more."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    name: Annotated[str, Field(max_length=200)] = ""
    """What its producer calls it; need not be its alone."""
    source: str = ""
    """Where its photos came from, in words."""
    kind: JobKind = JobKind.PHOTOS
    priority: Priority = Priority.NORMAL
    webhook: str = ""
    """Address that is told when the job has ended."""
    columns: tuple[str, ...] = ()
    """Names of the producer's own columns, in order."""
    unopened: Annotated[int, Field(ge=0)] = 0
    """How many photos could not be opened."""


class JobManifest(JobAbout, RecognizeOptions):
    """What a job asks for: the options of its messages and how it is cut; its images stand in an object of their own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: int = 1
    job: Annotated[str, Field(pattern=JOB_NAME)]
    batch_size: Annotated[int, Field(ge=1, le=MAX_IMAGES)] = BATCH_SIZE
    created_at: datetime = Field(default_factory=lambda: datetime.now(UTC))
    images: Annotated[int, Field(ge=0)]
    """How many workers are asked about."""

    @property
    def photos(self) -> int:
        """How many photos were submitted; each gets a row."""
        return self.images + self.unopened

    @property
    def batches(self) -> int:
        """How many messages the job makes."""
        return -(-self.images // self.batch_size)


def new_job_id() -> str:
    """Return a name that sorts by the time of submission and that no one else has."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


def task_id(job: str, batch_index: int) -> str:
    """Return the id of a job's batch, counted from 0."""
    return f"{job}-{batch_index:06d}"


def job_of(task_id: str) -> str:
    """Return the job that a batch's id starts with."""
    return task_id.rpartition("-")[0]


def _is_upload(reference: str) -> bool:
    """Whether a photo was submitted from a disk: whatever else has such a folder in its address is shown as addresses are."""
    return re.fullmatch(rf"s3://[^/]+/{layout.UPLOADS}[0-9a-f]{{64}}", reference) is not None


def task_ids(manifest: JobManifest) -> list[str]:
    """Return the ids of all batches of a job, in order."""
    return [task_id(manifest.job, index) for index in range(manifest.batches)]


@dataclass(frozen=True, slots=True)
class Batch:
    """The images of one message; `index` is the place of the batch in its job, `first` that of its first image."""

    task_id: str
    index: int
    first: int
    images: list[JobImage]
    job_name: str = ""
    """What its producer calls its job."""

    @property
    def job(self) -> str:
        """The job's id."""
        return job_of(self.task_id)

    @property
    def headers(self) -> dict[str, Any]:
        """Headers of its message: what people call it. A photo from a disk is called by its file's name, others as they are."""
        of_disk = [_is_upload(image.reference) for image in self.images[:_CALLED]]
        photos = [PurePath(image.name).name if own else image.reference for image, own in zip(self.images, of_disk, strict=False)]
        named = {"name": self.job_name} if self.job_name else {}
        return {CALLED: {"job": self.job, **named, "photos": photos}}

    def request(self, options: RecognizeOptions) -> RecognizeRequest:
        """Return the argument of the task that works on these images."""
        return RecognizeRequest.of([image.reference for image in self.images], options)


@dataclass(frozen=True, slots=True)
class Job:
    """A job: its manifest, its batches in order, and what of it could not be opened."""

    manifest: JobManifest
    batches: Sequence[Batch]
    unopened: tuple[Unopened, ...] = ()

    @classmethod
    def of(cls, manifest: JobManifest, images: Sequence[JobImage], unopened: Sequence[Unopened] = ()) -> Job:
        """Cut a job's images into its messages."""
        batches = [_cut(manifest, index, lambda part: list(images[part])) for index in range(manifest.batches)]
        return cls(manifest, batches, tuple(unopened))

    @property
    def id(self) -> str:
        """The id under which it is resumed and its results are read."""
        return self.manifest.job

    @property
    def photos(self) -> int:
        """How many photos were submitted; each gets a row."""
        return self.manifest.images + len(self.unopened)


def _cut(manifest: JobManifest, index: int, images: Callable[[slice], list[JobImage]]) -> Batch:
    first, size = index * manifest.batch_size, manifest.batch_size
    return Batch(task_id(manifest.job, index), index, first, images(slice(first, first + size)), manifest.name)


class _Kept(Sequence[Batch]):
    """The batches of a job that was read back, each made of its lines when it is first asked for.

    All of a large job take seconds, and whoever reads a page of its results or cancels it needs few of them.
    """

    def __init__(self, manifest: JobManifest, images: Sequence[bytes], extras: Sequence[bytes] | None) -> None:
        self._manifest, self._lines, self._extras = manifest, images, extras
        self._made: dict[int, Batch] = {}

    def __len__(self) -> int:
        return self._manifest.batches

    @overload
    def __getitem__(self, place: int) -> Batch: ...
    @overload
    def __getitem__(self, place: slice) -> list[Batch]: ...
    def __getitem__(self, place: int | slice) -> Batch | list[Batch]:
        if isinstance(place, slice):
            return [self[one] for one in range(len(self))[place]]
        place = range(len(self))[place]
        if place not in self._made:
            self._made[place] = _cut(self._manifest, place, self._images)
        return self._made[place]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # as of lists

    def _images(self, part: slice) -> list[JobImage]:
        images = [JobImage.model_validate_json(line) for line in self._lines[part]]
        return images if self._extras is None else _with_columns(images, self._extras[part])


class JobStore:
    """The manifests of all jobs, below jobs/ in our bucket."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def create(self, manifest: JobManifest, images: Iterable[JobImage], unopened: Sequence[Unopened] = ()) -> None:
        """Write a job's photos, then its manifest, so that a job with a manifest is always whole.

        Raises ValueError when the manifest counts other than there are images, StorageError when storage refuses.
        """
        photos = list(images)
        if (len(photos), len(unopened)) != (manifest.images, manifest.unopened):
            raise ValueError(f"job {manifest.job}: {len(photos)} images, but its manifest counts {manifest.images}")
        self._write_lines(manifest.job, _IMAGES, [one.model_dump_json(exclude_none=True, exclude={"extra"}) for one in photos])
        if unopened:
            lines = [one.model_dump_json(exclude_none=True, exclude={"extra"}) for one in unopened]
            self._write_lines(manifest.job, _UNOPENED, lines)
        if manifest.columns:
            extras = chain((one.extra for one in photos), (one.extra for one in unopened))
            self._write_lines(manifest.job, _COLUMNS, [json.dumps(extra, ensure_ascii=False) for extra in extras])
        about = set(JobAbout.model_fields)
        self._write(manifest.job, _ABOUT, manifest.model_dump_json(include=about))
        self._write(manifest.job, layout.MANIFEST, manifest.model_dump_json(exclude=about))

    def load(self, job: str) -> Job:
        """Read a job; raises ObjectMissing when there is no such job."""
        manifest, images, unopened = self.manifest(job), self._lines(job, _IMAGES), self.unopened(job)
        if not manifest.columns:
            return Job(manifest, _Kept(manifest, images, None), tuple(unopened))
        extras = self._lines(job, _COLUMNS)
        own, rest = extras[: len(images)], extras[len(images) :]
        return Job(manifest, _Kept(manifest, images, own), tuple(_with_columns(unopened, rest)))

    def manifest(self, job: str) -> JobManifest:
        """Read a job's manifest alone, which is small; raises ObjectMissing."""
        manifest = JobManifest.model_validate_json(self._store.read(layout.job(job, layout.MANIFEST)).data)
        return manifest.model_copy(update=self._about(job))

    def images(self, job: str) -> list[JobImage]:
        """Read what a job's messages name, in order, without the producer's own columns; raises ObjectMissing."""
        return [JobImage.model_validate_json(line) for line in self._lines(job, _IMAGES)]

    def unopened(self, job: str) -> list[Unopened]:
        """Read what of a job could not be opened, in the order of submission, without the producer's own columns."""
        try:
            return [Unopened.model_validate_json(line) for line in self._lines(job, _UNOPENED)]
        except ObjectMissing:
            return []

    def remove(self, job: str) -> None:
        """Remove all that is told of a job, its manifest first, so that no reader meets half of it."""
        self._store.remove(layout.job(job, layout.MANIFEST))
        for key in list(self._store.list(layout.job(job, ""))):
            self._store.remove(key)

    def _about(self, job: str) -> dict[str, Any]:
        try:
            about = JobAbout.model_validate_json(self._store.read(layout.job(job, _ABOUT)).data)
        except ObjectMissing:
            return {}  # a job of an earlier release
        return dict(about)

    def names(self) -> list[str]:
        """Return all jobs that have a manifest, oldest first as far as their names tell."""
        tail = f"/{layout.MANIFEST}"
        return [key[len(layout.JOBS) : -len(tail)] for key in self._store.list(layout.JOBS) if key.endswith(tail)]

    def _write(self, job: str, part: str, text: str) -> None:
        self._store.write(layout.job(job, part), text.encode(), content_type="application/json")

    def _write_lines(self, job: str, part: str, lines: Sequence[str]) -> None:
        data = gzip.compress("".join(f"{line}\n" for line in lines).encode(), mtime=0)
        self._store.write(layout.job(job, part), data, content_type="application/gzip")

    def _lines(self, job: str, part: str) -> list[bytes]:
        return gzip.decompress(self._store.read(layout.job(job, part)).data).splitlines()


def _with_columns(photos: Iterable[_Photo], extras: Iterable[bytes]) -> list[_Photo]:
    """Photos with the producer's own columns, of which each line has those of one."""
    return [one.model_copy(update={"extra": json.loads(line)}) for one, line in zip(photos, extras, strict=True)]
