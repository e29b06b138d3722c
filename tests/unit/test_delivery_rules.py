"""The rules of delivery, as pure functions: which queue next, how to run a batch that came back, what is a task at all."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from billiard.exceptions import TimeLimitExceeded, WorkerLostError
from celery.exceptions import InvalidTaskError
from hypothesis import given
from hypothesis import strategies as st

from packsight.shared.contract.errors import ErrorCode
from packsight.shared.queue import refused
from packsight.shared.queue.app import make_app
from packsight.shared.queue.deliveries import Progress, Span
from packsight.shared.queue.headers import admit
from packsight.shared.queue.transport.channel import FAIR_TURN, service_order
from packsight.shared.settings import Settings
from packsight.worker.queue.delivery import DEATHS_ALONE, LOST_ALONE, cause_alone, halved
from packsight.worker.queue.request import BatchRequest, cause_of

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
    ("images", "broken", "groups"),
    [
        (8, set(), [(0, 8)]),
        (8, {(0, 8)}, [(0, 4), (4, 8)]),
        (8, {(0, 8), (4, 8)}, [(0, 4), (4, 6), (6, 8)]),
        (8, {(0, 8), (4, 8), (6, 8)}, [(0, 4), (4, 6), (6, 7), (7, 8)]),
        (8, {(1, 8)}, [(0, 4), (4, 8)]),
        (8, {(2, 4)}, [(0, 2), (2, 3), (3, 4), (4, 8)]),
        (5, {(0, 5), (0, 3)}, [(0, 2), (2, 3), (3, 5)]),
        (1, set(), [(0, 1)]),
    ],
)
def test_what_came_to_no_end_together_is_halved_and_the_rest_stays_together(
    images: int, broken: set[Span], groups: list[Span]
) -> None:
    assert [(group.start, group.stop) for group in halved(images, broken)] == groups


@given(st.integers(1, 64), st.data())
def test_halving_keeps_every_photo_once_and_in_order_and_comes_to_an_end(images: int, data: st.DataObject) -> None:
    poison = data.draw(st.integers(0, images - 1))
    broken: set[Span] = set()
    for _ in range(images.bit_length() + 1):
        groups = halved(images, broken)
        assert [place for group in groups for place in group] == list(range(images))
        (worst,) = (group for group in groups if poison in group)
        if len(worst) == 1:
            return
        broken.add((worst.start, worst.stop))
    raise AssertionError(f"{poison} of {images} is never alone")


def test_a_photo_is_condemned_by_what_was_seen_of_it_alone() -> None:
    causes = {0: ErrorCode.TIME_LIMIT}
    assert cause_alone(0, Progress(deaths={0: DEATHS_ALONE - 1}, lost={0: LOST_ALONE - 1}, causes=causes)) is None
    assert cause_alone(0, Progress(deaths={0: DEATHS_ALONE}, causes=causes)) is ErrorCode.TIME_LIMIT
    assert cause_alone(0, Progress(lost={0: LOST_ALONE})) is ErrorCode.WORKER_LOST
    assert cause_alone(1, Progress(deaths={0: DEATHS_ALONE}, lost={0: LOST_ALONE}, causes=causes)) is None


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


@pytest.mark.parametrize(("images", "photos"), [(["a"], 1), (["a"] * 16, 16), (["a"] * 1024, 64), ("odd", 1), (None, 1)])
def test_a_message_may_take_longer_than_all_of_its_photos_one_by_one_and_no_message_of_any_size_much_longer(
    images: Any, photos: int
) -> None:
    config = Settings(_env_file=None)
    sent = message(HEADERS | {"timelimit": [None, 1e9]}, [[{"images": images}], {}, {}])
    sent.content_encoding = "utf-8"
    task = SimpleNamespace(ignore_result=False)
    made = BatchRequest(sent, app=make_app("test", config), task=task)
    assert made.time_limits == ((photos + 1) * config.worker.seconds_for(1) + 2 * config.worker.beside_timeout, None)
    assert made.time_limits[0] > photos * config.worker.seconds_for(1) > config.worker.seconds_for(photos) * 0.99


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
        (HEADERS, [[], {}, []]),
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
