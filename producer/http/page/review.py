"""Review: one photo at a time, by keyboard; what people said is kept at once."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form, Query, Response
from fastapi.responses import StreamingResponse

from packsight.producer.http.page.answers import Answer
from packsight.producer.http.page.frame import PageRoute, Reviewer, Viewer, link, to
from packsight.producer.http.page.inbox import Said
from packsight.producer.jobs import NoSuchJob
from packsight.producer.reviews import files
from packsight.producer.reviews.desk import NoSuchVerdict
from packsight.producer.reviews.inbox import Waiting
from packsight.producer.rows import Row
from packsight.shared.catalog.manifest import ProductRow
from packsight.shared.contract.errors import PacksightError, UserError
from packsight.shared.contract.references import shown
from packsight.shared.storage.jobs import JobManifest
from packsight.shared.storage.review_figure import Promise
from packsight.shared.storage.verdicts import Kind, Offered, Verdict

router = APIRouter(route_class=PageRoute)

_MOST = 8
"""Products of a search: as many as fit beside the photo."""
_FOUND = "found"
_TOLD = 20
"""Verdicts of others that are told of at a time."""
_ID = r"^[0-9a-f]{32}$"
SAID = {Kind.RIGHT: "it is {}", Kind.OTHER: "it is {}", Kind.ABSENT: "not in the catalog", Kind.BAD: "bad photo"}


@router.get("/review")
def review(
    who: Reviewer,
    catalog: str = "",
    job: Annotated[str, Query(max_length=63)] = "",
    photo: Annotated[int | None, Query(ge=0)] = None,
    q: Annotated[str, Query(max_length=200)] = "",
    taken: Annotated[str, Query(max_length=32)] = "",
    others: Annotated[str, Query(max_length=700)] = "",
    gone: bool = False,
) -> Response:
    """The photo that is most worth a look, or the one at a place of a job that somebody came upon.

    taken: id of the verdict that was taken back just now; others: ids of those that their giver had not seen; gone: whether the
    job was removed that something was said of.
    """
    catalog = catalog_of(who, catalog)
    told = _told(who.rooms.inbox(catalog).all() if catalog and (taken or others) else [], taken, others.split(), gone=gone)
    nothing: dict[str, Any] = {"catalog": catalog, "catalogs": who.catalogs(), "job": job, "q": q, "told": told}
    if not catalog:
        return who.page("review.html.j2", **nothing, next=None, answer=None)
    inbox = who.rooms.inbox(catalog)
    found = inbox.next(who.who.name, _job(who, catalog, job))
    if job and photo is not None:
        chosen = _row(who, catalog, job, photo)
        review = inbox.reviewed().photos.get(chosen.outcome.sha256 or "")
        found = replace(found, one=Waiting(chosen, Offered.CHOSEN, 0.0, review))
    answer, row = None, _full(who, found.one) if found.one else None
    if found.one is not None and row is not None:
        answer = Answer.of(row, f"/jobs/{row.job}/photos/{row.index}/picture")
    offered = _search(who, catalog, q)
    return who.page(
        "review.html.j2", **nothing, next=found, answer=answer, row=row, verdict=secrets.token_hex(16), said=_said,
        found=offered[:_MOST], more=len(offered) > _MOST, Promise=Promise, Offered=Offered, gone=_gone(who, catalog, answer),
    )  # fmt: skip


@router.post("/review")
def say(
    who: Reviewer,
    catalog: Annotated[str, Form()],
    said: Annotated[str, Form(max_length=600)],
    at: Annotated[str, Form(max_length=63)],
    place: Annotated[int, Form(ge=0)],
    sha256: Annotated[str, Form(max_length=64)],
    id: Annotated[str, Form(pattern=_ID)],
    seen: Annotated[str, Form(max_length=2000)] = "",
    job: Annotated[str, Form(max_length=63)] = "",
    *,
    chosen: Annotated[bool, Form()] = False,
) -> Response:
    """Keep what somebody said, or pass the photo over; then the next one.

    said: `skip`, or a verdict; `other:` is followed by the id of a candidate, `found:` by that of a product that was searched
    for.
    """
    catalog = catalog_of(who, catalog)
    inbox = who.rooms.inbox(catalog)
    if said == "skip":
        inbox.skip(who.who.name, sha256)
        return to(link("/review", catalog=catalog, job=job))
    try:
        row = _row(who, catalog, at, place)
    except NoSuchJob:
        return to(link("/review", catalog=catalog, job=job if job != at else "", gone="yes"))
    kind, _, product = said.partition(":")
    if product and product not in (products := who.rooms.products(catalog)):
        raise UserError(f"Catalog {catalog} has no product {product} any more. Go back and choose another.")
    meant = Said(Kind.OTHER, product, products.get(product).name) if kind == _FOUND and product else Said(_kind(kind), product)
    _, unseen = inbox.give(row, replace(meant, chosen=chosen), seen.split(), by=who.who.name, id=id)
    return to(link("/review", catalog=catalog, job=job, others=" ".join(one.id for one in unseen[:_TOLD])))


@router.post("/review/undo")
def undo(
    who: Reviewer, catalog: Annotated[str, Form()], verdict: Annotated[str, Form(pattern=_ID)], job: Annotated[str, Form()] = ""
) -> Response:
    """Take one's last verdict back."""
    catalog = catalog_of(who, catalog)
    try:
        who.rooms.inbox(catalog).undo(verdict, who.who.name)
    except NoSuchVerdict:  # as when another tab of theirs took it back before
        return to(link("/review", catalog=catalog, job=job))
    return to(link("/review", catalog=catalog, job=job, taken=verdict))


