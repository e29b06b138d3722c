"""Whoever submitted a job is told when it has ended: a signed POST to the address that it named, tried again for hours.

    X-Packsight-Timestamp: 1795750000
    X-Packsight-Signature: sha256=<HMAC-SHA256 of "<timestamp>.<body>" with the client's secret, in hex digits>

The address is under the same rules as those of photos: public ones, unless PACKSIGHT_FETCH__ALLOWED_HOSTS names the host.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel

from packsight.producer.http.caller import Submitter
from packsight.producer.http.door import Door, TheDoor
from packsight.producer.http.errands import Alive, Errand, Kind, NotYet
from packsight.producer.http.refusal import Refused
from packsight.producer.http.rights import Caller, Right
from packsight.producer.http.rights import Kind as CallerKind
from packsight.producer.jobs import NoSuchJob
from packsight.producer.summary import State, Summary
from packsight.shared.contract.errors import ErrorCode, ImageError, UserError
from packsight.shared.contract.outcomes import Status
from packsight.shared.contract.references import parse_address, shown
from packsight.shared.storage import deadline
from packsight.shared.storage.jobs import JobManifest
from packsight.shared.storage.web import Web

router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"])

TIMESTAMP, SIGNATURE = "X-Packsight-Timestamp", "X-Packsight-Signature"
_SECONDS = 15.0
"""For one try, its answer included."""
_SOONEST, _LATEST, _SHARE = 1.0, 30.0, 0.05
"""Seconds between two looks whether a job has ended: a twentieth of its age within these."""


class JobEnded(BaseModel):
    """Body of the request that tells of a job's end."""

    event: Literal["job.ended"] = "job.ended"
    job: str
    name: str
    state: State
    photos: int
    ends: dict[Status, int]


def check(web: Web, who: Caller, address: str) -> None:
    """Raise Refused for an address that cannot be told of a job's end, ImageError where that cannot be found out now."""
    if who.kind is not CallerKind.CLIENT:
        raise Refused(400, ErrorCode.BAD_MESSAGE, "Only programs have webhooks", remedy="Submit the job with a key.")
    try:
        with deadline.within(_SECONDS):
            web.check(parse_address(address))
    except ImageError as error:
        if error.retryable:  # such as a resolver that is away
            raise
        remedy = "Give a public https:// address; whoever runs the server allows another by PACKSIGHT_FETCH__ALLOWED_HOSTS."
        raise Refused(400, error.code, f"The address of `webhook`: {error.message}", remedy=remedy) from None


def tell(the_door: Door, errand: Errand, _: Alive) -> None:
    """Tell that a job has ended; raises NotYet before, ImageError or UserError when it could not be told."""
    try:
        manifest = the_door.client.manifest(errand.job)
    except NoSuchJob:
        return
    if not manifest.webhook:
        return
    summary = the_door.standing(manifest)
    if not summary.final:
        age = (datetime.now(UTC) - manifest.created_at).total_seconds()
        raise NotYet(min(_LATEST, max(_SOONEST, age * _SHARE)))
    owner = the_door.accounts.client_named(errand.client)
    if owner is None:
        raise UserError(f"{errand.client} has no key any more, and so no secret to sign with. Add it by `packsight keys add`.")
    body = _body(manifest, summary)
    stamp = f"{time.time():.0f}"
    headers = {
        "Content-Type": "application/json",
        TIMESTAMP: stamp,
        SIGNATURE: f"sha256={signature(owner.webhook_secret, stamp, body)}",
    }
    with deadline.within(_SECONDS):
        status = the_door.web.post(parse_address(manifest.webhook), body, headers)
    if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        raise ImageError(ErrorCode.HTTP_STATUS, f"{shown(manifest.webhook)} answered with status {status}")


def signature(secret: str, stamp: str, body: bytes) -> str:
    """Hex digits of the HMAC that proves who sent a body, and when."""
    return hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def _body(manifest: JobManifest, summary: Summary) -> bytes:
    told = JobEnded(
        job=manifest.job, name=manifest.name, state=summary.state, photos=summary.photos, ends=dict(summary.ends)
    )  # fmt: skip
    return told.model_dump_json().encode()


class FailedWebhook(BaseModel):
    """A job whose end could not be told."""

    job: str
    client: str
    tries: int
    error: str


@router.get("/failed")
def failed(who: Submitter, the_door: TheDoor) -> list[FailedWebhook]:
    """Webhooks that were given up, the newest first: the asking program's, or those of an administrator's catalogs."""
    return [FailedWebhook(**one.model_dump()) for one in _failed(who, the_door)]


@router.post("/failed/{job}/retry", status_code=202)
def retry(job: str, who: Submitter, the_door: TheDoor) -> FailedWebhook:
    """Try one that was given up once more, and again as at first."""
    for one in _failed(who, the_door):
        if one.job == job:
            the_door.have_done(one.model_copy(update={"tries": 0}))
            return FailedWebhook(**one.model_dump())
    remedy = "GET /v1/webhooks/failed lists those there are."
    raise Refused(404, ErrorCode.OBJECT_MISSING, f"No webhook of the job {job} was given up", remedy=remedy)


def _failed(who: Caller, the_door: Door) -> list[Errand]:
    return [one for one in the_door.errands.failed(Kind.WEBHOOK) if _is_of(who, one) or _may_see(who, one.job, the_door)]


def _is_of(who: Caller, errand: Errand) -> bool:
    return who.kind is CallerKind.CLIENT and errand.client == who.name


def _may_see(who: Caller, job: str, the_door: Door) -> bool:
    """Whether they look after the catalog of a job; of one that is gone after all."""
    if not who.may(Right.ADMIN) or who.catalogs is None:
        return who.may(Right.ADMIN)
    try:
        return who.sees(the_door.manifests.of(job).catalog)
    except NoSuchJob:
        return False
