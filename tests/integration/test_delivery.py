"""Batches whose child dies, with a real ledger; the death of the child is a BaseException that ends the delivery."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import pytest
from celery.exceptions import Reject
from pydantic import SecretStr

from packsight.shared.contract.errors import Dependency, ErrorCode, ImageError, Outage
from packsight.shared.contract.messages import RECOGNIZE, RecognizeRequest, parse_request
from packsight.shared.contract.outcomes import Outcome, Status
from packsight.shared.queue.app import make_app
from packsight.shared.queue.dead_letters import DeadLetters
from packsight.shared.queue.ledger import Ledger
from packsight.shared.settings import Settings
from packsight.worker.queue.delivery import AlreadyEnded, Batch, BatchKind, max_total_deliveries

Act = Callable[[str], None]


class Death(BaseException):
    """The process is gone."""


@dataclass
class Message:
    """One message, delivered again and again until it ends."""

    ledger: Ledger
    dead_letters: DeadLetters
    act: Act
    """What working on an image does beside its answer."""
    short: bool = False
    """Answer only the first image of a batch."""
    calls: list[list[str]] = field(default_factory=list)

    def deliver(self, images: list[str]) -> list[str]:
        kind = BatchKind(RECOGNIZE, RecognizeRequest, Outcome, self.run)
        request = RecognizeRequest(images=images, top_k=3)
        return [told(outcome) for outcome in Batch(kind, "t", request, self.ledger, self.dead_letters).answer()]

    def run(self, request: RecognizeRequest) -> list[Outcome]:
        self.calls.append(request.images)
        for image in request.images:
            self.act(image)
        answered = request.images[:1] if self.short else request.images
        return [Outcome(image=image, status=Status.NO_MATCH) for image in answered]

    def until_end(self, images: list[str], *, cause: ErrorCode | None = None) -> tuple[list[str], int]:
        for delivery in range(1, 100):
            try:
                return self.deliver(images), delivery
            except Death:
                if cause is not None:
                    self.ledger.deliveries.record_crash("t", cause)
        raise AssertionError("it never ends")


def told(outcome: Outcome) -> str:
    return f"{outcome.image}: {outcome.failure.code if outcome.failure else 'fine'}"


@pytest.fixture
def message(live_settings: Settings) -> Iterator[Callable[[Act], Message]]:
    ledger, dead_letters = Ledger(live_settings), DeadLetters(live_settings)
    yield lambda act: Message(ledger, dead_letters, act)
    ledger.close()
    dead_letters.close()


def dies_of(*poison: str) -> Act:
    def act(image: str) -> None:
        if image in poison:
            raise Death(image)

    return act


def test_a_batch_that_meets_no_trouble_is_run_whole_and_once(message: Callable[[Act], Message]) -> None:
    made = message(dies_of())
    assert made.deliver(["a", "b"]) == ["a: fine", "b: fine"]
    assert made.calls == [["a", "b"]]


def test_the_poison_image_does_not_take_its_neighbours_along(message: Callable[[Act], Message]) -> None:
    made = message(dies_of("bad"))
    outcomes, count = made.until_end(["a", "bad", "c"])
    assert outcomes == ["a: fine", "bad: worker_killed", "c: fine"]
    assert count == 4
    assert made.calls == [["a", "bad", "c"], ["a"], ["bad"], ["bad"], ["c"]]
    (letter,) = made.dead_letters.list()
    assert (letter.image, letter.code) == ("bad", ErrorCode.WORKER_KILLED)
    assert parse_request(RecognizeRequest, letter.payload) == RecognizeRequest(images=["bad"], top_k=3)


def test_the_cause_is_what_the_parent_saw(message: Callable[[Act], Message]) -> None:
    made = message(dies_of("slow"))
    outcomes, _ = made.until_end(["slow", "b"], cause=ErrorCode.TIME_LIMIT)
    assert outcomes == ["slow: time_limit", "b: fine"]
    assert [letter.code for letter in made.dead_letters.list()] == [ErrorCode.TIME_LIMIT]


def test_every_image_of_a_batch_may_be_poison(message: Callable[[Act], Message]) -> None:
    made = message(dies_of("a", "b", "c"))
    outcomes, count = made.until_end(["a", "b", "c"])
    assert outcomes == ["a: worker_killed", "b: worker_killed", "c: worker_killed"]
    assert count <= max_total_deliveries(3, images=3)
    assert made.dead_letters.count() == 3


def test_one_death_alone_may_have_been_chance(message: Callable[[Act], Message]) -> None:
    deaths = iter([True, True])

    def act(image: str) -> None:
        if image == "unlucky" and next(deaths, False):
            raise Death

    made = message(act)
    outcomes, count = made.until_end(["a", "unlucky"])
    assert outcomes == ["a: fine", "unlucky: fine"]
    assert count == 3
    assert made.dead_letters.count() == 0


def test_a_message_that_comes_back_for_ever_is_answered_without_running(
    message: Callable[[Act], Message],
) -> None:
    made = message(dies_of())
    for _ in range(max_total_deliveries(3, images=2)):
        made.ledger.deliveries.begin("t")
    assert made.deliver(["a", "b"]) == ["a: worker_killed", "b: worker_killed"]
    assert made.calls == []
    assert made.dead_letters.count() == 2


def test_a_batch_that_raises_as_a_whole_is_run_image_by_image_at_once(
    message: Callable[[Act], Message],
) -> None:
    def act(image: str) -> None:
        if image == "broken":
            raise ZeroDivisionError
        if image == "missing":
            raise ImageError(ErrorCode.OBJECT_MISSING, "no such object")

    made = message(act)
    assert made.deliver(["a", "broken", "missing"]) == ["a: fine", "broken: internal", "missing: object_missing"]
    assert made.dead_letters.count() == 0


def test_too_few_outcomes_are_no_outcomes(message: Callable[[Act], Message]) -> None:
    made = replace(message(dies_of()), short=True)
    assert made.deliver(["a", "b"]) == ["a: fine", "b: fine"]
    assert made.calls == [["a", "b"], ["a"], ["b"]]


def test_a_task_that_has_its_result_is_not_run_again(
    message: Callable[[Act], Message], live_settings: Settings
) -> None:
    make_app("test", live_settings).backend.store_result("t", {"kept": True}, "SUCCESS")
    made = message(dies_of())
    with pytest.raises(AlreadyEnded):
        made.deliver(["a"])
    assert made.calls == []


def test_without_the_result_database_the_message_goes_back(live_settings: Settings) -> None:
    away = live_settings.model_copy(update={"result_url": SecretStr("redis://127.0.0.1:1/1")})
    with pytest.raises(Reject) as caught:
        Message(Ledger(away), DeadLetters(away), dies_of()).deliver(["a"])
    assert caught.value.requeue


def is_away(reference: str) -> Act:
    def act(image: str) -> None:
        if image == reference:
            raise Outage(Dependency.STORE, "no route", {"a": Outcome(image="a", status=Status.NO_MATCH)})

    return act


def test_an_outage_counts_as_no_delivery_and_what_was_finished_is_not_done_again(
    message: Callable[[Act], Message], live_settings: Settings
) -> None:
    stored = message(is_away("b"))
    for _ in range(3 * live_settings.worker.max_deliveries):
        with pytest.raises(Reject) as caught:
            stored.deliver(["a", "b", "c"])
        assert caught.value.requeue
        assert isinstance(caught.value.reason, Outage)
    assert stored.calls[0] == ["a", "b", "c"]
    assert stored.calls[1:] == [["b", "c"]] * (len(stored.calls) - 1)
    stored.act = lambda image: None
    assert stored.deliver(["a", "b", "c"]) == ["a: fine", "b: fine", "c: fine"]
    assert stored.calls[-1] == ["b", "c"]
    assert not stored.dead_letters.list()


def test_an_image_that_meets_an_outage_alone_is_not_blamed_for_it(
    message: Callable[[Act], Message], live_settings: Settings
) -> None:
    stored = message(dies_of("b"))
    with pytest.raises(Death):
        stored.deliver(["a", "b"])
    stored.act = is_away("b")
    for _ in range(5):
        with pytest.raises(Reject):
            stored.deliver(["a", "b"])
    stored.act = lambda image: None
    assert stored.deliver(["a", "b"]) == ["a: fine", "b: fine"]
    assert not stored.dead_letters.list()
