"""How whatever goes wrong with a request is answered."""

from __future__ import annotations

import logging
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from packsight.producer.backoff import UNANSWERED
from packsight.producer.broker import QueueAway
from packsight.producer.client import NoAnswer
from packsight.producer.http.refusal import CONTRACT, Refusal, Refused, bad_request
from packsight.producer.jobs import JobOver, NoSuchJob
from packsight.shared.contract.errors import ErrorCode, PacksightError, UserError
from packsight.shared.contract.references import printable
from packsight.shared.queue.ledger import JobRemoved

log = logging.getLogger(__name__)

AWAY = 5.0
"""Seconds after which to ask again what is away: a restart of broker or store takes about so long."""
_MOMENT = "Try again in a moment."
_WRONG = 20
"""Wrong fields that are named."""


_STATUS = {
    ErrorCode.BAD_MESSAGE: HTTPStatus.BAD_REQUEST,
    ErrorCode.REFERENCE_INVALID: HTTPStatus.BAD_REQUEST,
    ErrorCode.REFERENCE_REFUSED: HTTPStatus.BAD_REQUEST,
    ErrorCode.ACCESS_DENIED: HTTPStatus.FORBIDDEN,
    ErrorCode.OBJECT_MISSING: HTTPStatus.NOT_FOUND,
    ErrorCode.CATALOG_MISSING: HTTPStatus.NOT_FOUND,
    ErrorCode.CONFLICT: HTTPStatus.CONFLICT,
    ErrorCode.FILE_TOO_LARGE: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    ErrorCode.FORMAT_UNSUPPORTED: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    ErrorCode.TOO_MANY_REQUESTS: HTTPStatus.TOO_MANY_REQUESTS,
    ErrorCode.HOST_UNREACHABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    ErrorCode.FETCH_TIMEOUT: HTTPStatus.SERVICE_UNAVAILABLE,
    ErrorCode.FETCH_FAILED: HTTPStatus.SERVICE_UNAVAILABLE,
    ErrorCode.BUCKET_MISSING: HTTPStatus.SERVICE_UNAVAILABLE,
    ErrorCode.NO_ANSWER: HTTPStatus.GATEWAY_TIMEOUT,
    ErrorCode.INTERNAL: HTTPStatus.INTERNAL_SERVER_ERROR,
}
"""Of errors that say none of their own."""
_OF_HTTP = {
    404: (ErrorCode.OBJECT_MISSING, "See /openapi.json for the addresses there are."),
    405: (ErrorCode.BAD_MESSAGE, "See /openapi.json for the methods that this address knows."),
    408: (ErrorCode.FETCH_TIMEOUT, "Send it again, or have the operator raise PACKSIGHT_HTTP__BODY_SECONDS."),
    413: (ErrorCode.FILE_TOO_LARGE, "Send less, or have the operator raise PACKSIGHT_HTTP__MAX_BODY."),
}
"""What the framework refuses by itself."""


def answer(error: Refused) -> JSONResponse:
    """The answer to a request that is refused."""
    body = Refusal(reason=error.message, failure=error.failure)
    return JSONResponse(body.model_dump(mode="json", exclude_none=True), error.status, error.headers)


def refused(error: Exception) -> Refused:
    """The same error as a request's; one that nobody expected says no more than its kind."""
    if isinstance(error, Refused):
        return error
    if isinstance(error, PacksightError):
        status = _STATUS.get(error.code, HTTPStatus.INTERNAL_SERVER_ERROR)
        wait = AWAY if error.retryable else None
        return Refused(status, error.code, error.message, remedy=error.remedy, retry_after=wait)
    if isinstance(error, (UserError, *UNANSWERED)):
        return _of_client(error)
    if isinstance(error, RequestValidationError):
        return bad_request(f"The request does not follow the contract: {_wrong_fields(error)}")
    if isinstance(error, HTTPException):
        code, remedy = _OF_HTTP.get(error.status_code, (ErrorCode.BAD_MESSAGE, CONTRACT))
        return Refused(error.status_code, code, printable(str(error.detail)), remedy=remedy, headers=error.headers or {})
    log.error("a request failed", exc_info=error)
    remedy = "A defect in packsight: report it with the log of `packsight serve`."
    return Refused(500, ErrorCode.INTERNAL, f"{type(error).__name__} while working on this request", remedy=remedy)


def _of_client(error: Exception) -> Refused:
    """What the client of the queue says in one text, cause and remedy; or that what is asked beside it does not answer."""
    match error:
        case QueueAway():
            return Refused(503, ErrorCode.HOST_UNREACHABLE, str(error), remedy=_MOMENT, retry_after=AWAY)
        case _ if isinstance(error, UNANSWERED):
            message = f"The queue or its results do not answer ({type(error).__name__})"
            return Refused(503, ErrorCode.HOST_UNREACHABLE, message, remedy=_MOMENT, retry_after=AWAY)
        case NoAnswer():
            return Refused(504, ErrorCode.NO_ANSWER, str(error), retry_after=AWAY)
        case NoSuchJob() | JobRemoved():
            return Refused(404, ErrorCode.OBJECT_MISSING, str(error), remedy="GET /v1/jobs lists those there are.")
        case JobOver():
            remedy = "Leave it as it is: nobody works on it any more."
            return Refused(409, ErrorCode.CONFLICT, str(error), remedy=remedy, retryable=False)
        case _:
            return bad_request(str(error))


def _wrong_fields(error: RequestValidationError) -> str:
    found = error.errors()
    more = f"; and {len(found) - _WRONG} more" if len(found) > _WRONG else ""
    told = (f"{printable('.'.join(map(str, one['loc'])))[:200]}: {printable(str(one['msg']))}" for one in found[:_WRONG])
    return "; ".join(told) + more


def _handle(_: Request, error: Exception) -> JSONResponse:
    return answer(refused(error))


def handle_errors(app: FastAPI) -> None:
    """Let the app answer every error in this form."""
    for kind in (PacksightError, UserError, RequestValidationError, Exception):
        app.add_exception_handler(kind, _handle)


