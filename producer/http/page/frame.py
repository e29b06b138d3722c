"""What every page goes through: who looks, the word against forged requests, the frame around it, and how it is refused."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Annotated, Any
from urllib.parse import quote, urlencode

from fastapi import Depends, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.routing import APIRoute
from jinja2 import Environment, PackageLoader, StrictUndefined

from packsight.producer.http.body import read_form
from packsight.producer.http.caller import session_of
from packsight.producer.http.door import Door, TheDoor
from packsight.producer.http.errors import answer, refused
from packsight.producer.http.page.rooms import Rooms
from packsight.producer.http.refusal import CONTRACT, Refused
from packsight.producer.http.rights import Caller, Right
from packsight.producer.http.sessions import CSRF_HEADER
from packsight.producer.report import LABELS
from packsight.shared.contract.errors import ErrorCode, UserError
from packsight.shared.contract.outcomes import Status
from packsight.shared.contract.references import printable, shown

_READS = frozenset({"GET", "HEAD"})
_PAGES = (
    (Right.RECOGNISE, "/", "Recognise"),
    (Right.JOBS, "/jobs", "Jobs"),
    (Right.REVIEW, "/review", "Review"),
    (Right.REVIEW, "/products", "Products"),
)
"""Which right opens which page, in the order of the navigation."""
_ROOMS = {path: name for _, path, name in _PAGES}
_LONGEST = 200
"""Characters of an address that are told."""
_WAITED = frozenset({503, 504})
"""Refusals whose cause is nothing to who looks at a page: it is told below for whoever runs packsight."""
_AWAY = (
    "Something that packsight needs for this is away or too busy.",
    "Try again in a minute; if it lasts, tell whoever runs packsight.",
)


class _SignInFirst(Exception):
    pass


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who looks at a page, and what is shown to them."""

    request: Request
    door: Door
    rooms: Rooms
    who: Caller
    csrf: str
    """What each form says that changes something."""

    def page(self, template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
        """A page of this template within the frame."""
        headers = {"Cache-Control": "private, no-cache"}
        text = environment().get_template(template).render(
            who=self.who, csrf=self.csrf, tabs=self.tabs, here=self.request.url.path, may=self.who.may, **values
        )  # fmt: skip
        return HTMLResponse(text, status, headers)

    @property
    def tabs(self) -> list[tuple[str, str]]:
        """The pages that they may see: address and name."""
        return [(path, name) for right, path, name in _PAGES if self.who.may(right)]

    def catalogs(self) -> list[str]:
        """The catalogs that they may see, the usual one first."""
        names = [name for name in self.rooms.catalogs() if self.who.sees(name)]
        return sorted(names, key=lambda name: (name != "default", name))


async def known(request: Request, the_door: TheDoor) -> Viewer:
    """Whoever is signed in; else they are led to the door. What changes something has to say the word of its form."""
    who = _signed_in(request, the_door)
    if who is None:
        raise _SignInFirst
    if request.method not in _READS:
        said = request.headers.get(CSRF_HEADER) or str((await read_form(request)).get("csrf", ""))
        if not hmac.compare_digest(said.encode(), who.csrf.encode()):
            message = "The form is out of date, or another site sent it"
            raise Refused(403, ErrorCode.ACCESS_DENIED, message, remedy="Load the page again and send it once more.")
    return who


def _signed_in(request: Request, the_door: Door) -> Viewer | None:
    session = session_of(request, the_door)
    person = the_door.accounts.person(session.name) if session else None
    if session is None or person is None:
        return None
    return Viewer(request, the_door, request.app.state.rooms, person.caller, the_door.sessions.csrf(session))


async def viewer(who: Annotated[Viewer, Depends(known)]) -> Viewer:
    """The same, counted: what a page consists of beside its text, its pictures, is not."""
    who.door.rates.take(who.who.called)
    return who


def _with(right: Right) -> Callable[[Viewer], Awaitable[Viewer]]:
    async def required(who: TheViewer) -> Viewer:
        who.who.require(right)
        return who

    return required


Known = Annotated[Viewer, Depends(known)]
TheViewer = Annotated[Viewer, Depends(viewer)]
Asker = Annotated[Viewer, Depends(_with(Right.RECOGNISE))]
Submitter = Annotated[Viewer, Depends(_with(Right.JOBS))]
Reviewer = Annotated[Viewer, Depends(_with(Right.REVIEW))]


class PageRoute(APIRoute):
    """Answers errors with a page: what happened and what to do, for people."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler of a request."""
        handle = super().get_route_handler()

        async def handled(request: Request) -> Response:
            try:
                return await handle(request)
            except _SignInFirst:
                if request.method in _READS:
                    return to(link("/sign-in", next=request.url.path + (f"?{request.url.query}" if request.url.query else "")))
                return to(link("/sign-in", next=await _said_at(request), lost="yes"))
            except Exception as error:
                return _refusal(request, refused(error))
            finally:
                await request.close()  # the files of its form

        return handled


async def _said_at(request: Request) -> str:
    """Where something was said that nobody took: it is not sent again."""
    room = _room(request)
    if room != "/review":  # elsewhere a form may be as large as a photo
        return room
    form = await read_form(request)
    return link(room, catalog=str(form.get("catalog", "")), job=str(form.get("job", "")))


def _room(request: Request) -> str:
    """The page of the navigation to which an address belongs."""
    room = f"/{request.url.path.split('/')[1]}"
    return room if room in _ROOMS else "/"


def _of_programs(error: Refused) -> bool:
    """Whether its remedy speaks of the interface of programs, or of storage."""
    return error.failure.remedy == CONTRACT or error.status == 404


def no_page(request: Request, error: Exception) -> Response:
    """Answer what leads to no endpoint: browsers with a page, programs as every error of the door."""
    found = refused(error)
    if "text/html" not in request.headers.get("Accept", "") or request.url.path.startswith("/v1/"):
        return answer(found)
    message = f"There is no page at {printable(request.url.path)[:_LONGEST]}"
    return _refusal(request, Refused(found.status, found.failure.code, message, headers=found.headers))


def _refusal(request: Request, error: Refused) -> HTMLResponse:
    told, remedy = _AWAY if error.status in _WAITED else (error.message, error.failure.remedy)
    room = _room(request)
    values: dict[str, Any] = {
        "failure": error.failure, "http_status": error.status, "told": told, "remedy": "" if _of_programs(error) else remedy,
        "back": room, "room": _ROOMS[room],
    }  # fmt: skip
    try:
        who = _signed_in(request, request.app.state.door)
    except UserError:  # what is wrong may be the accounts
        who = None
    if who is not None:
        shows = who.page("refusal.html.j2", layout="base.html.j2", **values)
    else:
        shows = HTMLResponse(environment().get_template("refusal.html.j2").render(layout="door.html.j2", **values))
    shows.status_code = error.status
    shows.headers.update(error.headers)
    return shows


def to(path: str) -> RedirectResponse:
    """Go on to another page: what was sent is not sent again when that is loaded anew."""
    return RedirectResponse(path, 303)


def link(path: str, **query: object) -> str:
    """An address of ours with what is asked of it; what is empty is left out."""
    asked = {name: value for name, value in query.items() if value not in (None, "", False)}
    return f"{quote(path)}{'?' + urlencode(asked) if asked else ''}"


@cache
def asset(name: str) -> tuple[bytes, str]:
    """Stylesheet or script, and the address under which browsers may keep it."""
    data = (files(__package__) / "static" / name).read_bytes()
    return data, f"/static/{name}?{hashlib.sha256(data).hexdigest()[:12]}"


@cache
def environment() -> Environment:
    """Templates of the pages, escaping everything."""
    made = Environment(
        loader=PackageLoader(__package__), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    made.filters |= {"percent": percent, "shown": shown, "tail": tail}
    made.globals |= {"asset": lambda name: asset(name)[1], "link": link, "labels": LABELS, "Status": Status, "Right": Right}
    return made


def tail(name: str) -> str:
    """The end of a photo's name, by which people know it: the file and its folder."""
    return shown("/".join(name.rsplit("/", 2)[-2:]))


def percent(share: float) -> str:
    """A probability as people read it: never 100 % where it is not certain, nor 0 % where it is possible."""
    if 0.995 <= share < 1:
        return "> 99 %"
    if 0 < share < 0.005:
        return "< 1 %"
    return f"{100 * share:.0f} %"
