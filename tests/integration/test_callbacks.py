"""Callbacks of every kind over a real broker: each reaches the queue that it names, and none that cannot be sent does harm."""

from __future__ import annotations

import base64
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import redis
from celery import Celery, Signature, chain, chord, group
from celery.app.task import Context
from kombu.exceptions import OperationalError

from packsight.deploy.stack.acl import rules_of_program
from packsight.deploy.testbed import Servers
from packsight.shared.contract.messages import DEFAULT_QUEUE, INTERACTIVE_QUEUE, RECOGNIZE
from packsight.shared.queue import callbacks, refused
from packsight.shared.queue.app import make_app
from packsight.shared.queue.connection import result_database
from packsight.shared.queue.results import Results
from packsight.shared.settings import Settings
from tests.integration import other_program
from tests.pages import block
from tests.recognizer import running

OTHER = other_program.QUEUE
LIMIT = 15
"""Seconds after which a test that would hang is ended."""


class _Heard(logging.Handler):
    """Keeps what is logged; caplog's own handler is gone as soon as a worker in this process sets up its logging."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


def test_the_page_gives_another_program_keys_of_its_own() -> None:
    app = Celery(set_as_current=False)
    exec(block("docs/security.md", "Broker and results", "python"), {"app": app})
    assert app.conf.broker_transport_options == other_program.app.conf.broker_transport_options


@pytest.fixture
def logged() -> Iterator[list[logging.LogRecord]]:
    """What callbacks log."""
    heard = _Heard()
    callbacks.log.addHandler(heard)
    yield heard.records
    callbacks.log.removeHandler(heard)


class Program:
    """Another program, as a client of ours."""

    def __init__(self, settings: Settings) -> None:
        broker, backend = (url.get_secret_value() for url in (settings.broker_url, settings.result_url))
        self.app = Celery("client", broker=broker, backend=backend, set_as_current=False)
        self.results = redis.Redis.from_url(backend)

    def heard(self) -> list[Any]:
        """Arguments of each run of its task."""
        return [json.loads(one) for one in cast("list[bytes]", self.results.lrange(other_program.HEARD, 0, -1))]

    def look(self, image: str | float = "a") -> Signature:
        return self.app.signature(RECOGNIZE, args=[{"images": [image]}], immutable=True, options={"queue": INTERACTIVE_QUEUE})

    def store(self, **options: Any) -> Signature:
        return self.app.signature("myapp.store", options={"queue": OTHER, **options})


@pytest.fixture(scope="module")
def other_worker(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The other program's worker, with nothing of packsight in it, and with the rights that its user is given."""
    with redis.Redis.from_url(servers.redis_url(0)) as broker:
        broker.execute_command("ACL", "SETUSER", OTHER, "reset", "on", ">secret", *rules_of_program(OTHER).split())
    broker_url, result_url = (f"redis://{OTHER}:secret@{servers.address}/{database}" for database in (0, 1))
    urls = {"PACKSIGHT_BROKER_URL": broker_url, "PACKSIGHT_RESULT_URL": result_url}
    command = [sys.executable, "-m", "celery", "-A", "other_program", "worker", "-P", "solo", "-Q", OTHER, "-l", "INFO"]
    command += ["--without-gossip", "--without-mingle"]
    with (tmp_path_factory.mktemp("other") / "log").open("wb") as output:
        process = subprocess.Popen(
            command, cwd=Path(__file__).parent, env={**os.environ, **urls}, stdout=output, stderr=subprocess.STDOUT
        )
        yield
        process.terminate()
        process.wait(20)


@pytest.fixture
def other(live_settings: Settings, other_worker: None) -> Iterator[Program]:
    """The other program, beside a worker of ours."""
    with running(live_settings):
        yield Program(live_settings)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callbacks, "PATIENCE", 0.0)


def status(result: Any) -> str:
    return str(result.get(timeout=LIMIT)["outcomes"][0]["status"])


