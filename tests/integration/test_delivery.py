"""Batches whose child dies, with a real ledger; the death of the child is a BaseException that ends the delivery."""

from __future__ import annotations

import os
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest
import redis
from celery.exceptions import Reject
from pydantic import SecretStr
from redis.exceptions import ConnectionError as RedisConnectionError

from packsight.deploy.stack.credentials import Role
from packsight.deploy.testbed import Servers
from packsight.shared.contract.errors import Dependency, ErrorCode, ImageError, MessageError, Outage, PutOff
from packsight.shared.contract.messages import RECOGNIZE, RecognizeRequest, parse_request
from packsight.shared.contract.outcomes import Failure, Outcome, Status
from packsight.shared.queue import keys
from packsight.shared.queue.app import make_app
from packsight.shared.queue.dead_letters import DeadLetter, DeadLetters
from packsight.shared.queue.deliveries import Deliveries, Span, Stop
from packsight.shared.queue.ledger import Ledger
from packsight.shared.queue.pulse import Pulse, Pulses
from packsight.shared.settings import Settings
from packsight.worker.queue.delivery import DEATHS_ALONE, LOST_ALONE, AlreadyEnded, Batch, BatchKind, put_aside

Act = Callable[[str], None]


class Death(BaseException):
    """The process is gone."""


OPENED: list[Pulse] = []


