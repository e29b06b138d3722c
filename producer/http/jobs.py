"""Jobs over HTTP: submitted, listed, watched, cancelled, repeated. What is accepted is queued beside the requests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict

from packsight.producer.broker import QueueAway, answering
from packsight.producer.http import photos, submitted, webhooks
from packsight.producer.http.caller import Large, Submitter
from packsight.producer.http.door import Door, TheDoor
from packsight.producer.http.errands import Errand, Kind
from packsight.producer.http.page.rooms import TheRooms
from packsight.producer.http.refusal import Refused, bad_request
from packsight.producer.http.rights import Caller
from packsight.producer.http.submitted import JobOptions, JobRequest
from packsight.producer.jobs import JobAtWork, NothingToAsk
from packsight.producer.summary import State, Summary
from packsight.shared.contract.errors import ErrorCode
from packsight.shared.contract.messages import Priority, RecognizeOptions
from packsight.shared.contract.outcomes import Status
from packsight.shared.contract.references import shown
from packsight.shared.storage.jobs import JobAbout, JobManifest

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

_LOOK = 1.0
"""Seconds between two looks at a job whose progress is watched."""
_SAY_AFTER = 15
"""Looks without anything new after which that is said."""
AS_IT_COMES = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
"""Of streams: nginx, and proxies that go by its header, keep an answer until some pages are full, which events may never be."""
_TEXT = {"schema": {"type": "string"}}
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            submitted.OBJECT: {"schema": {"$ref": f"#/components/schemas/{JobRequest.__name__}"}},
            **dict.fromkeys(submitted.LISTS, _TEXT),
        },
    }
}


class JobSeen(BaseModel):
    """A job and how it stands."""

    id: str
    name: str
    source: str
    catalog: str
    priority: Priority
    created_at: datetime
    columns: list[str]
    """The caller's own."""
    webhook: str
    """Without what may be a secret of it."""
    state: State
    photos: int
    answered: int
    """Photos that have their outcome."""
    over: bool
    """Whether all have."""
    ends: dict[Status, int]

    @classmethod
    def of(cls, manifest: JobManifest, summary: Summary) -> JobSeen:
        """Show a job."""
        told = manifest.model_dump(include={"name", "source", "catalog", "priority", "created_at"})
        return cls(
            id=manifest.job,
            **told,
            columns=list(manifest.columns),
            webhook=shown(manifest.webhook) if manifest.webhook else "",
            state=summary.state,
            photos=summary.photos,
            answered=summary.answered,
            over=summary.over,
            ends=dict(summary.ends),
        )


class JobsPage(BaseModel):
    """Jobs, the newest first."""

    jobs: list[JobSeen]
    next: str | None
    """To be sent as `cursor` for those after them; None at the end."""


class Gone(BaseModel):
    """What went with a job."""

    uploads: int
    """Photos that were removed."""
    shared: int
    """Photos that stay, since other jobs name them."""


class Retry(BaseModel):
    """Which failures to ask again about; without `codes` those that a retry can help."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    codes: list[ErrorCode] = []


@router.post("", status_code=202, openapi_extra=_BODY, dependencies=[Large])
async def submit(
    request: Request, response: Response, options: Annotated[JobOptions, Query()], who: Submitter, the_door: TheDoor,
    idempotency_key: Annotated[str | None, Header(alias="Idempotency-Key", min_length=1, max_length=255)] = None,
) -> JobSeen:  # fmt: skip
    """Submit photos by their references, as an object, a table or lines of JSON. The job is kept when this answers.

    The same request with the same `Idempotency-Key` is answered with the same job, however often it comes.
    """
    kind, body = photos.media_type(request), await request.body()
    if idempotency_key is None:
        job = await run_in_threadpool(_submit, kind, body, options, who, the_door)
    else:
        job = await run_in_threadpool(_submit_once, idempotency_key, kind, body, options, who, the_door)
    response.headers["Location"] = f"/v1/jobs/{job.id}"
    return job


def _submit_once(key: str, kind: str, body: bytes, options: JobOptions, who: Caller, the_door: Door) -> JobSeen:
    said = f"{kind}\n{options.model_dump_json()}\n".encode() + body
    with answering(the_door.settings):
        submission = the_door.repeats.begin(who.called, key, said)
    if submission.accepted:
        return one(submission.job, who, the_door)
    job = _submit(kind, body, options, who, the_door, submission.job)
    with answering(the_door.settings):
        the_door.repeats.accepted(who.called, key, submission)
    return job


def _submit(
    kind: str, body: bytes, options: JobOptions, who: Caller, the_door: Door, job_id: str | None = None
) -> JobSeen:
    options, items = submitted.read(kind, body, options)
    who.require_catalog(options.catalog)
    if options.webhook:
        webhooks.check(the_door.web, who, options.webhook)
    about = JobAbout(name=options.name, source=f"HTTP, {who.name}", priority=options.priority, webhook=options.webhook)
    how = RecognizeOptions(**options.alone())
    try:
        job = the_door.client.submit(items, how, batch_size=options.batch_size, about=about, job_id=job_id)
    except NothingToAsk as error:
        remedy = "Send a row, a line or an entry for each photo, with a reference that begins with https:// or s3://."
        raise Refused(400, ErrorCode.BAD_MESSAGE, error.found, remedy=remedy) from None
    if options.webhook:
        the_door.have_done(Errand(kind=Kind.WEBHOOK, job=job.id, client=who.name))
    the_door.have_done(Errand(kind=Kind.QUEUE, job=job.id, client=who.name))
    return JobSeen.of(job.manifest, the_door.standing(job.manifest))


@router.get("")
def listed(
    who: Submitter, the_door: TheDoor, limit: Annotated[int, Query(ge=1, le=200)] = 20, cursor: Annotated[str, Query()] = ""
) -> JobsPage:
    """Jobs of the caller's catalogs, the newest first."""
    client = the_door.client
    found: list[JobSeen] = []
    for manifest in the_door.manifests.newest_of(name for name in client.jobs.names() if not cursor or name < cursor):
        if not who.sees(manifest.catalog):
            continue
        if len(found) == limit:
            return JobsPage(jobs=found, next=found[-1].id)
        found.append(JobSeen.of(manifest, the_door.standing(manifest)))
    return JobsPage(jobs=found, next=None)