SHAPES: dict[str, Callable[[Program], Any]] = {
    "a chain": lambda one: chain(one.look(), one.store()),
    "a longer chain": lambda one: chain(one.look(), one.look(), one.store(), one.store()),
    "a chord": lambda one: chord([one.look(), one.look("b")], one.store()),
    "a chord of a chain": lambda one: chord([chain(one.look(), one.store()), one.look()], one.store()),
    "a chord of a group": lambda one: chord([group(one.look(), one.look()), one.look()], one.store()),
    "a chain that begins with a group": lambda one: chain(group(one.look(), one.look()), one.store()),
    "a chain of chords": lambda one: chain(
        group(one.look(), one.look()), one.store(), group(one.store(), one.look()), one.store()
    ),
    "a group after a task": lambda one: chain(one.look(), group(one.store(), one.store()), one.store()),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_what_a_task_is_a_part_of_comes_to_its_end(other: Program, shape: str) -> None:
    assert SHAPES[shape](other).apply_async().get(timeout=LIMIT)[0] == OTHER
    assert other.heard()


def test_callbacks_reach_the_queue_that_they_name(other: Program) -> None:
    answer = other.look().apply_async(link=[other.store(), group(other.store(), other.store()), other.store()])
    assert status(answer) == "no_match"
    wait_for(lambda: len(other.heard()) == 4)
    assert {heard[0]["outcomes"][0]["image"] for heard in other.heard()} == {"a"}


def test_a_callback_that_names_an_exchange_beside_its_queue_reaches_the_queue_though_nobody_bound_it(other: Program) -> None:
    with redis.Redis.from_url(other.app.conf.broker_url) as broker:
        broker.delete(*(f"_kombu.{kind}.{OTHER}" for kind in ("binding", "binding_permanent")))
    answer = other.look().apply_async(link=[other.store(exchange=OTHER, routing_key=OTHER)])
    assert status(answer) == "no_match"
    wait_for(lambda: len(other.heard()) == 1)


def test_error_callbacks_reach_the_queue_that_they_name(other: Program) -> None:
    answer = other.look("crash").apply_async(link_error=[other.store(), other.store()])
    with pytest.raises(Exception, match="the task broke"):
        answer.get(timeout=LIMIT)
    wait_for(lambda: len(other.heard()) == 2)
    assert other.heard() == [[answer.id]] * 2


def test_an_error_callback_is_never_run_in_the_process_that_publishes_it(live_settings: Settings) -> None:
    """Its task is one of the worker's own: Celery would call it there and then."""
    one = Program(live_settings)
    with running(live_settings) as worker:
        answer = one.look("crash").apply_async(link_error=one.look("called").clone(immutable=True))
        with pytest.raises(Exception, match="the task broke"):
            answer.get(timeout=LIMIT)
        wait_for(lambda: worker.seen["called"] == 1)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    "options",
    [
        {"link": {"task": "myapp.store", "options": {"queue": "packsight-test-no-list"}}},  # which the broker refuses
        {"link": {"task": "myapp.store", "options": {"queue": "_kombu.binding_deadlines"}}},  # which all look into who listen
        {"link": {"task": "myapp.store", "options": {"queue": "unacked_index"}}},
        {"link": {"task": "myapp.store", "options": {"queue": "myapp.unacked_index"}}},
        {"link": {"task": "myapp.store", "options": {"queue": "packsight:dead-letters"}}},
        {"link": {"task": "myapp.store", "options": {"queue": 5}}},
        {"link": {"task": "myapp.store", "options": {"queue": OTHER, "serializer": "unheard-of"}}},
        {"link": {"task": "myapp.store", "options": {"queue": OTHER, "producer": "x"}}},
        {"link": {"task": "myapp.store", "args": 5, "options": {"queue": OTHER}}},
        {"link": {"task": "x", "subtask_type": "chord", "args": [], "kwargs": {}, "options": {}}},
        {"link": {"no": "task"}},
        {"link": [[["a list"]]]},
        {"link": "text"},
        {"chain": ["text"]},
        {"chain": [{"task": "myapp.store", "options": {"queue": 5}}]},
        {"chord": "text", "group_id": "g"},
        {"chord": {"task": 5}, "group_id": "g"},
        {"chord": {"task": "myapp.store", "options": 5}, "group_id": "g"},
    ],
    ids=str,
)
def test_a_callback_that_cannot_be_published_leaves_the_result_as_it_is(
    live_settings: Settings, logged: list[logging.LogRecord], options: dict[str, Any]
) -> None:
    one = Program(live_settings)
    with redis.Redis.from_url(live_settings.broker_url.get_secret_value()) as broker:
        broker.set("packsight-test-no-list", "taken")
    with redis.Redis.from_url(live_settings.result_url.get_secret_value()) as results:
        results.set("celery-taskset-meta-g.s", 1)  # a chord of one part
    follows = {name: value if name != "link" or isinstance(value, list) else [value] for name, value in options.items()}
    with running(live_settings):
        answer = one.app.send_task(RECOGNIZE, args=[{"images": ["a"]}], queue=INTERACTIVE_QUEUE, **follows)
        assert status(answer) == "no_match"
        assert status(one.look().apply_async()) == "no_match"
    assert answer.state == "SUCCESS"
    assert [record.levelname for record in logged] == ["ERROR"]


