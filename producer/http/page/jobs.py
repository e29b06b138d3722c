"""Jobs: how they stand, what their photos were answered, and what can be done about that."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, BinaryIO, Literal

from fastapi import APIRouter, Form, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from packsight.producer.export import Exports, open_export
from packsight.producer.http.errands import Errand, Kind
from packsight.producer.http.page.answers import Answer
from packsight.producer.http.page.failures import FAILURES
from packsight.producer.http.page.frame import PageRoute, Submitter, Viewer, link, to
from packsight.producer.http.page.job_index import SORTS, Entry, JobIndex, Wanted
from packsight.producer.http.page.job_indexes import PATIENT
from packsight.producer.report import ORDER
from packsight.producer.summary import State, Summary
from packsight.shared.contract.errors import ErrorCode, UserError, parse_code
from packsight.shared.contract.outcomes import Status
from packsight.shared.storage.jobs import JobManifest

router = APIRouter(route_class=PageRoute)

_JOBS = 20
"""Jobs on a page: what is told of each takes three round trips."""
_PHOTOS = 50
"""Photos on a page."""
_PIECE = 1 << 18
"""Bytes of a file that are sent at a time."""
_STATES = {State.RUNNING: "Running", State.ENDED: "Done", State.CANCELLED: "Cancelled", State.EXPIRED: "Answers gone"}
_SORTS = {"": "As submitted", "unsure": "Least sure first", "sure": "Surest first", "name": "By name"}


@dataclass(frozen=True, slots=True)
class Standing:
    """How a job stands."""

    manifest: JobManifest
    summary: Summary

    @property
    def title(self) -> str:
        """What it is called: by its producer, else after where its photos came from."""
        return self.manifest.name or self.manifest.source or self.manifest.job

    @property
    def state(self) -> str:
        """In words."""
        return _STATES[self.summary.state]

    @property
    def live(self) -> bool:
        """Whether that changes by itself."""
        going = self.summary.state in {State.RUNNING, State.CANCELLED}
        return going and not self.summary.over

    @property
    def parts(self) -> list[tuple[Status, int, float, float]]:
        """Each status with its count, and where its part of the bar begins and how wide it is, in hundredths."""
        found: list[tuple[Status, int, float, float]] = []
        at, whole = 0.0, max(1, self.summary.photos)
        for status in ORDER[::-1]:
            width = 100 * self.summary.ends[status] / whole
            found.append((status, self.summary.ends[status], at, width))
            at += width
        return found


class Asked(BaseModel):
    """What of a job's photos is looked at, as the address says it. Confidences in hundredths."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    q: Annotated[str, Field(max_length=200)] = ""
    status: Literal["", "matched", "ambiguous", "no_match", "failed"] = ""
    code: Annotated[str, Field(max_length=60)] = ""
    product: Annotated[str, Field(max_length=500)] = ""
    least: Annotated[str, Field(max_length=6)] = ""
    most: Annotated[str, Field(max_length=6)] = ""
    sort: Annotated[str, Field(max_length=10)] = ""
    page: Annotated[int, Field(ge=1, le=1_000_000)] = 1

    @property
    def wanted(self) -> Wanted:
        """For the index; raises UserError for a confidence that is no number."""
        return Wanted(
            text=self.q,
            status=Status(self.status) if self.status else None,
            code=self.code,
            product=self.product,
            least=_share(self.least),
            most=_share(self.most),
            sort=self.sort if self.sort in SORTS else "",
        )

    @property
    def narrows(self) -> bool:
        """Whether it is other than all photos as they were submitted."""
        return any(self.with_().values())

    def with_(self, **changed: object) -> dict[str, Any]:
        """The same, but for some fields, from the first page on."""
        return {**dict(self), "page": "", **changed}


def _share(text: str) -> float | None:
    if not text:
        return None
    try:
        return float(text.replace(",", ".")) / 100
    except ValueError:
        raise UserError(f"{text} is no number from 0 to 100. Correct the confidence.") from None


@router.get("/jobs")
def jobs(who: Submitter, page: Annotated[int, Query(ge=1, le=100_000)] = 1) -> Response:
    """The newest jobs first."""
    theirs = (one for one in who.rooms.manifests() if who.who.sees(one.catalog))
    chosen = list(islice(theirs, (page - 1) * _JOBS, page * _JOBS + 1))
    found = [Standing(one, who.door.standing(one)) for one in chosen[:_JOBS]]
    return who.page("jobs.html.j2", jobs=found, page=page, more=len(chosen) > _JOBS)


