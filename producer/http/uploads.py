"""Photos for jobs: taken in here, or sent past this server to object storage by addresses that it signs (POST /v1/uploads).

Either has a name that nobody can guess, `uploads/<random>`, so that nobody overwrites another's photo, and so that it does not go
with somebody else's job who submitted the same, before a job of its own names it. It is removed when no job names it any more
(PACKSIGHT_STORAGE__UPLOADS_DAYS).
"""

from __future__ import annotations

import hashlib
import secrets
from typing import Annotated

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict, Field

from packsight.producer.http import photos
from packsight.producer.http.caller import Large, Submitter
from packsight.producer.http.door import Door, TheDoor
from packsight.producer.http.refusal import bad_request
from packsight.shared.storage import layout

router = APIRouter(prefix="/v1/uploads", tags=["jobs"])

_BODY = photos.described({"image": photos.FILE}, {"base64": photos.TEXT})


class Wanted(BaseModel):
    """How many addresses are wanted."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    count: Annotated[int, Field(ge=1, le=1000)] = 1


class Upload(BaseModel):
    """Where to send a photo, and how to name it afterwards."""

    reference: str
    """For POST /v1/jobs and /v1/recognize."""
    put: str
    """Address for one HTTP PUT of the bytes, without any key."""
    expires_in: int
    """Seconds for which it can be used."""


class Uploads(BaseModel):
    """Addresses, each for one photo."""

    uploads: list[Upload]


class Stored(BaseModel):
    """A photo that was taken in."""

    reference: str
    sha256: str


@router.post("", status_code=201)
def signed(wanted: Wanted, who: Submitter, the_door: TheDoor) -> Uploads:
    """Addresses at object storage to which photos are sent past this server."""
    return Uploads(uploads=[_signed(the_door) for _ in range(wanted.count)])


def _signed(the_door: Door) -> Upload:
    key = _new_key()
    seconds = the_door.settings.http.upload_seconds
    address = the_door.signer.address_to_put(key, seconds)
    return Upload(reference=layout.address(the_door.client.store.bucket, key), put=address, expires_in=seconds)


@router.post("/photo", status_code=201, openapi_extra=_BODY, dependencies=[Large])
async def taken(request: Request, who: Submitter, the_door: TheDoor) -> Stored:
    """Take in one photo: its bytes, a form with one file, or base64, as POST /v1/recognize does."""
    asked = await photos.read(request, the_door.settings)
    if asked.data is None:
        raise bad_request("An address need not be uploaded: name it in the job")
    key, store = _new_key(), the_door.client.store
    await run_in_threadpool(store.write, key, asked.data)
    return Stored(reference=layout.address(store.bucket, key), sha256=hashlib.sha256(asked.data).hexdigest())


def _new_key() -> str:
    return layout.upload(secrets.token_hex(32))
