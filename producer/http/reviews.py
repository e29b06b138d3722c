"""Reviews over HTTP: what waits for a person, what is said of it, and all that was said; by the functions of the page.

A program may show answers to people of its own, whom it names, or say by itself what it has found out.
"""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, model_validator

from packsight.producer.http.caller import Large, Reviewer
from packsight.producer.http.door import TheDoor
from packsight.producer.http.page.inbox import Said
from packsight.producer.http.page.rooms import TheRooms
from packsight.producer.http.refusal import Refused, bad_request
from packsight.producer.http.results import JSON_LINES, ResultRow
from packsight.producer.http.rights import Caller
from packsight.producer.http.rights import Kind as CallerKind
from packsight.producer.reviews import files
from packsight.producer.reviews.desk import NoSuchVerdict
from packsight.producer.reviews.inbox import Waiting
from packsight.producer.rows import Row
from packsight.shared.catalog.versions import is_published
from packsight.shared.contract.errors import ErrorCode
from packsight.shared.contract.messages import CATALOG_NAME
from packsight.shared.storage.verdicts import Kind, Offered, Verdict, VerdictId

router = APIRouter(prefix="/v1/reviews", tags=["reviews"])

_Catalog = Annotated[str, Query(pattern=CATALOG_NAME)]
_Job = Annotated[str, Query(max_length=63)]
_By = Annotated[str, Query(max_length=100)]
_BY = "Who says it, where a program speaks for several people; it is kept beside the name of the program."


class VerdictSeen(BaseModel):
    """What somebody said of the answer to a photo, by the names that exports have."""

    id: str
    at: datetime
    by: str
    job: str
    index: int
    name: str
    """What the photo was submitted as."""
    verdict: Kind
    product_id: str
    """That it shows; empty where it shows none of the catalog, or nobody could tell."""
    product_name: str
    offered: Offered
    after: str | None
    """The verdict that it takes the place of, or takes back."""

    @classmethod
    def of(cls, verdict: Verdict) -> VerdictSeen:
        """Show a verdict."""
        told = verdict.model_dump(include={"id", "at", "by", "job", "index", "name", "offered", "after"})
        return cls(**told, verdict=verdict.kind, product_id=verdict.product, product_name=verdict.called)


class WaitingPhoto(BaseModel):
    """An answer that waits for a person."""

    offered: Offered
    """Why; to be said again with the verdict."""
    verdicts: list[VerdictSeen]
    """That stand: people disagree, or somebody came upon a photo that is drawn by lot. Whoever shows them says so by `seen`."""
    photo: ResultRow


class WaitingPage(BaseModel):
    """What waits, the most useful first; what has a verdict is in it no more."""

    waiting: list[WaitingPhoto]
    total: int
    reading: bool
    """Whether more answers are being read, of which some may wait too: ask again."""


