"""Batches whose child dies, with a real ledger; the death of the child is a BaseException that ends the delivery."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from celery.exceptions import Reject
from pydantic import SecretStr

from packsight.shared.contract.errors import ErrorCode, ImageError
from packsight.shared.contract.outcomes import Failure
from packsight.shared.queue.app import make_app
from packsight.shared.queue.dead_letters import DeadLetters
from packsight.shared.queue.ledger import Ledger
from packsight.shared.settings import Settings
from packsight.worker.queue.delivery import AlreadyEnded, ceiling, run_batch

Act = Callable[[list[str]], list[str]]


class Death(BaseException):
    """The process is gone."""


@dataclass
class Deliveries:
    """Delivers one message again and again until it ends."""

    ledger: Ledger
    letters: DeadLetters
    act: Act
    calls: list[list[str]] = field(default_factory=list)

    def deliver(self, images: list[str]) -> list[str]:
        def run(batch: list[str]) -> list[str]:
            self.calls.append(batch)
            return self.act(batch)

        return run_batch(
            self.ledger, self.letters, "t", images, run, self.fail, json.dumps, json.loads, payload={"top_k": 3}
        )

    def until_end(self, images: list[str], *, cause: ErrorCode | None = None) -> tuple[list[str], int]:
        for delivery in range(1, 100):
            try:
                return self.deliver(images), delivery
            except Death:
                if cause is not None:
                    self.ledger.blame("t", cause)
        raise AssertionError("it never ends")

    @staticmethod
    def fail(image: str, failure: Failure) -> str:
        return f"{image}: {failure.code}"


@pytest.fixture
def deliveries(live_settings: Settings) -> Iterator[Callable[[Act], Deliveries]]:
    ledger, letters = Ledger(live_settings), DeadLetters(live_settings)
    yield lambda act: Deliveries(ledger, letters, act)
    ledger.close()
    letters.close()


def dies_of(*poison: str) -> Act:
    def act(images: list[str]) -> list[str]:
        for image in images:
            if image in poison:
                raise Death(image)
        return [f"{image}: fine" for image in images]

    return act


def test_a_batch_that_meets_no_trouble_is_run_whole_and_once(deliveries: Callable[[Act], Deliveries]) -> None:
    made = deliveries(dies_of())
    assert made.deliver(["a", "b"]) == ["a: fine", "b: fine"]
    assert made.calls == [["a", "b"]]


def test_the_poison_image_does_not_take_its_neighbours_along(deliveries: Callable[[Act], Deliveries]) -> None:
    made = deliveries(dies_of("bad"))
    outcomes, count = made.until_end(["a", "bad", "c"])
    assert outcomes == ["a: fine", "bad: worker_killed", "c: fine"]
    assert count == 4
    assert made.calls == [["a", "bad", "c"], ["a"], ["bad"], ["bad"], ["c"]]
    (letter,) = made.letters.list()
    assert (letter.image, letter.code, letter.payload) == ("bad", ErrorCode.WORKER_KILLED, {"images": ["bad"], "top_k": 3})


def test_the_cause_is_what_the_parent_saw(deliveries: Callable[[Act], Deliveries]) -> None:
    made = deliveries(dies_of("slow"))
    outcomes, _ = made.until_end(["slow", "b"], cause=ErrorCode.TIME_LIMIT)
    assert outcomes == ["slow: time_limit", "b: fine"]
    assert [letter.code for letter in made.letters.list()] == [ErrorCode.TIME_LIMIT]


def test_every_image_of_a_batch_may_be_poison(deliveries: Callable[[Act], Deliveries]) -> None:
    made = deliveries(dies_of("a", "b", "c"))
    outcomes, count = made.until_end(["a", "b", "c"])
    assert outcomes == ["a: worker_killed", "b: worker_killed", "c: worker_killed"]
    assert count <= ceiling(3, images=3)
    assert made.letters.count() == 3


def test_one_death_alone_may_have_been_chance(deliveries: Callable[[Act], Deliveries]) -> None:
    deaths = iter([True, True])

    def act(images: list[str]) -> list[str]:
        if "unlucky" in images and next(deaths, False):
            raise Death
        return [f"{image}: fine" for image in images]

    made = deliveries(act)
    outcomes, count = made.until_end(["a", "unlucky"])
    assert outcomes == ["a: fine", "unlucky: fine"]
    assert count == 3
    assert made.letters.count() == 0


def test_a_message_that_comes_back_for_ever_is_answered_without_running(
    deliveries: Callable[[Act], Deliveries],
) -> None:
    made = deliveries(dies_of())
    for _ in range(ceiling(3, images=2)):
        made.ledger.begin("t")
    assert made.deliver(["a", "b"]) == ["a: worker_killed", "b: worker_killed"]
    assert made.calls == []
    assert made.letters.count() == 2


def test_a_batch_that_raises_as_a_whole_is_run_image_by_image_at_once(
    deliveries: Callable[[Act], Deliveries],
) -> None:
    def act(images: list[str]) -> list[str]:
        if "broken" in images:
            raise ZeroDivisionError
        if "missing" in images:
            raise ImageError(ErrorCode.OBJECT_MISSING, "no such object")
        return [f"{image}: fine" for image in images]

    made = deliveries(act)
    assert made.deliver(["a", "broken", "missing"]) == ["a: fine", "broken: internal", "missing: object_missing"]
    assert made.letters.count() == 0


def test_too_few_outcomes_are_no_outcomes(deliveries: Callable[[Act], Deliveries]) -> None:
    made = deliveries(lambda images: [f"{image}: fine" for image in images[:1]])
    assert made.deliver(["a", "b"]) == ["a: fine", "b: fine"]
    assert made.calls == [["a", "b"], ["a"], ["b"]]


def test_a_task_that_has_its_result_is_not_run_again(
    deliveries: Callable[[Act], Deliveries], live_settings: Settings
) -> None:
    make_app("test", live_settings).backend.store_result("t", {"kept": True}, "SUCCESS")
    made = deliveries(dies_of())
    with pytest.raises(AlreadyEnded):
        made.deliver(["a"])
    assert made.calls == []


def test_without_the_result_database_the_message_goes_back(live_settings: Settings) -> None:
    away = live_settings.model_copy(update={"result_url": SecretStr("redis://127.0.0.1:1/1")})
    with pytest.raises(Reject) as caught:
        Deliveries(Ledger(away), DeadLetters(away), dies_of()).deliver(["a"])
    assert caught.value.requeue
