"""A task's result is stored as the JSON that its model writes, in the record that Celery's own clients read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from celery.utils.saferepr import saferepr
from kombu.utils.json import dumps
from pydantic import SecretStr

from packsight.shared.contract.outcomes import Outcome, RecognizeResult, Status
from packsight.shared.queue.app import make_app
from packsight.shared.queue.results import STATUS_BYTES, has_ended
from packsight.shared.settings import Settings

SIGNED = "https://shop.example/a.jpg?X-Amz-Signature=5ec7e7"
RESULT = RecognizeResult(outcomes=[Outcome(image=SIGNED, status=Status.NO_MATCH, reason='"Мыло" \x07 \\ 5%', confidence=0.1)])


@pytest.fixture
def backend() -> Any:
    return make_app("test", Settings(_env_file=None, result_url=SecretStr("redis://127.0.0.1:1/1"))).backend


def record(backend: Any, result: Any) -> Any:
    encoded = backend.encode_result(result, "SUCCESS")
    meta = backend._get_result_meta(result=encoded, state="SUCCESS", traceback=None, request=None)
    return backend.encode({**meta, "task_id": "t", "date_done": "2026-01-01"})


def test_a_model_is_stored_as_its_dictionary_would_be(backend: Any) -> None:
    stored = record(backend, RESULT)
    by_dictionary = record(backend, RESULT.model_dump(mode="json", exclude_none=True))
    assert backend.decode(stored) == backend.decode(by_dictionary) == json.loads(by_dictionary)
    assert RecognizeResult.model_validate(backend.decode(stored)["result"]) == RESULT
    assert RESULT.stored() in stored, "else it went by way of dictionaries, which costs a multiple"
    assert has_ended(stored.encode()[:STATUS_BYTES])


def test_other_results_are_stored_as_celery_stores_them(backend: Any) -> None:
    for result in (None, {"value": 3}, "text", [1, {"result": 2}]):
        assert backend.decode(record(backend, result))["result"] == result


def test_tasks_that_follow_are_handed_what_is_stored() -> None:
    assert json.loads(dumps([RESULT])) == [RESULT.model_dump(mode="json", exclude_none=True)]


def test_events_say_no_reference_of_a_result() -> None:
    assert "shop.example" not in saferepr(RESULT, 500)