@router.post("/review/again")
def again(who: Reviewer, catalog: Annotated[str, Form()], job: Annotated[str, Form()] = "") -> Response:
    """Show what was skipped."""
    catalog = catalog_of(who, catalog)
    who.rooms.inbox(catalog).look_again(who.who.name)
    return to(link("/review", catalog=catalog, job=job))


@router.get("/review/verdicts.{kind}")
def export(who: Reviewer, kind: Literal["csv", "jsonl"], catalog: str = "") -> Response:
    """All verdicts on a catalog's answers, as a file."""
    catalog = catalog_of(who, catalog)
    inbox = who.rooms.inbox(catalog)
    lines = files.lines(files.all_given(inbox.all(), inbox.reviewed()), files.GIVEN, as_csv=kind == "csv")
    headers = {"Content-Disposition": f'attachment; filename="verdicts-{catalog}.{kind}"'}
    return StreamingResponse(lines, media_type="text/csv" if kind == "csv" else "application/jsonl", headers=headers)


def catalog_of(who: Viewer, asked: str) -> str:
    """The catalog that is asked for, or the first of theirs; raises Refused for one that is none of theirs."""
    names = who.catalogs()
    chosen = asked or next(iter(names), "")
    if chosen:
        who.who.require_catalog(chosen)
        if chosen not in names:
            raise UserError(f"There is no catalog {chosen}; there are {', '.join(names) or 'none'}.")
    return chosen


def _job(who: Viewer, catalog: str, job: str) -> JobManifest | None:
    manifest = who.rooms.manifest(job) if job else None
    if manifest is not None and manifest.catalog != catalog:
        raise UserError(f"Job {job} is not one of catalog {catalog}. Choose its catalog, which is {manifest.catalog}.")
    return manifest


def _kind(text: str) -> Kind:
    known = [kind for kind in Kind if kind is not Kind.UNDONE]
    if text not in known:
        raise UserError("Nothing can be made of this verdict. Load the page again.")
    return Kind(text)


def _row(who: Viewer, catalog: str, job: str, place: int) -> Row:
    row = who.rooms.row(job, place) if who.rooms.manifest(job).catalog == catalog else None
    if row is None:
        raise UserError(f"Job {job} has no answer to a photo {place + 1} any more. Load the page again.")
    return row


def _full(who: Viewer, one: Waiting) -> Row:
    return _row(who, who.rooms.manifest(one.row.job).catalog, one.row.job, one.row.index)


def _gone(who: Viewer, catalog: str, answer: Answer | None) -> set[str]:
    """Ids of candidates that left the catalog since: nobody can choose them any more."""
    try:
        products = who.rooms.products(catalog)
    except PacksightError:
        return set()  # what is wrong with it is told to whoever chooses one
    offered = {choice.candidate.product.id for choice in answer.choices} if answer is not None else set()
    return {identity for identity in offered if identity not in products}


def _search(who: Viewer, catalog: str, text: str) -> list[tuple[ProductRow, str]]:
    """Products with these words, each with the hash of a photo of it; one more than are shown where there are more."""
    if not text.strip():
        return []
    products = who.rooms.products(catalog)
    return [(row, products.first_photo(row.id)) for row in products.search(text, _MOST + 1)]


def _told(verdicts: list[Verdict], taken: str, others: list[str], *, gone: bool) -> list[str]:
    """What happened to what was said last, a sentence each."""
    known = {verdict.id: verdict for verdict in verdicts}
    told = [f"Taken back: {shown(one.name)}, {_said(one)}" for one in [known.get(taken)] if one]
    told += [f"{one.by} said at the same time: {_said(one)}" for one in map(known.get, others) if one]
    return [*told, "The job of that photo was deleted meanwhile, so nothing was kept of what you said."] if gone else told


def _said(verdict: Verdict) -> str:
    return SAID.get(verdict.kind, "taken back").format(verdict.called or verdict.product)
