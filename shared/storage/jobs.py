"""A job's manifest in object storage: what was submitted, in order. Task ids follow from it, so submitting resumes."""

from __future__ import annotations

import gzip
import secrets
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from packsight.shared.contract.messages import CATALOG_NAME, MAX_IMAGES, RecognizeRequest, Reference
from packsight.shared.storage import layout
from packsight.shared.storage.objects import ObjectStore

JOB_NAME = r"^[a-z0-9][a-z0-9-]{0,62}$"
_IMAGES = "images.jsonl.gz"


class _Value(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class JobImage(_Value):
    """One image of a job."""

    reference: Reference
    name: str
    """What the producer calls it: a file's path, an object's key, a row of a list."""
    sha256: str | None = None


class JobManifest(_Value):
    """What a job asks for; small, since the images stand in an object of their own."""

    version: int = 1
    job: Annotated[str, Field(pattern=JOB_NAME)]
    catalog: Annotated[str, Field(pattern=CATALOG_NAME)] = "default"
    top_k: Annotated[int, Field(ge=1, le=50)] = 5
    read_all: bool = False
    batch_size: Annotated[int, Field(ge=1, le=MAX_IMAGES)] = 32
    created_at: datetime = Field(default_factory=lambda: datetime.now(UTC))
    images: Annotated[int, Field(ge=0)]
    """How many."""

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


def task_ids(manifest: JobManifest) -> list[str]:
    """Return the ids of all batches of a job, in order."""
    return [task_id(manifest.job, index) for index in range(manifest.batches)]


def batches(manifest: JobManifest, images: Sequence[JobImage]) -> Iterator[tuple[str, list[JobImage]]]:
    """Cut a job into its messages: each task's id and its images."""
    for index in range(manifest.batches):
        yield task_id(manifest.job, index), batch(manifest, images, index)


def batch(manifest: JobManifest, images: Sequence[JobImage], index: int) -> list[JobImage]:
    """Return the images of one batch."""
    return list(images[index * manifest.batch_size : (index + 1) * manifest.batch_size])


def request(manifest: JobManifest, images: Sequence[JobImage]) -> RecognizeRequest:
    """Return the argument of the task that works on these images of the job."""
    return RecognizeRequest(
        images=[image.reference for image in images],
        catalog=manifest.catalog,
        top_k=manifest.top_k,
        read_all=manifest.read_all,
    )


class JobStore:
    """The manifests of all jobs, below jobs/ in our bucket."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def create(self, manifest: JobManifest, images: Iterable[JobImage]) -> None:
        """Write a job's images, then its manifest, so that a job with a manifest is always whole.

        Raises ValueError when the manifest counts other than there are images, StorageError when storage refuses.
        """
        lines = [image.model_dump_json(exclude_none=True) for image in images]
        if len(lines) != manifest.images:
            raise ValueError(f"job {manifest.job}: {len(lines)} images, but its manifest counts {manifest.images}")
        data = gzip.compress("".join(f"{line}\n" for line in lines).encode(), mtime=0)
        self._store.write(layout.job(manifest.job, _IMAGES), data, content_type="application/gzip")
        self._store.write(
            layout.job(manifest.job, layout.MANIFEST), manifest.model_dump_json().encode(), content_type="application/json"
        )

    def load(self, job: str) -> JobManifest:
        """Read a job's manifest; raises StorageError (OBJECT_MISSING) when there is no such job."""
        return JobManifest.model_validate_json(self._store.read(layout.job(job, layout.MANIFEST)).data)

    def images(self, job: str) -> list[JobImage]:
        """Read a job's images in the order of submission; raises StorageError (OBJECT_MISSING)."""
        data = gzip.decompress(self._store.read(layout.job(job, _IMAGES)).data)
        return [JobImage.model_validate_json(line) for line in data.splitlines()]

    def names(self) -> list[str]:
        """Return all jobs that have a manifest, oldest first as far as their names tell."""
        tail = f"/{layout.MANIFEST}"
        return [key[len(layout.JOBS) : -len(tail)] for key in self._store.list(layout.JOBS) if key.endswith(tail)]
