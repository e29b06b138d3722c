"""One photo, while somebody waits: POST /v1/recognize, and POST /image as the system of 2020 answered it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from pydantic import Field, ValidationError

from packsight.producer.http import photos
from packsight.producer.http.caller import Recogniser
from packsight.producer.http.door import Door, TheDoor
from packsight.producer.http.photos import Asked
from packsight.producer.http.refusal import Refused, bad_request
from packsight.producer.http.rights import Caller
from packsight.producer.upload import MAX_REFERENCE, upload_bytes
from packsight.shared.contract.errors import ErrorCode
from packsight.shared.contract.messages import RecognizeOptions
from packsight.shared.contract.outcomes import Outcome, Status
from packsight.shared.contract.references import is_picture_itself
from packsight.shared.contract.validation import wrong_fields
from packsight.shared.storage.jobs import JobImage

router = APIRouter(tags=["recognise"])


class Options(RecognizeOptions):
    """How a photo is answered: in the address, or beside the photo in a form or an object."""

    timeout: Annotated[float | None, Field(gt=0)] = None
    """Seconds to wait for the answer; PACKSIGHT_HTTP__DEADLINE at most, and unless it is said."""


_SAID = Options.model_json_schema()["properties"]
_BODY = photos.described({"image": photos.FILE, "url": photos.TEXT}, {"url": photos.TEXT, "base64": photos.TEXT}, _SAID)
_FORM = "multipart/form-data"
_IN_FORM = {"requestBody": {"required": True, "content": {_FORM: _BODY["requestBody"]["content"][_FORM]}}}


@router.post("/v1/recognize", response_model=Outcome, openapi_extra=_BODY)
async def recognize(request: Request, options: Annotated[Options, Query()], who: Recogniser, the_door: TheDoor) -> Response:
    """Recognise one photo ahead of all jobs. The answer is its outcome, also where the photo is of no use (`failed`)."""
    outcome = await _outcome(request, options, who, the_door)
    return Response(outcome.model_dump_json(exclude_none=True), media_type="application/json")


@router.post("/image", openapi_extra=_IN_FORM)
async def image(request: Request, options: Annotated[Options, Query()], who: Recogniser, the_door: TheDoor) -> Response:
    """Answer `{"url", "picture"}` of the product, or 400 with `{"status": "failed", "reason"}` where none was matched."""
    outcome = await _outcome(request, options, who, the_door)
    if outcome.status is not Status.MATCHED or outcome.product is None:
        return JSONResponse({"status": "failed", "reason": outcome.reason}, 400)
    return JSONResponse({"url": outcome.product.url, "picture": outcome.product.picture})


async def _outcome(request: Request, options: Options, who: Caller, the_door: Door) -> Outcome:
    with the_door.waiting.one(who.called):  # before the body is taken in, so that what waits is bounded in memory too
        asked = await photos.read(request, the_door.settings)
        return await run_in_threadpool(_ask, asked, options, who, the_door)


def _ask(asked: Asked, options: Options, who: Caller, the_door: Door) -> Outcome:
    chosen = _chosen(options, asked)
    who.require_catalog(chosen.catalog)
    longest = the_door.settings.http.deadline
    client = the_door.client
    photo = _named(asked) if asked.data is None else upload_bytes(asked.data, asked.name, client.store)
    return client.ask(photo, RecognizeOptions(**chosen.alone()), timeout=min(chosen.timeout or longest, longest))


def _chosen(options: Options, asked: Asked) -> Options:
    try:
        return Options.model_validate({**options.model_dump(exclude_unset=True), **asked.fields})
    except ValidationError as error:
        raise bad_request(f"The request does not follow the contract: {wrong_fields(error)}") from None


def _named(asked: Asked) -> JobImage:
    reference = asked.reference or ""
    if is_picture_itself(reference):
        message = "`url` is the address of a photo, and this is the picture itself, as a data URI"
        raise Refused(400, ErrorCode.BAD_MESSAGE, message, remedy="Send it as `base64`, which takes data URIs too.")
    if not 0 < len(reference) <= MAX_REFERENCE:
        raise bad_request(f"`url` has 1 to {MAX_REFERENCE} characters")
    return JobImage(reference=reference, name=reference)
