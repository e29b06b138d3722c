"""The rules of delivery, as pure functions: which queue next, how to run a batch that came back, what is a task at all."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from billiard.exceptions import TimeLimitExceeded, WorkerLostError
from celery.exceptions import InvalidTaskError

from packsight.shared.contract.errors import ErrorCode
from packsight.shared.queue import refused
from packsight.shared.queue.headers import admit
from packsight.shared.queue.transport.channel import FAIR_TURN, service_order
from packsight.worker.queue.delivery import Mode, max_total_deliveries, mode_of
from packsight.worker.queue.request import cause_of

QUEUES = ["interactive", "celery", "bulk", "describe"]


def test_queues_are_served_in_their_order() -> None:
    assert all(service_order(QUEUES, taken) == QUEUES for taken in range(FAIR_TURN - 1))


def test_the_first_queue_is_always_served_first() -> None:
    assert {service_order(QUEUES, taken)[0] for taken in range(200)} == {"interactive"}


def test_no_queue_waits_for_ever_behind_others_that_never_empty() -> None:
    seconds = [service_order(QUEUES, taken)[1] for taken in range(3 * FAIR_TURN)]
    assert set(seconds) == {"celery", "bulk", "describe"}
    assert seconds.count("celery") == 3 * FAIR_TURN - 2


@pytest.mark.parametrize("queues", [[], ["one"], ["one", "two"]])
def test_fair_turns_lose_no_queue(queues: list[str]) -> None:
    assert all(sorted(service_order(queues, taken)) == sorted(queues) for taken in range(50))


@pytest.mark.parametrize(
    ("count", "limit", "mode"),
    [
        (1, 3, Mode.WHOLE),
        (2, 3, Mode.SINGLY),
        (3, 3, Mode.SINGLY),
        (2, 5, Mode.WHOLE),
        (3, 5, Mode.WHOLE),
        (4, 5, Mode.SINGLY),
        (1, 1, Mode.WHOLE),
        (2, 1, Mode.SINGLY),
    ],
)
def test_a_batch_is_run_image_by_image_from_the_delivery_before_the_last(count: int, limit: int, mode: Mode) -> None:
    assert mode_of(count, limit, images=32) is mode


def test_no_batch_is_run_more_often_than_its_images_could_explain() -> None:
    most = max_total_deliveries(3, images=4)
    assert most == 11
    assert mode_of(most, 3, images=4) is Mode.SINGLY
    assert mode_of(most + 1, 3, images=4) is Mode.GIVE_UP


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (TimeLimitExceeded(120), ErrorCode.TIME_LIMIT),
        (WorkerLostError("signal 9"), ErrorCode.WORKER_KILLED),
        (SystemExit(1), ErrorCode.WORKER_KILLED),
        (ValueError("a defect"), None),
        (MemoryError(), None),
    ],
)
def test_the_death_of_a_child_is_told_from_an_error_of_the_task(error: BaseException, cause: ErrorCode | None) -> None:
    assert cause_of(error) is cause


HEADERS = {"id": "1", "task": "packsight.recognize"}


def message(headers: Any, payload: Any) -> Any:
    info = {"exchange": "", "routing_key": "celery"}
    return SimpleNamespace(
        headers=headers, payload=payload, body="text", content_type="x", delivery_info=info, properties={}
    )


@pytest.mark.parametrize(
    ("headers", "payload"),
    [
        (HEADERS, [[{"images": ["a"]}], {}, {"callbacks": None}]),
        (HEADERS | {"timelimit": [None, 10], "retries": 0, "eta": None, "stamps": {}}, ([], {}, {})),
        (HEADERS, {"args": [], "kwargs": {}}),
        ({}, {"id": "1", "task": "packsight.recognize", "args": [1], "kwargs": {}}),
    ],
)
def test_messages_of_either_protocol_pass(headers: Any, payload: Any) -> None:
    assert admit(message(headers, payload)) is None


@pytest.mark.parametrize(
    ("headers", "payload"),
    [
        ({"task": "t"}, [[], {}, {}]),
        ({"id": 7, "task": "t"}, [[], {}, {}]),
        (HEADERS, [[], {}]),
        (HEADERS, [{}, [], {}]),
        (HEADERS, [[], {}, None]),
        (HEADERS, "text"),
        (HEADERS, None),
        (HEADERS | {"stamps": [1], "stamped_headers": ["x"]}, [[], {}, {}]),
        (HEADERS | {"eta": 5}, [[], {}, {}]),
    ],
)
def test_what_would_end_celery_is_refused(headers: Any, payload: Any) -> None:
    with pytest.raises(InvalidTaskError):
        admit(message(headers, payload))


def test_the_letter_of_a_readable_message_can_be_sent_again() -> None:
    letter = refused.dead_letter(message(HEADERS, [[1], {"a": 2}, {}]), LookupError("no such task"))
    assert letter.payload == {"args": [1], "kwargs": {"a": 2}}
    assert (letter.task, letter.task_id, letter.queue) == ("packsight.recognize", "1", "celery")


def test_the_letter_of_an_unreadable_message_keeps_its_text() -> None:
    letter = refused.dead_letter(message("none", "text"), ValueError("what is this"))
    assert letter.payload == {"body": "text", "content_type": "x"}
    assert (letter.task, letter.task_id) == ("", "")