class Parent:
    """A worker's parent, and what it hears of its children, which are all this process under different names."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / f"parent-{uuid.uuid4().hex}"
        self._folder.mkdir()
        self._pulses = Pulses(self._folder)
        self._children = count(1)

    def child(self) -> Pulse:
        made = Pulse(self._folder)
        made.holder = replace(made.holder, pid=next(self._children))
        OPENED.append(made)
        return made

    def in_work(self) -> Span | None:
        work = self._pulses.work(os.getpid())
        return work.span if work else None


@dataclass
class Message:
    """One message, delivered again and again until it ends."""

    ledger: Ledger
    dead_letters: DeadLetters
    act: Act
    """What working on an image does beside its answer."""
    folder: Path
    short: bool = False
    """Answer only the first image of a batch."""
    failing: dict[str, Failure] = field(default_factory=dict)
    """Images that end in a failure."""
    expires: datetime | None = None
    check: Callable[[], None] = lambda: None
    """Whether what answers photos can answer any."""
    calls: list[list[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.parent = Parent(self.folder)

    def deliver(self, images: list[str], child: Pulse | None = None) -> list[str]:
        kind = BatchKind(RECOGNIZE, RecognizeRequest, Outcome, self.run, self.check)
        request = RecognizeRequest(images=images, top_k=3)
        pulse = child or self.parent.child()
        batch = Batch(kind, "t", request, self.ledger, self.dead_letters, pulse, self.expires)
        return [told(outcome) for outcome in batch.answer()]

    def run(self, request: RecognizeRequest, message: str) -> list[Outcome]:
        assert message == "t", "by its id a message is answered from a canary or not, whatever of it is left to do"
        self.calls.append(request.images)
        for image in request.images:
            self.act(image)
        answered = request.images[:1] if self.short else request.images
        return [self.answer(image) for image in answered]

    def answer(self, image: str) -> Outcome:
        if image in self.failing:
            return Outcome.failed(image, self.failing[image])
        return Outcome(image=image, status=Status.NO_MATCH)

    def until_end(self, images: list[str], *, cause: ErrorCode = ErrorCode.WORKER_KILLED) -> tuple[list[str], int]:
        """Deliver to children whose parent lives to see them die."""
        for delivery in range(1, 100):
            child = self.parent.child()
            try:
                return self.deliver(images, child), delivery
            except Death:
                self.ledger.deliveries.record_death("t", child.holder, cause, self.parent.in_work())
        raise AssertionError("it never ends")

    def until_end_of_parents(self, images: list[str]) -> tuple[list[str], int]:
        """Deliver to children that take their parent along."""
        for delivery in range(1, 1000):
            try:
                return self.deliver(images), delivery
            except Death:
                self.parent = Parent(self.folder)
        raise AssertionError("it never ends")


def told(outcome: Outcome) -> str:
    return f"{outcome.image}: {outcome.failure.code if outcome.failure else 'fine'}"


@pytest.fixture
def message(live_settings: Settings, tmp_path: Path) -> Iterator[Callable[[Act], Message]]:
    ledger, dead_letters = Ledger(live_settings), DeadLetters(live_settings)
    yield lambda act: Message(ledger, dead_letters, act, tmp_path)
    while OPENED:
        OPENED.pop().close()
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


def test_the_poison_image_is_set_apart_by_halves_and_its_neighbours_are_run_no_more_often_than_needed(
    message: Callable[[Act], Message],
) -> None:
    made = message(dies_of("f"))
    outcomes, deliveries = made.until_end(list("abcdefgh"))
    assert outcomes == [f"{image}: {'worker_killed' if image == 'f' else 'fine'}" for image in "abcdefgh"]
    assert deliveries == 1 + 2 + DEATHS_ALONE + 1, "whole, twice halved, alone, and once to answer"
    assert list(map("".join, made.calls)) == ["abcdefgh", "abcd", "efgh", "ef", "e", "f", "f", "gh"]
    (letter,) = made.dead_letters.list()
    assert (letter.image, letter.code) == ("f", ErrorCode.WORKER_KILLED)
    assert parse_request(RecognizeRequest, letter.payload) == RecognizeRequest(images=["f"], top_k=3)


def test_a_photo_at_which_a_stage_stands_still_is_set_apart_at_once_and_blamed_alone(
    message: Callable[[Act], Message],
) -> None:
    images = [f"{place}" for place in range(64)]
    stored = message(dies_of("37"))
    runs, answers = 0, list[str]()
    while not answers:
        runs += 1
        child = stored.parent.child()
        try:
            answers = stored.deliver(images, child)
        except Death:
            span = stored.parent.in_work()
            part = (37, 38) if span != (37, 38) else None  # what the word of the part says
            stored.ledger.deliveries.record_death("t", child.holder, ErrorCode.TIME_LIMIT, part or span, proven=part is None)
    assert runs == 1 + DEATHS_ALONE + 1, "once with others, then alone, and never again"
    assert answers == [f"{image}: {'time_limit' if image == '37' else 'fine'}" for image in images]


def test_the_cause_is_what_the_parent_saw(message: Callable[[Act], Message]) -> None:
    made = message(dies_of("slow"))
    outcomes, _ = made.until_end(["slow", "b"], cause=ErrorCode.TIME_LIMIT)
    assert outcomes == ["slow: time_limit", "b: fine"]
    assert [letter.code for letter in made.dead_letters.list()] == [ErrorCode.TIME_LIMIT]


def test_every_image_of_a_batch_may_be_poison(message: Callable[[Act], Message]) -> None:
    made = message(dies_of("a", "b", "c", "d"))
    outcomes, deliveries = made.until_end(list("abcd"))
    assert outcomes == [f"{image}: worker_killed" for image in "abcd"]
    assert deliveries == 3 + 4 * DEATHS_ALONE + 1, "the whole and its halves, each of four alone, and once to answer"
    assert made.dead_letters.count() == 4


def test_one_death_alone_may_have_been_chance(message: Callable[[Act], Message]) -> None:
    deaths = iter([True, True])

    def act(image: str) -> None:
        if image == "unlucky" and next(deaths, False):
            raise Death

    made = message(act)
    outcomes, deliveries = made.until_end(["a", "unlucky"])
    assert outcomes == ["a: fine", "unlucky: fine"]
    assert deliveries == 3
    assert made.dead_letters.count() == 0


def test_a_child_that_dies_with_no_photo_in_work_speaks_against_none(message: Callable[[Act], Message]) -> None:
    made = message(dies_of())
    for deaths in range(1, 30):
        child = made.parent.child()
        assert made.deliver(["a"], child) == ["a: fine"]
        told = made.ledger.deliveries.record_death("t", child.holder, ErrorCode.WORKER_KILLED, made.parent.in_work())
        assert told == deaths
    assert made.dead_letters.count() == 0


def test_outcomes_are_kept_once_a_child_has_died_while_they_were_stored(message: Callable[[Act], Message]) -> None:
    made = message(dies_of())
    for _ in range(3):
        child = made.parent.child()
        child.begin(60)
        assert made.deliver(["a", "b"], child) == ["a: fine", "b: fine"]
        assert made.parent.in_work() is None
        made.ledger.deliveries.record_death("t", child.holder, ErrorCode.TIME_LIMIT, made.parent.in_work())
    assert made.calls == [["a", "b"]] * 2, "kept the second time, and not looked at again"
    assert set(made.ledger.deliveries.kept("t")) == {0, 1}


def test_a_photo_is_not_to_blame_for_what_its_batch_waits_for(message: Callable[[Act], Message]) -> None:
    child = list[Pulse]()

    def waits(_: str) -> None:
        with child[-1].aside():
            raise Death

    made = message(waits)
    for deaths in range(1, 2 + DEATHS_ALONE):
        child.append(made.parent.child())
        child[-1].begin(60)
        with pytest.raises(Death):
            made.deliver(["a"], child[-1])
        told = made.ledger.deliveries.record_death("t", child[-1].holder, ErrorCode.WORKER_KILLED, made.parent.in_work())
        assert told == deaths
    assert made.dead_letters.count() == 0


def test_no_number_of_databases_that_go_away_speaks_against_a_photo(message: Callable[[Act], Message]) -> None:
    """Children that live, of as many parents as it takes to lose one, do not: each takes back what it left open."""

    def away(image: str) -> None:
        if image == "a":
            raise RedisConnectionError("the server went away")

    made = message(away)
    children = [made.parent.child(), made.parent.child(), *(Parent(made.folder).child() for _ in range(2))]
    for child in children * LOST_ALONE * 3:
        with pytest.raises(Reject) as caught:
            made.deliver(["a", "b"], child)
        assert caught.value.requeue
    made.act = lambda image: None
    assert made.deliver(["a", "b"]) == ["a: fine", "b: fine"]
    assert made.dead_letters.count() == 0


@pytest.mark.parametrize("cancelled", [False, True])
def test_what_a_child_left_open_while_the_database_was_away_it_takes_back_with_its_next_batch(
    message: Callable[[Act], Message], cancelled: bool
) -> None:
    def away(image: str) -> None:
        if image == "a":
            raise RedisConnectionError("the server went away")

    made = message(away)
    if cancelled:
        made.ledger.cancel("another", 2)
    for _ in range(2 * LOST_ALONE):
        made.parent = Parent(made.folder)
        child = made.parent.child()
        with pytest.raises(Reject):
            made.deliver(["a"], child)
        made.ledger.deliveries.begin("another-000001", child.holder, 1)
    assert not made.ledger.deliveries.begin("t", made.parent.child().holder, 1).progress.lost


def test_dozens_of_killed_parents_condemn_no_photo_while_fewer_than_the_limit_had_it_alone(
    message: Callable[[Act], Message],
) -> None:
    kills = Counter[str]()

    def act(image: str) -> None:
        if len(made.calls[-1]) > 1 or kills[image] < LOST_ALONE - 1:
            kills[image] += len(made.calls[-1]) == 1
            raise Death(image)

    made = message(act)
    outcomes, deliveries = made.until_end_of_parents(list("abcd"))
    assert outcomes == [f"{image}: fine" for image in "abcd"]
    assert deliveries == 3 + 4 * (LOST_ALONE - 1) + 1
    assert made.dead_letters.count() == 0


def test_a_photo_that_takes_its_parent_along_each_time_ends_after_a_bounded_number_of_them(
    message: Callable[[Act], Message],
) -> None:
    made = message(dies_of("c"))
    outcomes, deliveries = made.until_end_of_parents(list("abcd"))
    assert outcomes == ["a: fine", "b: fine", "c: worker_lost", "d: fine"]
    assert deliveries == 2 + LOST_ALONE + 1
    (letter,) = made.dead_letters.list()
    assert (letter.image, letter.code) == ("c", ErrorCode.WORKER_LOST)


def test_one_parent_counts_once_however_many_of_its_children_were_not_heard_of(message: Callable[[Act], Message]) -> None:
    made = message(dies_of("a"))
    for _ in range(3 * LOST_ALONE):  # nobody notes their deaths, as while the result database is away
        with pytest.raises(Death):
            made.deliver(["a"])
    made.act = lambda image: None
    made.parent = Parent(made.folder)
    assert made.deliver(["a"]) == ["a: fine"]


def test_a_batch_that_raises_as_a_whole_is_run_by_halves_at_once(
    message: Callable[[Act], Message],
) -> None:
    def act(image: str) -> None:
        if image == "broken":
            raise ZeroDivisionError
        if image == "missing":
            raise ImageError(ErrorCode.OBJECT_MISSING, "no such object")

    made = message(act)
    assert made.deliver(["a", "broken", "missing"]) == ["a: fine", "broken: internal", "missing: object_missing"]
    assert made.calls == [["a", "broken", "missing"], ["a", "broken"], ["a"], ["broken"], ["missing"]]
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


def test_without_the_result_database_the_message_goes_back(live_settings: Settings, tmp_path: Path) -> None:
    away = live_settings.model_copy(update={"result_url": SecretStr("redis://127.0.0.1:1/1")})
    with pytest.raises(Reject) as caught:
        Message(Ledger(away), DeadLetters(away), dies_of(), tmp_path).deliver(["a"])
    assert caught.value.requeue


def test_without_the_list_of_dead_letters_a_message_that_breaks_the_contract_goes_back(live_settings: Settings) -> None:
    away = live_settings.model_copy(update={"result_url": SecretStr("redis://127.0.0.1:1/1")})
    letter = DeadLetter(code=ErrorCode.BAD_MESSAGE, message="no object", task=RECOGNIZE, task_id="t", payload={})
    with pytest.raises(Reject) as caught:
        put_aside(DeadLetters(away), letter)
    assert caught.value.requeue
    assert isinstance(caught.value.reason, Outage)


@pytest.mark.parametrize("begun", [["job:"], ["job:spring", "job:spring-000000"], ["summer-job:"]])
def test_whatever_a_task_is_called_the_messages_of_others_are_answered(
    message: Callable[[Act], Message], begun: list[str]
) -> None:
    made = message(dies_of())
    book, me = made.ledger.deliveries, made.parent.child().holder
    made.ledger.cancel("spring", 1)
    for task_id in begun:
        assert book.begin(task_id, me, 1).count == 1
        assert book.begin(task_id, me, 1).count == 2
    for job in ("spring", "summer"):
        made.ledger.cancel(job, 1)
        assert book.begin(f"{job}-000000", me, 1).stop is Stop.CANCELLED
    assert book.begin("job:spring-000000", me, 1).stop is None
    assert made.deliver(["a"]) == ["a: fine"]


@pytest.mark.parametrize("text", [True, False])
def test_a_message_whose_id_names_what_no_worker_put_there_is_put_aside_and_is_no_outage(
    message: Callable[[Act], Message], text: bool
) -> None:
    made = message(dies_of())
    client, key = made.ledger.client, keys.partial("t")
    client.set(key, "x") if text else client.hset(key, "count", "x")
    for _ in range(2):
        with pytest.raises(MessageError, match="not packsight's"):
            made.deliver(["a"])
    (letter,) = made.dead_letters.list()
    assert (letter.task_id, letter.payload["args"][0]["images"]) == ("t", ["a"])
    assert made.calls == []
    made.ledger.deliveries.end("t")
    assert made.deliver(["a"]) == ["a: fine"]


def test_another_message_under_the_id_of_one_that_has_not_ended_is_answered_for_its_own_photos(
    message: Callable[[Act], Message],
) -> None:
    made = message(is_away("b"))
    with pytest.raises(Reject):
        made.deliver(["a", "b"])
    assert made.deliver(["c", "a"]) == ["c: fine", "a: fine"]


def test_an_outcome_that_another_release_kept_and_this_one_cannot_read_is_made_again(
    message: Callable[[Act], Message],
) -> None:
    made = message(dies_of())
    told = Outcome(image="a", status=Status.NO_MATCH).model_dump_json()
    made.ledger.deliveries.keep("t", {0: told, 1: told.replace("no_match", "of_tomorrow")})
    assert made.deliver(["a", "b"]) == ["a: fine", "b: fine"]
    assert made.calls == [["b"]]


def test_a_database_that_refuses_this_worker_is_an_outage_all_the_same(
    message: Callable[[Act], Message], servers: Servers
) -> None:
    made = message(dies_of())
    host, _, port = servers.address.partition(":")
    key = {"username": Role.MONITOR, "password": servers.passwords[Role.MONITOR]}
    with redis.Redis(host=host, port=int(port), db=1, decode_responses=True, **key) as stranger:  # type: ignore[arg-type]
        made.ledger.deliveries = Deliveries(stranger, 60)
        with pytest.raises(Reject) as caught:
            made.deliver(["a"])
    assert isinstance(caught.value.reason, Outage)


def is_away(reference: str) -> Act:
    def act(image: str) -> None:
        if image == reference:
            raise Outage(Dependency.STORE, "no route", {"a": Outcome(image="a", status=Status.NO_MATCH)})

    return act


def test_an_outage_counts_as_no_delivery_and_what_was_finished_is_not_done_again(
    message: Callable[[Act], Message],
) -> None:
    stored = message(is_away("b"))
    for _ in range(10):
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
    message: Callable[[Act], Message],
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


FAR, NEAR = "https://shop.example/far.jpg", "s3://b/near.jpg"
UNREACHABLE = Failure.of_code(ErrorCode.HOST_UNREACHABLE, "no route")


def put_off(made: Message, images: list[str]) -> float:
    """Deliver, and return the seconds after which photos are asked for again."""
    with pytest.raises(Reject) as caught:
        made.deliver(images)
    assert caught.value.requeue
    assert isinstance(caught.value.reason, PutOff)
    return caught.value.reason.seconds


def test_photos_of_a_host_that_is_away_come_again_and_what_their_neighbours_got_stands(
    message: Callable[[Act], Message],
) -> None:
    made = message(dies_of())
    made.failing = {FAR: UNREACHABLE}
    first, second = put_off(made, [NEAR, FAR]), put_off(made, [NEAR, FAR])
    assert first < second
    made.failing = {}
    assert made.deliver([NEAR, FAR]) == [f"{NEAR}: fine", f"{FAR}: fine"]
    assert made.calls == [[NEAR, FAR], [FAR], [FAR]]
    assert made.ledger.deliveries.count("t") == 1, "none but the last counts"


def test_the_failure_of_the_last_attempt_is_final(message: Callable[[Act], Message], live_settings: Settings) -> None:
    made = message(dies_of())
    made.failing = {FAR: UNREACHABLE}
    for _ in range(live_settings.fetch.attempts - 1):
        put_off(made, [FAR, NEAR])
    assert made.deliver([FAR, NEAR]) == [f"{FAR}: host_unreachable", f"{NEAR}: fine"]
    assert made.calls == [[FAR, NEAR]] + [[FAR]] * (live_settings.fetch.attempts - 1)
    assert not made.dead_letters.list()


def test_a_message_that_would_expire_meanwhile_is_answered_at_once(message: Callable[[Act], Message]) -> None:
    made = message(dies_of())
    made.failing = {FAR: UNREACHABLE}
    made.expires = datetime.now(UTC) + timedelta(seconds=20)
    assert made.deliver([FAR]) == [f"{FAR}: host_unreachable"]


def test_photos_of_our_own_store_and_lasting_failures_are_not_put_off(message: Callable[[Act], Message]) -> None:
    made = message(dies_of())
    missing = Failure.of_code(ErrorCode.HTTP_STATUS, "status 404")
    made.failing = {FAR: missing, NEAR: UNREACHABLE}
    assert made.deliver([FAR, NEAR]) == [f"{FAR}: http_status", f"{NEAR}: host_unreachable"]


def test_an_outage_of_our_own_costs_a_foreign_host_no_attempt(message: Callable[[Act], Message]) -> None:
    made = message(dies_of())
    made.failing = {FAR: UNREACHABLE}

    def away(image: str) -> None:
        raise Outage(Dependency.STORE, "no route", {FAR: Outcome.failed(FAR, UNREACHABLE)})

    made.act = away
    for _ in range(10):
        with pytest.raises(Reject):
            made.deliver([NEAR, FAR])
    made.act, made.failing = lambda image: None, {}
    assert made.deliver([NEAR, FAR]) == [f"{NEAR}: fine", f"{FAR}: fine"]


def test_photos_are_put_off_also_where_their_batch_is_run_by_halves(message: Callable[[Act], Message]) -> None:
    made = message(dies_of("bad"))
    made.failing = {FAR: UNREACHABLE}
    images = [FAR, NEAR, "bad", "d"]
    for _ in range(2 + DEATHS_ALONE):
        child = made.parent.child()
        with pytest.raises(Death):
            made.deliver(images, child)
        made.ledger.deliveries.record_death("t", child.holder, ErrorCode.WORKER_KILLED, made.parent.in_work())
    put_off(made, images)
    made.failing = {}
    assert made.deliver(images) == [f"{FAR}: fine", f"{NEAR}: fine", "bad: worker_killed", "d: fine"]
    assert made.calls[-1] == [FAR]


def test_networks_that_answer_no_more_are_an_outage_and_no_photos_failure(message: Callable[[Act], Message]) -> None:
    def lost() -> None:
        raise Outage(Dependency.NETWORKS, "the device is lost")

    def raising(image: str) -> None:
        if image != "a":
            raise RuntimeError("unspecified launch failure")

    stored = message(raising)
    stored.check = lost
    with pytest.raises(Reject) as caught:
        stored.deliver(["a", "b"])
    assert isinstance(caught.value.reason, Outage) and caught.value.reason.dependency is Dependency.NETWORKS
    stored.check = lambda: None
    assert stored.deliver(["a", "b"]) == ["a: fine", "b: internal"], "others are answered, so it is this photo's doing"
    assert stored.calls == [["a", "b"], ["a"], ["b"], ["b"]], "what was answered stands"
