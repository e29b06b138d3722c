"""People sign in and out: /v1/session."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from packsight.producer.http.caller import TheCaller, address, session_of
from packsight.producer.http.door import Door, TheDoor
from packsight.producer.http.refusal import Refused
from packsight.producer.http.rights import Caller, Kind, Right
from packsight.producer.http.sessions import COOKIE, Session
from packsight.producer.http.turned_away import is_known
from packsight.shared.contract.errors import ErrorCode

router = APIRouter(prefix="/v1/session", tags=["session"])


class SignIn(BaseModel):
    """Who signs in. Only JSON is taken, which a form of another site cannot send."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(max_length=63)]
    password: Annotated[SecretStr, Field(max_length=1000)]


class SignedIn(BaseModel):
    """Who is signed in, or whose key it is."""

    name: str
    kind: Kind
    rights: list[Right]
    catalogs: list[str] | None
    """None = all."""
    csrf: str | None = None
    """To be sent as X-CSRF-Token with every request that changes something; None for a key."""


@router.post("")
def sign_in(asked: SignIn, request: Request, response: Response, the_door: TheDoor) -> SignedIn:
    """Begin a session; its cookie is good for PACKSIGHT_HTTP__SESSION_HOURS."""
    the_door.sign_ins.take(address(request))
    person = the_door.accounts.sign_in(asked.name, asked.password.get_secret_value())
    if person is None:
        if the_door.accounts.person(asked.name):  # who mistook the fields has typed his password as a name
            is_known(request, f"{Kind.PERSON} {asked.name}")
        remedy = "Check both. `packsight people add NAME` gives a new password."
        raise Refused(401, ErrorCode.ACCESS_DENIED, "Name or password are wrong", remedy=remedy)
    session, cookie = the_door.sessions.begin(person)
    response.set_cookie(
        COOKIE, cookie, max_age=round(the_door.sessions.seconds), httponly=True, samesite="lax",
        secure=the_door.settings.http.https,
    )  # fmt: skip
    return _told(the_door, person.caller, session)


@router.get("")
async def who(who: TheCaller, request: Request, the_door: TheDoor) -> SignedIn:
    """Who asks, and the word that requests which change something need."""
    return _told(the_door, who, session_of(request, the_door) if who.kind is Kind.PERSON else None)


@router.delete("", status_code=204)
async def sign_out(_: TheCaller, response: Response, the_door: TheDoor) -> None:
    """End the session in this browser."""
    response.delete_cookie(COOKIE, httponly=True, samesite="lax", secure=the_door.settings.http.https)


def _told(the_door: Door, who: Caller, session: Session | None) -> SignedIn:
    catalogs = None if who.catalogs is None else sorted(who.catalogs)
    csrf = the_door.sessions.csrf(session) if session else None
    return SignedIn(name=who.name, kind=who.kind, rights=sorted(who.rights), catalogs=catalogs, csrf=csrf)
