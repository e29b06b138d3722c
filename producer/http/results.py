"""A job's outcomes over HTTP: page by page in the order of its photos, or as a stream in the order of their arrival."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from itertools import islice
from typing import Annotated

from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field
from starlette.concurrency import iterate_in_threadpool

from packsight.producer.broker import answering
from packsight.producer.client import Client
from packsight.producer.collect import AT_ONCE, rows_of, unopened_rows
from packsight.producer.http.caller import Large, Submitter
from packsight.producer.http.door import TheDoor
from packsight.producer.http.errands import Stopped
from packsight.producer.http.jobs import AS_IT_COMES, manifest_for
from packsight.producer.rows import Row
from packsight.shared.contract.outcomes import Outcome
from packsight.shared.pieces import pieces
from packsight.shared.storage.jobs import Job

router = APIRouter(prefix="/v1/jobs/{job}", tags=["jobs"])

JSON_LINES = "application/x-ndjson"
_SAY_AFTER = 15.0
"""Seconds without a row after which an empty line is sent, so that nobody between us takes the connection for dead."""


class ResultRow(Outcome):
    """A photo of a job with its outcome."""

    name: str
    """What it was submitted as."""
    job: str
    index: int
    """Its place in the job, from 0."""
    extra: dict[str, str] = Field(default_factory=dict)
    """The caller's own columns."""


class ResultsPage(BaseModel):
    """Rows in the order of the job's photos."""

    rows: list[ResultRow]
    next: int | None
    """To be sent as `cursor` for those that follow, now or when there are more; None when these were the last."""


@router.get("/results", response_model=ResultsPage, dependencies=[Large])
def page(
    job: str, who: Submitter, the_door: TheDoor,
    cursor: Annotated[int, Query(ge=0)] = 0, limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Response:  # fmt: skip
    """The outcomes from a place on, up to the first photo that has none yet: whoever goes on from `next` meets each once."""
    manifest_for(job, who, the_door)
    whole = the_door.client.load(job)
    with answering(the_door.settings):
        rows = list(islice(_rows_from(the_door.client, whole, cursor, limit), limit))
    following = cursor + len(rows)
    over = "null" if following >= whole.photos else str(following)
    # The lines are JSON already: to read them back would take longer than all the rest.
    return Response(f'{{"rows":[{",".join(row.line for row in rows)}],"next":{over}}}', media_type="application/json")


def _rows_from(client: Client, job: Job, place: int, wanted: int) -> Iterator[Row]:
    """Rows in order from a place on, up to the first batch that has not ended; as many as are wanted, or some more."""
    size = job.manifest.batch_size
    following = range(place // size, min(len(job.batches), -(-(place + wanted) // size)))
    for part in pieces((job.batches[index] for index in following), AT_ONCE):
        ends = client.ledger.ends(job.id, [batch.task_id for batch in part])
        for batch in part:
            if batch.task_id not in ends:
                return
            yield from (row for row in rows_of(batch, ends[batch.task_id]) if row.index >= place)
    yield from (row for row in unopened_rows(job) if row.index >= place)


@router.get("/results.jsonl", dependencies=[Large], responses={200: {"content": {JSON_LINES: {}}}})
def stream(job: str, who: Submitter, the_door: TheDoor, follow: Annotated[bool, Query()] = False) -> StreamingResponse:
    """The outcomes that there are, one a line, as in files of results; with `follow` until every photo has its own.

    While none comes an empty line is sent each 15 s. Of a job some of whose outcomes have expired those that are left: there is
    nothing to wait for.
    """
    manifest_for(job, who, the_door)
    client, whole = the_door.client, the_door.client.load(job)
    follow = follow and not client.is_expired(whole)
    return StreamingResponse(_lines(client, whole, follow=follow), media_type=JSON_LINES, headers=AS_IT_COMES)


async def _lines(client: Client, job: Job, *, follow: bool) -> AsyncIterator[str]:
    gone = threading.Event()

    def idle(_: float) -> None:
        if gone.is_set():
            raise Stopped

    rows = iterate_in_threadpool(client.outcomes(job, wait=follow, idle=idle))
    coming = asyncio.ensure_future(anext(rows, None))
    try:
        while True:
            await asyncio.wait([coming], timeout=_SAY_AFTER)
            if not coming.done():
                yield "\n"
                continue
            row = coming.result()
            if row is None:
                return
            coming = asyncio.ensure_future(anext(rows, None))
            yield f"{row.line}\n"
    finally:
        gone.set()  # the thread that waits for the next row ends
        coming.cancel()
