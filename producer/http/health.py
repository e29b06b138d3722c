"""Whether the server lives, and whether what it needs answers: /healthz and /readyz, for probes, without a key."""

from __future__ import annotations

from fastapi import APIRouter, Response
from pydantic import BaseModel

from packsight.producer.backoff import UNANSWERED
from packsight.producer.http.door import TheDoor

router = APIRouter(tags=["health"])


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


@router.get("/readyz", responses={503: {"model": Ready}})
def ready(response: Response, the_door: TheDoor) -> Ready:
    """Say whether requests can be carried out now; 503 when not."""
    try:
        the_door.client.ledger.jobs.active()
        queue = True
    except UNANSWERED:
        queue = False
    store = the_door.client.store.answers()
    response.status_code = 200 if queue and store else 503
    return Ready(ready=queue and store, queue=queue, store=store)