@pytest.mark.usefixtures("impatient")
def test_one_callback_that_cannot_be_published_keeps_no_other_from_its_queue(other: Program) -> None:
    bad = other.store(queue=5)
    assert status(other.look().apply_async(link=[bad, other.store()])) == "no_match"
    with pytest.raises(Exception, match="the task broke"):
        other.look("crash").apply_async(link_error=[bad, other.store()]).get(timeout=LIMIT)
    wait_for(lambda: len(other.heard()) == 2)


@pytest.mark.usefixtures("impatient")
def test_whoever_waits_for_the_end_of_a_chain_that_broke_learns_of_it(other: Program) -> None:
    answer = chain(other.look(), other.store(queue=5), other.store()).apply_async()
    with pytest.raises(Exception, match=r"(?s).+"):
        answer.get(timeout=LIMIT)
    assert status(answer.parent.parent) == "no_match"
    assert not other.heard()


@pytest.mark.usefixtures("impatient")
def test_whoever_waits_for_the_body_of_a_chord_that_cannot_be_sent_learns_of_it(other: Program) -> None:
    answer = chord([other.look(), other.look()], other.store(serializer="unheard-of")).apply_async()
    with pytest.raises(Exception, match="unheard-of"):
        answer.get(timeout=LIMIT)
    assert [status(part) for part in answer.parent.results] == ["no_match", "no_match"]