@router.get("/{job}")
def one(job: str, who: Submitter, the_door: TheDoor) -> JobSeen:
    """A job and how it stands."""
    manifest = manifest_for(job, who, the_door)
    return JobSeen.of(manifest, the_door.standing(manifest))


@router.get("/{job}/events", dependencies=[Large], responses={200: {"content": {"text/event-stream": {}}}})
async def events(job: str, who: Submitter, the_door: TheDoor) -> StreamingResponse:
    """Server-sent events: `progress` whenever a photo has its outcome, `ended` at last, each with the job as its data."""
    manifest = await run_in_threadpool(manifest_for, job, who, the_door)
    return StreamingResponse(_progress(manifest, the_door), media_type="text/event-stream", headers=AS_IT_COMES)


async def _progress(manifest: JobManifest, the_door: Door) -> AsyncIterator[str]:
    before: Summary | None = None
    silent = 0
    while before is None or not before.final:
        now: Summary | None
        try:
            now = await run_in_threadpool(the_door.standing, manifest)
        except QueueAway:
            now = before
        if now is not None and now != before:
            before, silent = now, 0
            kind = "ended" if now.final else "progress"
            yield f"event: {kind}\ndata: {JobSeen.of(manifest, now).model_dump_json()}\n\n"
            continue
        silent += 1
        if silent % _SAY_AFTER == 0:
            yield ": nothing new\n\n"  # so that nobody between us takes the connection for dead
        await asyncio.sleep(_LOOK)


@router.post("/{job}/cancel")
def cancel(job: str, who: Submitter, the_door: TheDoor) -> JobSeen:
    """Have no more of its photos worked on; those that nobody has begun end as `cancelled`."""
    manifest_for(job, who, the_door)
    whole = the_door.client.load(job)
    return JobSeen.of(whole.manifest, the_door.cancel(whole))


@router.delete("/{job}")
def remove(job: str, who: Submitter, the_door: TheDoor, the_rooms: TheRooms) -> Gone:
    """Remove a job for good: its results, its list of photos, and uploads that no other job names; not while it runs."""
    manifest = manifest_for(job, who, the_door)
    try:
        if the_door.standing(manifest).again:
            raise JobAtWork(f"Job {job} is to be asked again.")
        removed = the_door.client.remove(the_door.client.load(job))
    except JobAtWork:
        remedy = f"End it by POST /v1/jobs/{job}/cancel, and send the same again when its photos in work have come to their end."
        raise Refused(409, ErrorCode.CONFLICT, f"Job {job} has photos that are waited for", remedy=remedy) from None
    the_rooms.indexes.forget(job)
    return Gone(uploads=removed.uploads, shared=removed.shared)


@router.post("/{job}/retry", status_code=202)
def retry(job: str, who: Submitter, the_door: TheDoor, asked: Retry | None = None) -> JobSeen:
    """Ask again about photos that failed; what the others got stands. From now on the job runs, until those have an outcome.

    Until it has ended, `results` may still be those from before. Photos of a batch that is in work are passed over: name all
    codes at once, or ask about others after the end.
    """
    manifest = manifest_for(job, who, the_door)
    codes = tuple(sorted(set(asked.codes if asked else ())))
    if codes and ErrorCode.CANCELLED not in codes and the_door.client.summary(manifest).state is State.CANCELLED:
        raise bad_request(f"The job was cancelled: whatever of it is asked again, `{ErrorCode.CANCELLED}` is among it")
    the_door.have_done(Errand(kind=Kind.RETRY, job=job, client=who.name, codes=codes))
    return JobSeen.of(manifest, the_door.standing(manifest))


def manifest_for(job: str, who: Caller, the_door: Door) -> JobManifest:
    """The manifest of a job that the caller may see; raises NoSuchJob, or Refused for one of another's catalog."""
    manifest = the_door.client.manifest(job)
    who.require_catalog(manifest.catalog)
    return manifest
