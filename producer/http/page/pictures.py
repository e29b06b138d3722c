"""Pictures for pages: photos that were submitted, and photos of catalogs."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from enum import IntEnum
from typing import Annotated

from fastapi import APIRouter, Depends, Response

from packsight.producer.http.page.frame import Known, PageRoute, Viewer
from packsight.producer.http.rights import Right
from packsight.shared.contract.errors import PacksightError

router = APIRouter(route_class=PageRoute)



class Side(IntEnum):
    """Longer side of a picture in pixels."""

    LIST = 160
    BESIDE = 480
    LARGE = 1200


_SHA256 = re.compile(r"[0-9a-f]{64}")
_KEEP = {"Cache-Control": "private, max-age=3600"}
_MISSING = (
    b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 80 80"><g fill="none" stroke="#8a93a1" stroke-width="2">'
    b'<rect x="18" y="22" width="44" height="36" rx="4"/><path d="m18 52 13-13 9 9 8-7 14 12"/></g></svg>'
)


def _any_of(*rights: Right) -> Callable[[Viewer], Awaitable[Viewer]]:
    async def required(who: Known) -> Viewer:
        if not any(who.who.may(right) for right in rights):
            who.who.require(rights[0])
        return who

    return required


KnownAsker = Annotated[Viewer, Depends(_any_of(Right.RECOGNISE))]
_Sees = Annotated[Viewer, Depends(_any_of(Right.JOBS, Right.REVIEW))]


def webp(make: Callable[[], bytes]) -> Response:
    """A picture, or the drawing of one where there is none to be had."""
    try:
        return Response(make(), media_type="image/webp", headers=_KEEP)
    except PacksightError:
        return Response(_MISSING, media_type="image/svg+xml", headers={"Cache-Control": "private, max-age=60"})


@router.get("/jobs/{job}/photos/{place}/picture")
def of_job(who: _Sees, job: str, place: int, side: Side) -> Response:
    """A photo of a job."""
    manifest = who.rooms.manifest(job)
    who.who.require_catalog(manifest.catalog)
    image = who.rooms.indexes.of(manifest, patience=0).image(place) if 0 <= place < manifest.photos else None
    if image is None:
        return Response(status_code=404)
    return webp(lambda: who.rooms.pictures.of_query(image.reference, side, image.sha256))


@router.get("/photos/{sha256}")
def of_catalog(who: Known, sha256: str, side: Side) -> Response:
    """A photo of a catalog."""
    if not _SHA256.fullmatch(sha256):
        return Response(status_code=404)
    return webp(lambda: who.rooms.pictures.of_catalog(sha256, side))
