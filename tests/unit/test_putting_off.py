"""When photos of foreign hosts are asked for again: which, after how long, and whether there is room for it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise

import pytest

from packsight.shared.contract.errors import ErrorCode, ImageError
from packsight.shared.contract.outcomes import Failure
from packsight.shared.storage.web import seconds_to_wait
from packsight.worker.queue.putting_off import PAUSES, can_pass, pause

WEB = "https://shop.example/a.jpg"


def failed(code: ErrorCode, retryable: bool = True, wait: float = 0.0) -> Failure:
    error = ImageError(code, "what happened", retryable=retryable)
    error.pause = wait
    return Failure.of(error)


@pytest.mark.parametrize(
    ("image", "failure", "answer"),
    [
        (WEB, failed(ErrorCode.HOST_UNREACHABLE), True),
        (WEB, failed(ErrorCode.FETCH_TIMEOUT), True),
        (WEB, failed(ErrorCode.FETCH_FAILED), True),
        ("HTTP://shop.example/a.jpg", failed(ErrorCode.HTTP_STATUS), True),
        (WEB, failed(ErrorCode.HTTP_STATUS, retryable=False), False),
        (WEB, failed(ErrorCode.INTERNAL), False),
        (WEB, failed(ErrorCode.HTTP_STATUS, wait=PAUSES.most), True),
        (WEB, failed(ErrorCode.HTTP_STATUS, wait=PAUSES.most + 1), False),
        ("s3://b/a.jpg", failed(ErrorCode.HOST_UNREACHABLE), False),
        ("a.jpg", failed(ErrorCode.FETCH_FAILED), False),
        (WEB, None, False),
    ],
)
def test_only_what_is_a_matter_of_a_foreign_host_and_of_minutes_is_asked_for_again(
    image: str, failure: Failure | None, answer: bool
) -> None:
    assert can_pass(image, failure) is answer


def test_pauses_grow_up_to_a_cap_and_differ_from_batch_to_batch() -> None:
    found = [[pause([failed(ErrorCode.FETCH_FAILED)], earlier, None) or 0 for _ in range(200)] for earlier in range(6)]
    for earlier, seconds in enumerate(found):
        middle = min(PAUSES.most, PAUSES.first * PAUSES.factor**earlier)
        assert middle * (1 - PAUSES.spread) <= min(seconds) < max(seconds) <= middle * (1 + PAUSES.spread)
    assert all(max(before) < min(after) for before, after in pairwise(found[:3]))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120.0), ("0", 0.0), ("", 0.0), ("soon", 0.0), ("-5", 0.0), ("Fri, 01 Jan 1999 00:00:00 GMT", 0.0),
        ("9" * 400, 999_999_999.0),
    ],
)  # fmt: skip
def test_a_host_says_in_seconds_how_long_to_wait_or_nothing(text: str, seconds: float) -> None:
    assert seconds_to_wait(text) == seconds


def test_a_host_may_also_name_the_time() -> None:
    then = datetime.now(UTC) + timedelta(minutes=2)
    assert 110 < seconds_to_wait(format_datetime(then, usegmt=True)) <= 120


def test_a_host_is_not_asked_before_it_wants_to_be() -> None:
    failures = [failed(ErrorCode.HTTP_STATUS, wait=wait) for wait in (0, 90, 30)]
    assert pause(failures, 0, None) == 90


@pytest.mark.parametrize(("room", "answer"), [(PAUSES.room + 2 * PAUSES.first, True), (PAUSES.room, False), (-1, False)])
def test_a_message_comes_again_only_if_there_is_room_before_it_expires(room: float, answer: bool) -> None:
    expires = datetime.now(UTC) + timedelta(seconds=room)
    assert (pause([failed(ErrorCode.FETCH_FAILED)], 0, expires) is not None) is answer
