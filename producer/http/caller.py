"""Who asks: by the key in `Authorization: Bearer …`, or by the cookie of a person's session."""

from __future__ import annotations

import hmac
from collections.abc import AsyncIterator, Awaitable, Callable
from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyCookie, HTTPBearer

from packsight.producer.http.door import Door, TheDoor
from packsight.producer.http.queries import refuse_unknown
from packsight.producer.http.refusal import Refused
from packsight.producer.http.rights import Caller, Right
from packsight.producer.http.sessions import COOKIE, CSRF_HEADER, Session
from packsight.producer.http.turned_away import is_known
from packsight.shared.contract.errors import ErrorCode

_READS = frozenset({"GET", "HEAD", "OPTIONS"})
_KEY = Security(HTTPBearer(scheme_name="key", description="A key of `packsight keys add`.", auto_error=False))
_COOKIE = Security(
    APIKeyCookie(
        name=COOKIE, scheme_name="session", auto_error=False,
        description=f"Of POST /v1/session. What changes something needs the header {CSRF_HEADER} beside it.",
    )
)  # fmt: skip
"""Both say in /openapi.json of each endpoint that it asks who asks, by either; they are read here."""


async def caller(
    request: Request, the_door: TheDoor, _key: Annotated[object, _KEY] = None, _cookie: Annotated[object, _COOKIE] = None
) -> Caller:
    """Whoever asks; raises Refused: 401 for nobody who is known, 403 for what a page of another site may have sent, 429."""
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if scheme:
        found = _client(the_door, key.strip()) if scheme.lower() == "bearer" else None
        if found is None:
            the_door.sign_ins.take(address(request))
            raise _unknown("This key is not known", 'Send "Authorization: Bearer KEY" with a key that an operator gave.')
    else:
        found = _person(request, the_door)
    is_known(request, found.called)
    the_door.rates.take(found.called)
    return found


def _client(the_door: Door, key: str) -> Caller | None:
    client = the_door.accounts.client(key)
    return client.caller if client else None


def _person(request: Request, the_door: Door) -> Caller:
    session = session_of(request, the_door)
    if session is None:
        raise _unknown("Nobody is signed in", 'Sign in, or send "Authorization: Bearer KEY" with a key that an operator gave.')
    if request.method not in _READS:
        refuse_forged(request, the_door.sessions.csrf(session))
    person = the_door.accounts.person(session.name)
    assert person is not None  # noqa: S101 - else it would be no session
    return person.caller


def session_of(request: Request, the_door: Door) -> Session | None:
    """The session of whoever is signed in."""
    session = the_door.sessions.read(request.cookies.get(COOKIE, ""))
    return session if session and session.is_of(the_door.accounts.person(session.name)) else None


def refuse_forged(request: Request, expected: str) -> None:
    """Raise Refused (403) for a request that a page of another site may have made the browser send: it cannot say this word."""
    if not hmac.compare_digest(request.headers.get(CSRF_HEADER, "").encode(), expected.encode()):
        remedy = f"Send what GET /v1/session calls `csrf` as the header {CSRF_HEADER}."
        raise Refused(403, ErrorCode.ACCESS_DENIED, "The request may come from another site", remedy=remedy)


def address(request: Request) -> str:
    """Where a request comes from; of IPv6 the network, in which whoever guesses has as many addresses as they like."""
    host = request.client.host if request.client else "somewhere"
    try:
        at = ip_address(host)
    except ValueError:  # as a proxy may say it
        return host
    if isinstance(at, IPv6Address):
        return str(at.ipv4_mapped or IPv6Network((int(at), 64), strict=False))
    return host


def _unknown(message: str, remedy: str) -> Refused:
    headers = {"WWW-Authenticate": "Bearer"}
    return Refused(401, ErrorCode.ACCESS_DENIED, message, remedy=remedy, headers=headers)


def _with(right: Right) -> Callable[[Request, Caller], Awaitable[Caller]]:
    async def required(request: Request, who: TheCaller) -> Caller:
        who.require(right)
        refuse_unknown(request)
        return who

    return required


TheCaller = Annotated[Caller, Depends(caller)]
"""Anybody who is known."""
Recogniser = Annotated[Caller, Depends(_with(Right.RECOGNISE))]
Submitter = Annotated[Caller, Depends(_with(Right.JOBS))]
Reviewer = Annotated[Caller, Depends(_with(Right.REVIEW))]


async def _large(the_door: TheDoor, who: TheCaller) -> AsyncIterator[None]:
    with the_door.large.one(who.called):
        yield


Large = Depends(_large)
"""Of endpoints that hold one of the places for large requests until their answer is sent."""
