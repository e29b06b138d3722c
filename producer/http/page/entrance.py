"""Signing in; stylesheet and script."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from packsight.producer.http.caller import session_of
from packsight.producer.http.door import TheDoor
from packsight.producer.http.page.frame import PageRoute, asset, environment, to

router = APIRouter(route_class=PageRoute)

_TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}


@router.get("/sign-in")
async def sign_in(request: Request, the_door: TheDoor, next: str = "/", *, lost: bool = False) -> Response:
    """The form; its script sends name and password to /v1/session. lost: whether something was sent that nobody took."""
    onward = local(next)
    if session_of(request, the_door):
        return to(onward)
    return HTMLResponse(environment().get_template("sign_in.html.j2").render(onward=onward, lost=lost))


def local(path: str) -> str:
    """A path of ours to go on to: never another site's, however it is written."""
    harmless = path.startswith("/") and not path.startswith("//") and "\\" not in path and path.isprintable()
    return path if harmless else "/"


@router.get("/static/{name}")
async def static(name: Literal["page.css", "page.js", "icon.svg"]) -> Response:
    """Stylesheet, script or icon, which the address that names their hash may keep for ever."""
    data, _ = asset(name)
    kind = _TYPES[name.rpartition(".")[2]]
    return Response(data, media_type=kind, headers={"Cache-Control": "public, max-age=31536000, immutable"})
