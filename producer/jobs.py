"""A job is made: its manifest is written and it is registered; nothing is queued yet."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from itertools import chain
from typing import TypeVar

from pydantic import ValidationError

from packsight.shared.contract.errors import ObjectMissing, UserError
from packsight.shared.contract.messages import RecognizeOptions
from packsight.shared.contract.references import shown
from packsight.shared.contract.validation import wrong_fields
from packsight.shared.queue.ledger import Ledger
from packsight.shared.storage.jobs import JOB_NAME, Job, JobAbout, JobImage, JobManifest, JobStore, Unopened, new_job_id

T = TypeVar("T")


class NoSuchJob(UserError):
    """A job was asked for that there is not."""


class JobAtWork(UserError):
    """A job is to be removed whose photos workers may be at work on."""


class JobOver(UserError):
    """A job is to be cancelled that has ended by itself."""


class NothingToAsk(UserError):
    """None of the photos of a job can be opened. found: what there is instead; more: a further sentence for a terminal."""

    def __init__(self, found: str, more: str = "") -> None:
        super().__init__(f"{found}. Name a folder with photos, image files, a list or an s3:// prefix.{more and ' '}{more}")
        self.found = found


def parse_about(**fields: object) -> JobAbout:
    """What is told of a job; raises UserError that names each wrong field."""
    try:
        return JobAbout.model_validate(fields)
    except ValidationError as error:
        raise UserError(f"This cannot be told of a job: {wrong_fields(error)}. Correct it.") from None


def check_batch_size(batch_size: int, max_batch: int) -> None:
    """Raise UserError when workers that take at most `max_batch` photos in a message would refuse these."""
    if not 1 <= batch_size <= max_batch:
        raise UserError(
            f"A message may carry 1 to {max_batch} photos (PACKSIGHT_WORKER__MAX_BATCH), not {batch_size}. Correct "
            "--batch-size, over HTTP `batch_size`."
        )


def create(
    store: JobStore,
    ledger: Ledger,
    images: list[JobImage],
    unopened: list[Unopened],
    options: RecognizeOptions,
    batch_size: int,
    about: JobAbout,
    job_id: str | None = None,
) -> Job:
    """Write a job's manifest and register it; `about`: what is told of it, but for its columns; `job_id`: None for a new one.

    Raises NothingToAsk when there is nothing to ask workers about.
    """
    if not images:
        found = f"None of the {len(unopened):,} photos can be opened" if unopened else "There are no photos to submit"
        first = f" ({shown(unopened[0].name)}: {unopened[0].failure.message})" if unopened else ""
        raise NothingToAsk(f"{found}{first}")
    photos: list[JobImage | Unopened] = [*images, *unopened]
    columns = tuple(dict.fromkeys(chain.from_iterable(one.extra for one in photos)))
    told = {**about.model_dump(), "columns": columns, "unopened": len(unopened)}
    manifest = JobManifest(**options.alone(), **told, job=job_id or new_job_id(), batch_size=batch_size, images=len(images))
    job = Job.of(manifest, images, unopened)
    ledger.jobs.announce(job.id)  # a server of results that keeps nothing new is to leave no job that nobody queues
    store.create(manifest, images, unopened)
    ledger.jobs.register(job.id, len(job.batches))
    return job


def load(store: JobStore, job_id: str) -> Job:
    """Read a job back; raises NoSuchJob when there is none of this id."""
    return _read(store.load, job_id)


def manifest(store: JobStore, job_id: str) -> JobManifest:
    """The same of its manifest alone, which is small."""
    return _read(store.manifest, job_id)


def _read(read: Callable[[str], T], job_id: str) -> T:
    if re.fullmatch(JOB_NAME, job_id):
        with suppress(ObjectMissing):
            return read(job_id)
    raise NoSuchJob(f"There is no job {job_id or 'without a name'}. `packsight jobs` lists those there are.")
