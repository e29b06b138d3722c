"""One photo: dropped, chosen or by its address; and its answer."""

from __future__ import annotations

import re

from fastapi import APIRouter, Response
from fastapi.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile

from packsight.producer.client import single_id
from packsight.producer.collect import rows_of
from packsight.producer.http.body import read_form
from packsight.producer.http.page.answers import Answer
from packsight.producer.http.page.frame import Asker, PageRoute, TheViewer, Viewer, link, to
from packsight.producer.http.page.pictures import KnownAsker, Side, webp
from packsight.producer.http.photos import check_size
from packsight.producer.http.rights import Right
from packsight.producer.rows import Row
from packsight.producer.upload import MAX_REFERENCE, upload_bytes
from packsight.shared.contract.errors import UserError
from packsight.shared.contract.messages import parse_options
from packsight.shared.contract.references import printable, scheme
from packsight.shared.storage.jobs import Batch, JobImage

router = APIRouter(route_class=PageRoute)

_ANSWER = re.compile(r"single-[0-9a-f]{32}")
SEVERAL = 10
"""Products that are looked for where somebody says that there are several."""
_LONGEST = 200
"""Characters of a photo's name that are kept with its answer."""


@router.get("/")
def ask(who: TheViewer) -> Response:
    """Where a photo is dropped; whoever may not ask is led to the first page that they may see."""
    if not who.who.may(Right.RECOGNISE) and who.tabs:
        return to(who.tabs[0][0])
    who.who.require(Right.RECOGNISE)
    return _form(who)


def _form(who: Viewer, catalog: str = "", fault: str = "") -> Response:
    most = who.door.settings.fetch.max_bytes
    status = 400 if fault else 200
    return who.page(
        "ask.html.j2", status=status, catalogs=who.catalogs(), catalog=catalog, fault=fault, most=most, several=SEVERAL
    )  # fmt: skip


@router.post("/ask")
async def asked(who: Asker) -> Response:
    """Have it recognised and go on to the answer. The form is read here: only who is known may send as much as a photo."""
    form = await read_form(who.request)
    photo = form.get("photo")
    return await run_in_threadpool(
        _ask, who, str(form.get("catalog", "")), str(form.get("address", "")).strip(),
        photo if isinstance(photo, UploadFile) and photo.filename else None, several=bool(form.get("several")),
    )  # fmt: skip


def _ask(who: Viewer, catalog: str, address: str, photo: UploadFile | None, *, several: bool) -> Response:
    options = parse_options(catalog=catalog, max_products=SEVERAL if several else 1)
    who.who.require_catalog(catalog)
    if photo is None and not address:
        return _form(who, catalog, "Drop a photo, choose one, or give an address.")
    image = _address(address) if photo is None else _stored(who, photo)
    answer = single_id()
    with who.door.waiting.one(who.who.called):
        who.door.client.ask(image, options, timeout=who.door.settings.http.deadline, id=answer)
    return to(link(f"/answers/{answer}", name=image.name[:_LONGEST], catalog=catalog))


def _stored(who: Viewer, photo: UploadFile) -> JobImage:
    """Keep an uploaded photo where workers fetch it; raises Refused for one that they would not take."""
    name = printable((photo.filename or "").replace("\\", "/").rpartition("/")[2]) or "photo"
    data = photo.file.read()
    check_size(data, who.door.settings.fetch.max_bytes)
    return upload_bytes(data, name, who.door.client.store)


def _address(address: str) -> JobImage:
    """A photo on the web: pages take no other references, which may lead to what others put into object storage."""
    if scheme(address) not in {"http", "https"} or len(address) > MAX_REFERENCE:
        raise UserError("An address of a photo begins with https:// or http://. Correct it, or choose the file.")
    return JobImage(reference=address, name=address.rpartition("/")[2].partition("?")[0] or address)


@router.get("/answers/{answer}")
def answered(who: Asker, answer: str, name: str = "", catalog: str = "") -> Response:
    """The answer to a photo, as long as it is kept."""
    row = _row(who, answer, name)
    if row is None:
        days = who.door.settings.queue.result_expires / 86400
        raise UserError(f"This answer is not kept any more, or never was: answers are kept for {days:.0f} days. Ask again.")
    shows = Answer.of(row, f"/answers/{answer}/photo")
    most = who.door.settings.fetch.max_bytes
    return who.page(
        "answer.html.j2", answer=shows, catalog=_catalog(row) or catalog, catalogs=who.catalogs(), most=most, several=SEVERAL
    )  # fmt: skip


@router.get("/answers/{answer}/photo")
def photo(who: KnownAsker, answer: str, side: Side) -> Response:
    """The photo that was asked about."""
    row = _row(who, answer, "")
    if row is None:
        return Response(status_code=404)
    return webp(lambda: who.rooms.pictures.of_query(row.outcome.image, side))


def _row(who: Viewer, answer: str, name: str) -> Row | None:
    end = who.door.client.task_end(answer) if _ANSWER.fullmatch(answer) else None
    if end is None:
        return None
    row = rows_of(Batch(answer, 0, 0, [JobImage(reference="?", name=name or "photo")]), end)[0]
    if catalog := _catalog(row):
        who.who.require_catalog(catalog)
    return row


def _catalog(row: Row) -> str:
    return row.outcome.provenance.catalog if row.outcome.provenance else ""