@router.get("/jobs/{job}")
def of_job(who: Submitter, job: str, asked: Annotated[Asked, Query()]) -> Response:
    """How a job stands, and its photos."""
    standing, index = _looked_up(who, job)
    found = index.find(asked.wanted, (asked.page - 1) * _PHOTOS, _PHOTOS)
    return who.page(
        "job.html.j2", job=standing, asked=asked, found=found, pages=_pages(found.total), sorts=_SORTS, order=ORDER, link=link,
        product=_named(found.entries, asked.product), failures=FAILURES,
    )  # fmt: skip


@router.get("/jobs/{job}/results.{kind}")
def download(who: Submitter, job: str, kind: Literal["csv", "jsonl"]) -> Response:
    """All outcomes there are, as a file. It has no name any more when it is sent: nothing is left of it, however that ends."""
    _looked_up(who, job)
    name, client = f"{job}.{kind}", who.door.client
    with TemporaryDirectory(prefix="packsight-") as folder, Exports() as exports:
        exports.take(open_export(Path(folder) / name))
        for row in client.outcomes(client.load(job)):
            exports.add(row)
        exports.finish()
        file = (Path(folder) / name).open("rb")
    size = os.fstat(file.fileno()).st_size
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Content-Length": str(size)}
    return StreamingResponse(_content(file), media_type="text/csv" if kind == "csv" else "application/jsonl", headers=headers)


def _content(file: BinaryIO) -> Iterator[bytes]:
    with file:
        yield from iter(partial(file.read, _PIECE), b"")


@router.post("/jobs/{job}/cancel")
def cancel(who: Submitter, job: str) -> Response:
    """Have no more of it worked on."""
    _looked_up(who, job)
    who.door.cancel(who.door.client.load(job))
    return to(link(f"/jobs/{job}"))


@router.post("/jobs/{job}/retry")
def retry(who: Submitter, job: str, code: Annotated[str, Form()] = "") -> Response:
    """Ask about photos again that failed: all that a retry can help, or those of one code."""
    standing, _ = _looked_up(who, job)
    codes = (parse_code(code),) if code else ()
    if not standing.summary.ends[Status.FAILED]:
        raise UserError("No photo of this job has failed.")
    if codes and ErrorCode.CANCELLED not in codes and standing.summary.state is State.CANCELLED:
        raise UserError("The job was cancelled: ask all that failed again, those that nobody had begun included.")
    who.door.have_done(Errand(kind=Kind.RETRY, job=job, client=who.who.name, codes=codes))
    return to(link(f"/jobs/{job}"))


@router.get("/jobs/{job}/photos/{place}")
def photo(who: Submitter, job: str, place: int, asked: Annotated[Asked, Query()]) -> Response:
    """The answer to one photo, among those that were looked at."""
    standing, _ = _looked_up(who, job)
    index = who.rooms.indexes.of(standing.manifest, patience=PATIENT)
    row = index.row(who.door.client, place) if 0 <= place < standing.manifest.photos else None
    if row is None:
        raise UserError(f"Job {job} has no answer to a photo {place + 1}, or not yet. Look at the job's photos.")
    shows = Answer.of(row, f"/jobs/{job}/photos/{place}/picture")
    every = range(standing.manifest.photos)
    places = index.places(asked.wanted) if asked.narrows else every
    return who.page(
        "photo.html.j2", answer=shows, job=standing, place=place, catalog=standing.manifest.catalog, asked=asked,
        places=places if place in places else every,
    )  # fmt: skip


def _looked_up(who: Viewer, job: str) -> tuple[Standing, JobIndex]:
    manifest = who.rooms.manifest(job)
    who.who.require_catalog(manifest.catalog)
    return Standing(manifest, who.door.standing(manifest)), who.rooms.indexes.of(manifest)


def _pages(total: int) -> int:
    return max(1, -(-total // _PHOTOS))


def _named(entries: list[Entry], product: str) -> str:
    """What a product is called that photos are filtered by."""
    names: Iterator[str] = (one.product_name for one in entries if one.product == product)
    return next(names, product)


