"""Whether the server lives, and whether what it needs answers: /healthz and /readyz, for probes, without a key."""

from __future__ import annotations

import asyncio
import time

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel

from packsight.producer.backoff import UNANSWERED
from packsight.producer.client import Client
from packsight.producer.http.errors import AWAY

router = APIRouter(tags=["health"])

_SECONDS = 1.0
"""For which an answer is good: probes ask every few seconds, and whoever asks more often has no key and costs nothing."""


class Alive(BaseModel):
    """The server answers."""

    status: str = "ok"


class Ready(BaseModel):
    """What it needs."""

    ready: bool
    queue: bool
    """Whether broker and result database answer."""
    store: bool
    """Whether object storage does."""


@router.get("/healthz")
async def alive() -> Alive:
    """Answer, whatever else is away: a restart of the server would not mend that."""
    return Alive()


class Readiness:
    """What one server knows of what it needs: asked once a second at most, in one thread, however many want to know."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._asked: asyncio.Task[Ready] | None = None
        self._at = 0.0

    async def now(self) -> Ready:
        """What was answered within the last second, or is being answered."""
        if self._asked is None or (self._asked.done() and time.monotonic() - self._at > _SECONDS):
            self._at = time.monotonic()
            self._asked = asyncio.create_task(run_in_threadpool(self._ask))
        return await asyncio.shield(self._asked)  # others wait for it too

    def _ask(self) -> Ready:
        try:
            self._client.ledger.jobs.active()
            queue = True
        except UNANSWERED:
            queue = False
        store = self._client.store.answers()
        return Ready(ready=queue and store, queue=queue, store=store)


@router.get("/readyz", responses={503: {"model": Ready}})
async def ready(request: Request, response: Response) -> Ready:
    """Say whether requests can be carried out now; 503 when not."""
    readiness: Readiness = request.app.state.readiness
    found = await readiness.now()
    if not found.ready:
        response.status_code = 503
        response.headers["Retry-After"] = f"{AWAY:.0f}"
    return found
