"""The schemas that are published say what the models say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel

from packsight.producer.http.refusal import Refusal, Refused
from packsight.producer.http.schemas import files, schemas
from packsight.producer.rows import Row
from packsight.shared.contract.errors import ErrorCode
from packsight.shared.contract.messages import RecognizeRequest
from packsight.shared.contract.outcomes import Failure, Outcome, RecognizeResult, Status
from tests.pages import block

SHIPPED = Path(__file__).parents[2] / "docs/schemas"


def test_the_shipped_files_are_those_of_the_models() -> None:
    shipped = {file.name: file.read_text(encoding="utf-8") for file in SHIPPED.iterdir()}
    assert shipped == files(), "python -m packsight.producer.http.schemas docs/schemas"


def valid(name: str, value: Any) -> bool:
    return bool(Draft202012Validator(schemas()[name]).is_valid(value))


@pytest.mark.parametrize("name", sorted(schemas()))
def test_a_schema_is_one(name: str) -> None:
    Draft202012Validator.check_schema(schemas()[name])


def test_what_is_sent_and_received_is_valid_and_what_is_not_is_not() -> None:
    failure = Failure.of_code(ErrorCode.FILE_EMPTY, "empty")
    outcomes = [Outcome(image="s3://a/b", status=Status.NO_MATCH), Outcome.failed("s3://a/c", failure)]
    result = RecognizeResult(outcomes=outcomes)
    request = RecognizeRequest(images=["s3://a/b"]).argument()
    assert valid("recognize-request", request)
    assert not valid("recognize-request", {**request, "topk": 1})
    assert not valid("recognize-request", {**request, "images": []})
    assert valid("recognize-result", json.loads(result.stored()))
    assert valid("recognize-result", {**json.loads(result.stored()), "added_later": 1})
    assert valid("outcome", json.loads(outcomes[0].model_dump_json(exclude_none=True)))
    assert not valid("outcome", {"image": "s3://a/b"})
    assert valid("result-row", json.loads(Row("job", 0, "name", outcomes[1], {"sku": "A-1"}).line))
    refused = Refused(429, ErrorCode.TOO_MANY_REQUESTS, "too often", retry_after=1)
    assert valid("refusal", said(Refusal(reason=refused.message, failure=refused.failure)))
    shown = json.loads(block("docs/http.md", "When a request is refused", "json"))
    assert valid("refusal", shown)
    assert said(Refusal.model_validate(shown)) == shown, "nothing in it that no refusal has"


def said(model: BaseModel) -> Any:
    return json.loads(model.model_dump_json(exclude_none=True))