class Says(BaseModel):
    """A verdict on the answer to a photo."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    job: Annotated[str, Field(max_length=63)]
    index: Annotated[int, Field(ge=0)]
    """Place of the photo in its job, from 0."""
    verdict: Literal[Kind.RIGHT, Kind.OTHER, Kind.ABSENT, Kind.BAD]
    product_id: Annotated[str, Field(max_length=500)] = ""
    """The product that the photo shows, of `other` alone."""
    offered: Offered = Offered.CHOSEN
    """As it was offered; without it the photo counts as one that somebody came upon, which says nothing of other answers."""
    seen: Annotated[list[VerdictId], Field(max_length=50)] = []
    """Ids of the verdicts on this photo that were shown beside it."""
    by: Annotated[str, Field(max_length=100, description=_BY)] = ""
    id: VerdictId | None = None
    """Of your choice, 32 random hex digits: sent again under it, it is one verdict."""

    @model_validator(mode="after")
    def _is_whole(self) -> Says:
        if bool(self.product_id) != (self.verdict is Kind.OTHER):
            raise ValueError("`product_id` names the product that a photo shows, with the verdict `other` and with no other one")
        return self


class Kept(BaseModel):
    """A verdict that is kept."""

    verdict: VerdictSeen
    unseen: list[VerdictSeen]
    """Of others on the photo, which were not `seen`: where they say something else, it is disputed and not used until somebody
    has seen all."""


@router.get("/waiting", response_model_exclude_none=True)
def waiting(
    who: Reviewer, the_door: TheDoor, the_rooms: TheRooms, catalog: _Catalog = "default", job: _Job = "",
    skip: Annotated[int, Query(ge=0)] = 0, limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> WaitingPage:  # fmt: skip
    """What waits for a person: of a job, or of the newest jobs of a catalog; but for what somebody looks at on the page now.

    skip: how many to pass over, as those of which you will say nothing.
    """
    chosen = the_rooms.manifest(job) if job else None
    catalog = chosen.catalog if chosen else catalog
    who.require_catalog(catalog)
    found, reading = the_rooms.inbox(catalog).waiting(chosen)
    if not found and not is_published(the_door.client.store, catalog):
        raise Refused(404, ErrorCode.CATALOG_MISSING, f"Catalog {catalog} has no published version")
    shown = [_shown(one, row) for one, row in the_rooms.whole(found[skip : skip + limit])]
    return WaitingPage(waiting=shown, total=len(found), reading=reading)


def _shown(one: Waiting, row: Row) -> WaitingPhoto:
    said = (one.review.verdict, *one.review.against) if one.review is not None else ()
    photo = ResultRow.model_validate_json(row.line)
    return WaitingPhoto(offered=one.offered, verdicts=[VerdictSeen.of(verdict) for verdict in said], photo=photo)


@router.post("/verdicts", status_code=201)
def say(said: Says, who: Reviewer, the_rooms: TheRooms) -> Kept:
    """Say what a photo shows: `right` (the first candidate), `other`, `not_listed` in the catalog, or `bad_photo`."""
    catalog = the_rooms.manifest(said.job).catalog
    who.require_catalog(catalog)
    row = the_rooms.row(said.job, said.index)
    if row is None:
        remedy = "GET /v1/reviews/waiting lists what waits."
        raise Refused(404, ErrorCode.OBJECT_MISSING, f"Job {said.job} has no answer {said.index}, or not yet", remedy=remedy)
    called = the_rooms.products(catalog).get(said.product_id).name if said.product_id else ""
    inbox = the_rooms.inbox(catalog)
    # Asked by lot was who was offered it so: of others it would be the wrong answers that are said.
    meant = Said(Kind(said.verdict), said.product_id, called, chosen=said.offered is not inbox.desk.offered(row))
    given, unseen = inbox.give(row, meant, said.seen, by=_named(who, said.by), id=said.id or secrets.token_hex(16))
    return Kept(verdict=VerdictSeen.of(given), unseen=[VerdictSeen.of(one) for one in unseen])


@router.post("/verdicts/{verdict}/undo")
def undo(
    verdict: Annotated[str, Path(pattern=r"^[0-9a-f]{32}$")], who: Reviewer, the_rooms: TheRooms, catalog: _Catalog = "default",
    by: Annotated[_By, Query(description=_BY)] = "",
) -> VerdictSeen:  # fmt: skip
    """Take a verdict back; what it led to goes with the next sync."""
    who.require_catalog(catalog)
    try:
        return VerdictSeen.of(the_rooms.inbox(catalog).undo(verdict, _named(who, by)))
    except NoSuchVerdict:
        remedy = "GET /v1/reviews/verdicts.jsonl has all there are, and which of them count."
        message = f"There is no verdict {verdict} on catalog {catalog} that counts"
        raise Refused(404, ErrorCode.OBJECT_MISSING, message, remedy=remedy) from None


@router.get("/verdicts.{kind}", dependencies=[Large], responses={200: {"content": {"text/csv": {}, JSON_LINES: {}}}})
def export(
    kind: Literal["csv", "jsonl"], who: Reviewer, the_rooms: TheRooms, catalog: _Catalog = "default"
) -> StreamingResponse:
    """Every verdict on a catalog's answers, those that count no longer included, as `packsight review export` writes them."""
    who.require_catalog(catalog)
    inbox = the_rooms.inbox(catalog)
    lines = files.lines(files.all_given(inbox.all(), inbox.reviewed()), files.GIVEN, as_csv=kind == "csv")
    return StreamingResponse(lines, media_type="text/csv" if kind == "csv" else JSON_LINES)


def _named(who: Caller, by: str) -> str:
    """Who says something, as it is kept: never under the name of somebody who signs in, unless it is them."""
    if who.kind is CallerKind.PERSON:
        if by:
            raise bad_request("`by` is for programs: what you say is kept under your name")
        return who.name
    return f"{by} ({who.called})" if by else who.called
