"""Photos described over the queue by workers of several kinds: a real broker, a worker that answers as a test says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import Any

import pytest
from celery.contrib.testing.worker import start_worker

from packsight.shared.contract.errors import ErrorCode, MessageError, UserError
from packsight.shared.contract.messages import DESCRIBE, DESCRIBE_QUEUE, MAKERS, PARTS, Part
from packsight.shared.contract.outcomes import Described, DescribeResult
from packsight.shared.queue.app import make_app
from packsight.shared.queue.describing import describe
from packsight.shared.queue.ledger import Ledger
from packsight.shared.settings import Settings

OURS: dict[Part, str] = {part: f"{part}-1" for part in PARTS}
IMAGES = [f"s3://shop/{number}.jpg" for number in range(5)]

Answer = Callable[[dict[str, Any]], dict[str, Any]]


def answered(request: Mapping[str, Any], **others: str) -> dict[str, Any]:
    """What a worker of our kind answers; `others` are the makers in which it differs."""
    models = {maker: OURS[part] for part, maker in MAKERS.items()} | others
    photos = [Described(image=image, sha256=image, pack="s") for image in request["images"]]
    return DescribeResult(models=models, photos=photos).model_dump(mode="json")


@contextmanager
def worker(settings: Settings, answer: Answer) -> Iterator[None]:
    app = make_app("packsight-worker", settings)

    def task(request: dict[str, Any]) -> dict[str, Any]:
        return answer(request)

    app.task(name=DESCRIBE, shared=False)(task)
    with start_worker(app, pool="solo", perform_ping_check=False, queues=[DESCRIBE_QUEUE], loglevel="CRITICAL"):
        yield


def ask(
    settings: Settings, parts: Sequence[Part] = PARTS, foreign: Callable[[Mapping[str, str]], None] = lambda _: None
) -> list[tuple[int, DescribeResult]]:
    def wait(*, progress: bool) -> bool:
        return False

    with closing(Ledger(settings)) as ledger:
        app = make_app("packsight.test", settings, sends_only=True)
        return list(
            describe(
                IMAGES, OURS, run="run", size=2, app=app, ledger=ledger, wait=wait, foreign=foreign, parts=parts
            )
        )


def test_every_photo_is_described_once_and_told_with_its_place(live_settings: Settings) -> None:
    with worker(live_settings, answered):
        found = sorted(ask(live_settings), key=lambda each: each[0])
    assert [start for start, _ in found] == [0, 2, 4]
    assert [photo.image for _, result in found for photo in result.photos] == IMAGES


def test_what_a_worker_of_another_kind_answered_is_sent_again_until_one_of_ours_takes_it(live_settings: Settings) -> None:
    asked: list[str] = []

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        first = request["images"][0] not in asked
        asked.append(request["images"][0])
        return answered(request, spotter="another") if first else answered(request)

    heard: list[Mapping[str, str]] = []
    with worker(live_settings, answer):
        found = ask(live_settings, foreign=heard.append)
    assert [models["spotter"] for models in heard] == ["another"] * 3
    assert len(found) == 3
    assert all(result.models["spotter"] == OURS["words"] for _, result in found)


def test_a_worker_that_differs_in_parts_that_are_not_wanted_is_one_of_ours(live_settings: Settings) -> None:
    seen: list[dict[str, Any]] = []

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        seen.append(request)
        return answered(request, spotter="another")

    with worker(live_settings, answer):
        assert len(ask(live_settings, parts=["details"])) == 3
    assert {tuple(request["parts"]) for request in seen} == {("details",)}


def test_workers_of_the_release_before_are_asked_for_all_parts_in_their_own_words(live_settings: Settings) -> None:
    seen: list[dict[str, Any]] = []

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        seen.append(request)
        return answered(request)

    with worker(live_settings, answer):
        ask(live_settings)
    assert all(request.keys() == {"version", "images"} for request in seen)


def test_a_worker_that_knows_no_parts_is_passed_over(live_settings: Settings) -> None:
    refused: list[str] = []

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        if request["images"][0] not in refused:
            refused.append(request["images"][0])
            raise MessageError(ErrorCode.BAD_MESSAGE, "parts: extra inputs are not permitted")
        return answered(request)

    with worker(live_settings, answer):
        found = ask(live_settings, parts=["words"])
    assert len(refused) == len(found) == 3
    assert all(photo.failure is None for _, result in found for photo in result.photos)


def test_a_task_that_fails_is_a_failure_of_each_of_its_photos(live_settings: Settings) -> None:
    def answer(request: dict[str, Any]) -> dict[str, Any]:
        if IMAGES[2] in request["images"]:
            raise ValueError("a defect")
        return answered(request)

    with worker(live_settings, answer):
        found = dict(ask(live_settings))
    failures = {photo.image: photo.failure for result in found.values() for photo in result.photos}
    assert [image for image, failure in sorted(failures.items()) if failure is not None] == IMAGES[2:4]
    failure = failures[IMAGES[2]]
    assert failure is not None
    assert (failure.code, "a defect" in failure.message) == (ErrorCode.INTERNAL, True)


def test_an_answer_in_another_form_is_an_error_that_says_what_to_do(live_settings: Settings) -> None:
    with worker(live_settings, lambda request: {"photos": 3}), pytest.raises(UserError, match="same release"):
        ask(live_settings)
