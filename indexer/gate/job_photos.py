"""A few photos of recent jobs: what customers really send, for versions to be asked about.

Those with the lowest hashes of their addresses are taken: as good as drawn by lot, and the same at the next sync but for those
that came and went. Their bytes are wherever jobs keep them, read by workers alone; a photo is there as long as its job
(packsight.indexer.collection).
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterator
from typing import NamedTuple

from pydantic import ValidationError

from packsight.shared.contract.errors import StorageError
from packsight.shared.contract.outcomes import Outcome, Status
from packsight.shared.queue.results import Results
from packsight.shared.storage import layout
from packsight.shared.storage.jobs import Job, JobStore
from packsight.shared.storage.objects import ObjectStore

LOOKED_AT = 100_000
"""Photos of the newest jobs among which they are drawn: their lists are a few MB. Of a larger job, all."""


class JobPhoto(NamedTuple):
    """name: as its producer calls it; place: its address in object storage."""

    name: str
    sha256: str
    place: str


class _Drawn(NamedTuple):
    lot: str
    place: str
    name: str
    sha256: str
    """Empty where only the answer tells."""
    task_id: str


def job_photos(store: ObjectStore, results: Results, catalog: str, most: int) -> list[JobPhoto]:
    """Draw `most` photos of jobs that asked a catalog, without those that could not be looked at or whose bytes are not known.

    Raises StorageError when jobs cannot be listed, redis.RedisError when results cannot be read.
    """
    rooms = tuple(layout.address(store.bucket, room) for room in (layout.UPLOADS, layout.INCOMING))
    photos = (photo for job in _newest(store, catalog) for photo in _of_job(job, rooms)) if most else iter(())
    drawn = heapq.nsmallest(most, {photo.place: photo for photo in photos}.values())
    answers: dict[str, Outcome] = {}
    for end in results.read(sorted({one.task_id for one in drawn})).values():
        for raw in (end.result or {}).get("outcomes", ()):
            outcome = Outcome.model_validate(raw)
            answers[outcome.image] = outcome
    found: dict[str, JobPhoto] = {}
    for one in drawn:
        answer = answers.get(one.place)
        sha256 = one.sha256 or (answer.sha256 if answer is not None else None)
        if sha256 and (answer is None or answer.status is not Status.FAILED):
            found.setdefault(sha256, JobPhoto(one.name, sha256, one.place))
    return list(found.values())


def _newest(store: ObjectStore, catalog: str) -> Iterator[Job]:
    """Jobs that asked a catalog, newest first; one that goes meanwhile, or that a later release wrote, is left out."""
    jobs, seen = JobStore(store), 0
    for name in reversed(jobs.names()):
        try:
            manifest = jobs.manifest(name)
            if manifest.catalog != catalog:
                continue
            if seen and seen + manifest.images > LOOKED_AT:
                return
            seen += manifest.images
            yield Job.of(manifest, jobs.images(name))
        except (StorageError, ValidationError):
            continue


def _of_job(job: Job, rooms: tuple[str, ...]) -> Iterator[_Drawn]:
    for batch in job.batches:
        for image in batch.images:
            if image.reference.startswith(rooms):
                lot = hashlib.sha256(image.reference.encode()).hexdigest()
                yield _Drawn(lot, image.reference, image.name, image.sha256 or "", batch.task_id)
