"""The ASGI app: which endpoints there are, and what every request goes through."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from http import HTTPStatus
from typing import Any

import anyio.to_thread
from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.routing import Match

from packsight import __version__
from packsight.producer.http import (
    health,
    jobs,
    page,
    queueing,
    recognise,
    results,
    reviews,
    schemas,
    sign_in,
    uploads,
    webhooks,
)
from packsight.producer.http.door import Door
from packsight.producer.http.errands import Kind, Runner
from packsight.producer.http.errors import handle_errors
from packsight.producer.http.figures import Counted
from packsight.producer.http.limits import BodyLimit, Heads, SafeHeaders, Unpacked
from packsight.producer.http.page.frame import no_page
from packsight.producer.http.page.rooms import Rooms
from packsight.producer.http.refusal import Refusal
from packsight.producer.http.submitted import JobRequest
from packsight.producer.http.turned_away import TurnedAway
from packsight.shared.metrics.exporter import Figures
from packsight.shared.settings import Settings

_THREADS = {Kind.QUEUE: 2, Kind.RETRY: 1, Kind.WEBHOOK: 4}
"""Errands at a time: queueing keeps a processor busy, telling waits for others."""
_LARGE = ("/v1/recognize", "/image", "/v1/jobs", "/v1/uploads/photo", "/ask")
"""Addresses to which photos and lists of them are sent."""
_OTHERS = 40
"""Threads for what does not wait for workers, beside one for each request that does."""


class _App(FastAPI):
    """Describes bodies too that it does not read itself."""

    def openapi(self) -> dict[str, Any]:
        """What /openapi.json says."""
        described = super().openapi()
        body = JobRequest.model_json_schema(ref_template="#/components/schemas/{model}")
        described["components"]["schemas"] |= {**body.pop("$defs"), JobRequest.__name__: body}
        return described


def create_app(settings: Settings, figures: Figures | None = None) -> FastAPI:
    """The app of one server; no other server need answer yet. figures: in which its requests are counted.

    Raises UserError or OSError when its files below PACKSIGHT_HOME cannot be read or made.
    """
    app = _App(
        title="packsight",
        version=__version__,
        description="Recognises packaged products in photos.",
        lifespan=_opened,
        # The framework's pages of documentation load scripts from other hosts; /openapi.json says the same.
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # an answer without a body; the address is wrong, and that is told
        responses={"default": {"model": Refusal, "description": "Refused, with cause and remedy"}},
    )
    app.state.door = Door.of(settings)
    app.state.readiness = health.Readiness(app.state.door.client)
    app.state.rooms = Rooms(app.state.door)
    handle_errors(app)
    app.add_exception_handler(HTTPException, _nowhere)
    for part in (health, sign_in, recognise, jobs, results, uploads, reviews, webhooks, schemas, page):
        app.include_router(part.router)
    app.add_middleware(BodyLimit, most=settings.http.max_body, seconds=settings.http.body_seconds, large=_LARGE)
    app.add_middleware(Unpacked)
    app.add_middleware(SafeHeaders)
    app.add_middleware(TurnedAway)
    if figures is not None:
        app.add_middleware(Counted, figures=figures)
    app.add_middleware(Heads)  # outermost: what is within goes by one description of the request
    return app


def _nowhere(request: Request, error: Exception) -> Response:
    """Answer what leads to no endpoint. Of the methods of an address the framework knows those of its first endpoint alone."""
    if isinstance(error, HTTPException) and error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        error.headers = {"Allow": ", ".join(_methods(request))}
    return no_page(request, error)


def _methods(request: Request) -> Iterator[str]:
    for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"):
        scope = {**request.scope, "method": "GET" if method == "HEAD" else method}
        if any(route.matches(scope)[0] is Match.FULL for route in request.app.routes):
            yield method


@asynccontextmanager
async def _opened(app: FastAPI) -> AsyncIterator[None]:
    the_door: Door = app.state.door
    anyio.to_thread.current_default_thread_limiter().total_tokens = the_door.settings.http.in_work + _OTHERS
    runner = _runner(the_door)
    runner.start()
    app.state.rooms.indexes.start()
    yield
    await run_in_threadpool(runner.stop)
    app.state.rooms.close()
    the_door.close()


def _runner(the_door: Door) -> Runner:
    """What does the errands of this server."""
    client = the_door.client
    return Runner(
        the_door.errands,
        {
            Kind.QUEUE: partial(queueing.enqueue, client),
            Kind.RETRY: partial(queueing.ask_again, client, the_door.errands),
            Kind.WEBHOOK: partial(webhooks.tell, the_door),
        },
        _THREADS,
    )
