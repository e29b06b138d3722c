"""A batch over which children die again and again with none of its photos in work: its end, with a real ledger and backend."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from billiard.einfo import ExceptionInfo
from billiard.exceptions import TimeLimitExceeded, WorkerLostError
from celery.app.trace import build_tracer
from celery.exceptions import Reject

from packsight.shared.contract.errors import ErrorCode, PutOff
from packsight.shared.contract.messages import DESCRIBE, RECOGNIZE
from packsight.shared.contract.outcomes import Outcome, RecognizeResult, Status
from packsight.shared.queue import keys
from packsight.shared.queue.app import App, make_app
from packsight.shared.queue.connection import open_redis
from packsight.shared.queue.dead_letters import DeadLetters
from packsight.shared.queue.ledger import Ledger
from packsight.shared.queue.pulse import Holder, Pulse, Pulses
from packsight.shared.queue.transport.contract import UNACKED_INDEX
from packsight.shared.settings import Settings
from packsight.worker.queue import request
from packsight.worker.queue.request import IDLE_DEATHS, BatchRequest, BatchTask

IMAGES = ["s3://b/0", "s3://b/1", "s3://b/2"]
LOST = WorkerLostError("signal 9")


class Given:
    """A message that is delivered again and again, each time to a child that dies."""

    def __init__(self, app: App, ledger: Ledger, letters: DeadLetters) -> None:
        self.app, self.ledger, self.letters = app, ledger, letters
        self.acknowledged = self.put_back = 0

    def die(self, task: str = RECOGNIZE, *, pid: int = 7, error: Exception = LOST, **embedded: Any) -> None:
        payload: Any = ([{"images": IMAGES}], {}, embedded)
        message = SimpleNamespace(
            headers={"id": "t", "task": task}, payload=payload, body="", content_type="x", content_encoding="utf-8",
            delivery_info={"exchange": "", "routing_key": "celery"}, properties={}, acknowledged=False,
        )  # fmt: skip
        made = BatchRequest(
            message, app=self.app, task=self.app.tasks[task], on_ack=self._acknowledge, on_reject=self._put_back
        )
        made.worker_pid = pid
        try:
            raise error
        except type(error):
            made.on_failure(ExceptionInfo())

    def _acknowledge(self, *_: Any) -> None:
        self.acknowledged += 1

    def _put_back(self, *_: Any) -> None:
        self.put_back += 1


def never_run(_: Any) -> None:
    raise AssertionError("the child is dead")


@pytest.fixture
def given(live_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Given]:
    app, ledger, letters = make_app("test", live_settings), Ledger(live_settings), DeadLetters(live_settings)
    for name in (RECOGNIZE, DESCRIBE):
        app.task(name=name, base=BatchTask, shared=False)(never_run)
    monkeypatch.setattr(request, "_books", lambda _: (ledger, letters))
    monkeypatch.setattr(request, "pulses", lambda: Pulses(tmp_path))
    yield Given(app, ledger, letters)
    app.close()
    ledger.close()
    letters.close()


def keep_the_second(given: Given) -> None:
    outcome = Outcome(image=IMAGES[1], status=Status.NO_MATCH)
    given.ledger.deliveries.begin("t", Holder("parent", 7), len(IMAGES))
    given.ledger.deliveries.keep("t", {1: outcome.model_dump_json()})


def test_a_batch_that_is_given_up_ends_with_the_outcomes_that_it_has(given: Given) -> None:
    keep_the_second(given)
    for _ in range(IDLE_DEATHS):
        given.die()
    assert (given.put_back, given.acknowledged) == (IDLE_DEATHS, 0)
    assert not given.ledger.results.read(["t"])
    given.die()
    assert (given.put_back, given.acknowledged) == (IDLE_DEATHS, 1)
    end = given.ledger.results.read(["t"])["t"]
    assert end.state == "SUCCESS"
    outcomes = RecognizeResult.model_validate(end.result).outcomes
    assert [outcome.image for outcome in outcomes] == IMAGES
    assert [outcome.status for outcome in outcomes] == [Status.FAILED, Status.NO_MATCH, Status.FAILED]
    assert {one.failure.code for one in outcomes if one.failure} == {ErrorCode.WORKER_KILLED}
    assert given.ledger.results.counted(["t"]) == {"t": {"failed": 2, "no_match": 1}}
    (letter,) = given.letters.list()
    assert (letter.task_id, letter.code) == ("t", ErrorCode.WORKER_KILLED)
    assert not given.ledger.client.exists(keys.partial("t"))


@pytest.mark.parametrize("ignored", [False, True])
def test_nothing_is_kept_of_the_deliveries_of_a_batch_whose_result_is_there_or_that_nobody_wants(
    given: Given, *, ignored: bool
) -> None:
    result = RecognizeResult.of([Outcome(image=IMAGES[0], status=Status.NO_MATCH)])

    def answers() -> RecognizeResult:
        given.ledger.deliveries.begin("t", Holder("parent", 7), 1)
        return result

    task = given.app.task(name="answers", base=BatchTask, shared=False)(answers)
    trace = build_tracer("answers", task, app=given.app)
    trace("t", (), {}, {"id": "t", "ignore_result": ignored})
    assert not given.ledger.client.exists(keys.partial("t"))
    assert bool(given.ledger.results.read(["t"])) is not ignored


@pytest.mark.parametrize("task", [RECOGNIZE, DESCRIBE])
def test_a_batch_that_is_given_up_with_nothing_to_answer_with_fails(given: Given, task: str) -> None:
    if task == DESCRIBE:  # which models described is known to children alone
        keep_the_second(given)
    for _ in range(IDLE_DEATHS + 1):
        given.die(task)
    end = given.ledger.results.read(["t"])["t"]
    assert (end.state, end.code, given.acknowledged) == ("FAILURE", ErrorCode.WORKER_KILLED, 1)


@pytest.mark.parametrize(("seconds", "deaths"), [(60.0, None), (-1.0, "1")], ids=("in time", "late"))
def test_a_photo_is_blamed_for_the_limit_of_its_message_only_where_it_is_late_itself(
    given: Given, tmp_path: Path, seconds: float, deaths: str | None
) -> None:
    child = Pulse(tmp_path)
    with pytest.raises(SystemExit), child.working(1, 2, lambda _: seconds):
        raise SystemExit
    given.die(pid=child.holder.pid, error=TimeLimitExceeded(5))
    assert given.put_back == 1
    assert given.ledger.client.hget(keys.partial("t"), "deaths:1") == deaths
    assert given.ledger.client.hget(keys.partial("t"), "idle_deaths") is None
    child.close()


def test_what_follows_on_a_batch_that_is_given_up_is_published(given: Given, monkeypatch: pytest.MonkeyPatch) -> None:
    published: list[Any] = []
    monkeypatch.setattr("packsight.shared.queue.callbacks.Following.publish", lambda _, *told: published.append(told))
    keep_the_second(given)
    for _ in range(IDLE_DEATHS + 1):
        given.die(callbacks=["stored"], chain=["last", "next"])
    assert [(what, follower, rest) for what, follower, _, *rest in published] == [
        ("a callback", "stored", []),
        ("the next task of its chain", "next", ["last"]),
    ]


def test_a_batch_that_cannot_be_put_on_the_list_is_given_up_the_next_time(given: Given) -> None:
    keep_the_second(given)
    given.ledger.client.set(keys.DEAD_LETTERS, "spoilt")
    for _ in range(IDLE_DEATHS + 1):
        given.die()
    assert (given.put_back, given.acknowledged) == (IDLE_DEATHS + 1, 0), "nobody else would ever let go of it"
    given.ledger.client.delete(keys.DEAD_LETTERS)
    given.die()
    assert given.acknowledged == len(given.letters.list()) == 1


def test_photos_that_are_put_off_come_again_in_time_whatever_the_clock_of_their_worker_says(
    given: Given, monkeypatch: pytest.MonkeyPatch
) -> None:
    given.app.send_task(RECOGNIZE, args=[{"images": IMAGES}])
    with given.app.connection_for_read() as connection, open_redis(given.app.settings.broker, timeout=5) as broker:
        message = connection.channel().basic_get("packsight.recognize")
        made = BatchRequest(message, app=given.app, task=given.app.tasks[RECOGNIZE], headers=message.headers)
        now, behind = float(broker.time()[0]), time.time() - 3600
        monkeypatch.setattr(time, "time", lambda: behind)
        try:
            raise Reject(PutOff("its host is away", 300.0), requeue=True)
        except Reject:
            made.on_failure(ExceptionInfo())
        (_, score), = broker.zrange(UNACKED_INDEX, 0, -1, withscores=True)
        assert 0 <= score + given.app.settings.queue.visibility_timeout - now - 300 < 60