REFUSED: dict[str, Callable[[Program], Signature]] = {
    "to wait too long": lambda one: one.look().set(countdown=8 * 24 * 3600),
    "for no task": lambda one: one.app.signature("unheard-of", immutable=True, options={"queue": INTERACTIVE_QUEUE}),
    "with what is no number": lambda one: one.look(float("nan")),
    "of an odd header": lambda one: one.look().set(headers={"lang": 5}),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_whoever_waits_for_what_follows_on_a_refused_message_learns_of_it(other: Program, kind: str) -> None:
    def bad() -> Signature:
        return REFUSED[kind](other)

    waiting = [
        chain(bad(), other.store(), other.store()).apply_async(),
        chain(other.look(), bad(), other.store()).apply_async(),
        chord([other.look(), bad()], other.store()).apply_async(),
        chord([chain(bad(), other.store()), other.look()], other.store()).apply_async(),
    ]
    for answer in waiting:
        answer.get(timeout=LIMIT, propagate=False)
        assert answer.state == "FAILURE"
    failed = bad().apply_async(link_error=[other.store(), other.store(queue=5), other.store()])
    wait_for(lambda: other.heard() == [[failed.id]] * 2)


def test_whoever_waits_for_the_end_of_a_chain_that_has_expired_learns_of_it(other: Program) -> None:
    answer = chain(other.look().set(expires=-1), other.look(), other.store()).apply_async()
    for one in (answer, answer.parent, answer.parent.parent):
        one.get(timeout=LIMIT, propagate=False)
        assert one.state == "REVOKED"


@pytest.mark.parametrize(("seconds", "told"), [(60.0, {"last", "middle"}), (-1.0, {"last"})])
def test_a_chain_that_takes_too_long_to_tell_is_told_of_at_its_end(
    live_settings: Settings, monkeypatch: pytest.MonkeyPatch, seconds: float, told: set[str]
) -> None:
    monkeypatch.setattr(callbacks, "TELLING", seconds)
    app = make_app("worker", live_settings)
    request = Context(id="first", chain=[app.signature("x", options={"task_id": one}) for one in ("last", "middle")])
    app.backend.mark_as_revoked("first", "expired", request)
    assert Results(result_database(live_settings)).ended(["first", "last", "middle"]) == {"first", *told}


def test_of_a_refused_message_no_more_is_published_than_its_worker_has_time_for(other: Program) -> None:
    most = 3
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(refused, "FOLLOWED", most)
        failed = other.app.send_task("unheard-of", queue=INTERACTIVE_QUEUE, link_error=[other.store()] * 10)
        answer = chain(REFUSED["for no task"](other), *[other.store()] * 10).apply_async()
        answer.get(timeout=LIMIT, propagate=False)
        assert answer.state == "FAILURE", "the one that is waited for"
        other.look().apply_async(link=other.store())
        wait_for(lambda: len(other.heard()) > most)
    assert other.heard()[:most] == [[failed.id]] * most
    assert len(other.heard()) == most + 1


@pytest.mark.parametrize(
    "embed", [{"chain": 5, "errbacks": "x", "chord": []}, {"errbacks": [[]], "chain": [{}]}, {"chord": {"task": 5}}, []], ids=str
)
def test_whatever_stands_beside_a_refused_message_it_harms_nobody(live_settings: Settings, embed: Any) -> None:
    one = Program(live_settings)
    headers = {"id": 7, "task": RECOGNIZE, "group": "g", "group_index": 10**400, "root_id": []}
    text = base64.b64encode(json.dumps([[], {}, embed]).encode()).decode()
    properties = {"delivery_tag": "tag", "body_encoding": "base64", "delivery_info": {}}
    kinds = {"content-type": "application/json", "content-encoding": "utf-8"}
    with redis.Redis.from_url(live_settings.broker_url.get_secret_value()) as broker:
        broker.lpush(INTERACTIVE_QUEUE, json.dumps({"body": text, "headers": headers, "properties": properties, **kinds}))
    with running(live_settings):
        one.app.AsyncResult("7").get(timeout=LIMIT, propagate=False)
        assert one.app.AsyncResult("7").state == "FAILURE", "an id that is a number is told too"
        assert status(one.look().apply_async()) == "no_match"


def test_a_callback_is_published_again_until_the_broker_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[int] = []

    def act() -> str:
        tries.append(1)
        if len(tries) < 4:
            raise OperationalError("away")
        return "sent"

    monkeypatch.setattr(callbacks, "_PAUSE", 0.0)
    assert callbacks.Following(None, "t", None).patiently(act) == "sent"
    assert len(tries) == 4


def test_a_callback_waits_no_longer_than_a_task_may_take(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many callbacks there are, together they wait once; a policy of their own counts for nothing."""
    now = [0.0]
    pause = SimpleNamespace(monotonic=lambda: now[0], sleep=lambda seconds: now.__setitem__(0, now[0] + seconds))
    monkeypatch.setattr(callbacks, "time", pause)
    follow = callbacks.Following(None, "t", None)

    def act() -> None:
        raise OperationalError("away")

    for _ in range(50):
        with pytest.raises(OperationalError):
            follow.patiently(act)
    assert now[0] <= callbacks.PATIENCE


def test_only_callbacks_go_to_queues_that_are_not_ours(live_settings: Settings) -> None:
    worker, producer = make_app("worker", live_settings), make_app("producer", live_settings, sends_only=True)
    assert worker.amqp.router.route({"queue": OTHER}, "x")["queue"].name == OTHER
    assert worker.amqp.router.route({"queue": DEFAULT_QUEUE}, "x")["queue"] is worker.amqp.queues[DEFAULT_QUEUE]
    with pytest.raises(KeyError):
        worker.amqp.queues.select([OTHER])  # as with `celery worker -Q`
    with pytest.raises(Exception, match=OTHER):
        producer.send_task(RECOGNIZE, args=[], queue=OTHER)


def wait_for(condition: Callable[[], bool]) -> None:
    """Return when a condition holds; the limit is only there to end a test that would hang."""

    for _ in range(1200):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("not seen")
