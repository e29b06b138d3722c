"""Requests that may be sent twice: whoever says the same `Idempotency-Key` again gets the job of the first request."""

from __future__ import annotations

import hashlib
from typing import cast

import redis
from pydantic import BaseModel, ConfigDict

from packsight.producer.http.refusal import Refused
from packsight.shared.contract.errors import ErrorCode
from packsight.shared.queue import keys
from packsight.shared.storage.jobs import new_job_id


class Submission(BaseModel):
    """The job that a key stands for."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    job: str
    said: str
    """Hash of the request."""
    accepted: bool = False
    """Whether the job is kept, and is to be queued."""


class Repeats:
    """Which job each key of a client stands for: in the result database, for as long as results are kept."""

    def __init__(self, client: redis.Redis, expires: int) -> None:
        self._client, self._expires = client, expires

    def begin(self, client: str, key: str, said: bytes) -> Submission:
        """The submission that a client's key stands for: of the request that came first, or a new one; said: the whole request.

        One that was not accepted goes on under the same job's id, which the first request may still be at work on: it writes
        the same. Raises Refused (422) for another request than that of the job.
        """
        name = _name(client, key)
        new = Submission(job=new_job_id(), said=hashlib.sha256(said).hexdigest())
        if self._client.set(name, new.model_dump_json(), ex=self._expires, nx=True):
            return new
        text = cast("str | None", self._client.get(name))
        found = new if text is None else Submission.model_validate_json(text)
        if found.said == new.said:
            return found
        if found.accepted:
            remedy = "Send each Idempotency-Key with one request alone, and its repetitions."
            message = f"This Idempotency-Key came with another request, whose job is {found.job}"
            raise Refused(422, ErrorCode.BAD_MESSAGE, message, remedy=remedy)
        self._keep(name, new)
        return new

    def accepted(self, client: str, key: str, submission: Submission) -> None:
        """Note that whoever repeats the request gets this job."""
        self._keep(_name(client, key), submission.model_copy(update={"accepted": True}))

    def _keep(self, name: str, submission: Submission) -> None:
        self._client.set(name, submission.model_dump_json(), ex=self._expires)


def _name(client: str, key: str) -> str:
    return keys.submission(hashlib.sha256(f"{client}\n{key}".encode()).hexdigest())
