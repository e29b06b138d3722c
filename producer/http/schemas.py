"""JSON Schemas of what goes over queue and HTTP: at /v1/schemas, and as files below docs/schemas.

    python -m packsight.producer.http.schemas docs/schemas

writes the files.
"""

from __future__ import annotations

import json
import sys
from functools import cache
from pathlib import Path
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel

from packsight.producer.http.jobs import JobSeen
from packsight.producer.http.refusal import Refusal, Refused
from packsight.producer.http.results import ResultRow
from packsight.producer.http.submitted import JobRequest
from packsight.producer.http.webhooks import JobEnded
from packsight.shared.contract.errors import ErrorCode
from packsight.shared.contract.messages import DescribeRequest, RecognizeRequest
from packsight.shared.contract.outcomes import DescribeResult, Outcome, RecognizeResult

router = APIRouter(prefix="/v1/schemas", tags=["schemas"])

_SENT: dict[str, type[BaseModel]] = {
    "recognize-request": RecognizeRequest,
    "describe-request": DescribeRequest,
    "job-request": JobRequest,
}
_RECEIVED: dict[str, type[BaseModel]] = {
    "recognize-result": RecognizeResult,
    "describe-result": DescribeResult,
    "outcome": Outcome,
    "result-row": ResultRow,
    "job": JobSeen,
    "job-ended": JobEnded,
    "refusal": Refusal,
}
_DIALECT = "https://json-schema.org/draft/2020-12/schema"


@cache
def schemas() -> dict[str, dict[str, Any]]:
    """All schemas by name. Of what is received they let through what a later release may add."""
    return {
        name: {"$schema": _DIALECT, **model.model_json_schema()} for name, model in sorted({**_SENT, **_RECEIVED}.items())
    }


@router.get("")
async def names() -> dict[str, str]:
    """Addresses of all schemas by name."""
    return {name: f"{router.prefix}/{name}" for name in schemas()}


@router.get("/{name}")
async def one(name: str) -> dict[str, Any]:
    """A JSON Schema (draft 2020-12)."""
    if name not in schemas():
        raise Refused(404, ErrorCode.OBJECT_MISSING, "There is no such schema", remedy=f"There are {', '.join(schemas())}.")
    return schemas()[name]


def files() -> dict[str, str]:
    """The same as files, by name."""
    return {f"{name}.json": json.dumps(schema, indent=2, ensure_ascii=False) + "\n" for name, schema in schemas().items()}


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files().items():
        (folder / name).write_text(text, encoding="utf-8")
