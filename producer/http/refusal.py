"""How a request is refused: a status, and in JSON what a failed outcome says of itself.

    {"status": "failed", "reason": "…", "failure": {"code": …, "message": …, "remedy": …, "retryable": …, "retry_after": …}}
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType

from pydantic import BaseModel

from packsight.shared.contract.errors import ErrorCode, PacksightError
from packsight.shared.contract.outcomes import Failure, Status

CONTRACT = "Correct the request; /openapi.json describes it."
"""The remedy of a request that says something wrong."""


class Refused(PacksightError):
    """A request that is not carried out.

    status: of HTTP; retry_after: seconds after which the same may succeed; retryable: whether it can without them, where the
    code says otherwise; headers: further ones of the answer.
    """

    def __init__(
        self, status: int, code: ErrorCode, message: str, *, remedy: str | None = None, retry_after: float | None = None,
        retryable: bool | None = None, headers: Mapping[str, str] = MappingProxyType({}),
    ) -> None:  # fmt: skip
        super().__init__(code, message, remedy=remedy, retryable=retryable if retry_after is None else True)
        self.status, self.retry_after = status, retry_after
        wait = {} if retry_after is None else {"Retry-After": f"{max(1, math.ceil(retry_after))}"}
        self.headers = {**headers, **wait}

    @property
    def failure(self) -> Failure:
        """What is said of it."""
        return Failure.of(self).model_copy(update={"retry_after": self.retry_after})


class Refusal(BaseModel):
    """Body of every answer that is no success."""

    status: Status = Status.FAILED
    reason: str
    failure: Failure


def bad_request(message: str) -> Refused:
    """A request that says something wrong."""
    return Refused(400, ErrorCode.BAD_MESSAGE, message, remedy=CONTRACT)
