"""Real processes, real signals: whatever dies, every task ends in exactly one result."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from base64 import b64decode
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

import pytest
from celery import Celery
from kombu.exceptions import OperationalError

from packsight.deploy.testbed import Server, Servers
from packsight.shared.contract.errors import ErrorCode
from packsight.shared.contract.messages import INTERACTIVE_QUEUE, RECOGNIZE, WORKER_QUEUES
from packsight.shared.contract.outcomes import RecognizeResult
from packsight.shared.queue.app import make_app
from packsight.shared.queue.broker import open_broker
from packsight.shared.queue.dead_letters import DeadLetter, DeadLetters
from packsight.shared.queue.ledger import Ledger
from packsight.shared.queue.results import TaskEnd
from packsight.shared.settings import Settings, Worker
from tests.acceptance.stack import StandIn, connect, environment, running, wait_until, write_to_disk

RAN = "standin:ran:"


@dataclass
class Stack:
    """One worker of two children; a message is handed out again after 4 s without a sign of life of its holder."""

    servers: Servers
    settings: Settings
    worker: StandIn

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.settings)
        self.letters = DeadLetters(self.settings)
        self.app = make_app("producer", self.settings)

    def send(self, *batches: list[str], time_limit: float | None = None) -> list[str]:
        return [self.app.send_task(RECOGNIZE, args=[{"images": batch}], time_limit=time_limit).id for batch in batches]

    def wait(self, tasks: Sequence[str]) -> list[list[str | None]]:
        """Wait for the results of tasks and return the failure codes of their images."""
        wait_until(lambda: self.ledger.results.ended(tasks) == set(tasks), f"a result of each of {len(tasks)} tasks")
        ends = self.ledger.results.read(tasks)
        return [failures_of(ends[task]) for task in tasks]

    def runs(self, task: str) -> int:
        """How often a child began with a task."""
        with connect(self.servers, 1) as client:
            return int(client.llen(RAN + task))

    def has_begun(self, task: str, runs: int) -> bool:
        return self.runs(task) >= runs

    def pids(self, task: str) -> list[str]:
        """Of the children that began with a task."""
        with connect(self.servers, 1) as client:
            return list(client.lrange(RAN + task, 0, -1))

    def broker_is_empty(self) -> bool:
        with connect(self.servers, 0) as client:
            return not client.exists("unacked", "unacked_index", *WORKER_QUEUES)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running(tmp_path_factory.mktemp("stack"), visibility_timeout=4) as parts:
        yield Stack(*parts)


def more_finished(ledger: Ledger, tasks: Sequence[str], than: int) -> bool:
    return len(ledger.results.ended(tasks)) > than


def test_kills_of_workers_and_brokers_lose_no_task(tmp_path: Path) -> None:
    """Ten workers and four brokers die, each while tasks are going through."""
    with running(tmp_path, visibility_timeout=2) as parts:
        own = Stack(*parts)
        tasks = own.send(*[["sleep:0.04"]] * 400)
        victims: dict[str, Server | StandIn] = {"b": own.servers.broker, "w": own.worker}
        for victim in map(victims.__getitem__, "wwbw" * 3 + "bw"):
            enough = len(own.ledger.results.ended(tasks)) + 6
            wait_until(partial(more_finished, own.ledger, tasks, enough), "progress")
            victim.kill()
            victim.start()
        assert own.wait(tasks) == [[None]] * len(tasks)
        wait_until(own.broker_is_empty, "an empty broker")


def test_a_poison_image_is_failed_alone_and_put_on_the_dead_letter_list(stack: Stack) -> None:
    (poisoned,) = stack.send(["sleep:0.01", "kill", "sleep:0.02"])
    others = stack.send(*[["sleep:0.01"]] * 20)
    assert stack.wait([poisoned]) == [[None, "worker_killed", None]]
    assert stack.wait(others) == [[None]] * 20
    # Whole, halved, twice alone, and once more to answer; a busy machine may hand it out again before that.
    assert 5 <= stack.runs(poisoned) <= 9
    assert [(letter.code, letter.image) for letter in letters_of(stack, poisoned)] == [(ErrorCode.WORKER_KILLED, "kill")]


def test_an_image_that_hangs_in_native_code_is_failed_alone_by_the_time_limit(tmp_path: Path) -> None:
    with running(tmp_path, visibility_timeout=4, worker=Worker(time_limit=0.5, image_seconds=0.5)) as parts:
        own = Stack(*parts)
        (hanging,) = own.send(["sleep:0.01"] * 9 + ["hang"] + ["sleep:0.01"] * 6, time_limit=1e9)
        assert own.wait([hanging]) == [[None] * 9 + ["time_limit"] + [None] * 6]
        assert [(letter.code, letter.image) for letter in letters_of(own, hanging)] == [(ErrorCode.TIME_LIMIT, "hang")]
        assert own.worker.log.read_text().count("has taken too long for packsight.recognize") == 3, "with others, and twice alone"
        (many,) = own.send(["sleep:0.2"] * 8)
        assert own.wait([many]) == [[None] * 8], "each photo adds to what they may take together"
        assert own.runs(many) == 1


def test_a_child_that_stands_still_over_its_result_is_ended_and_its_photos_keep_their_outcomes(tmp_path: Path) -> None:
    with running(tmp_path, visibility_timeout=4, variables={"PACKSIGHT_WORKER__BESIDE_TIMEOUT": "4"}) as parts:
        own = Stack(*parts)
        (stuck,) = own.send(["sleep:0.01", "stuck:3"])
        assert own.wait([stuck]) == [[None, None]]
        told = "stands still beside the photos of packsight.recognize"
        assert own.worker.log.read_text().count(told) == 3, "sooner than the limit of the whole message, which is minutes"
        assert own.runs(stuck) == 4
        with connect(own.servers, 1) as client:
            assert int(client.get("standin:seen:stuck:3") or 0) == 2, "its outcomes are kept from the second time on"
        assert not own.letters.list(), "no photo is blamed"
        wait_until(own.broker_is_empty, "an empty broker")


def test_photos_of_a_foreign_host_come_again_while_their_message_holds_nobody(stack: Stack) -> None:
    (waiting,) = stack.send(["sleep:0.01", "https://later.example/photo.jpg"])
    told = "1 photos of foreign hosts are not to be had; it comes again in"
    wait_until(lambda: told in stack.worker.log.read_text(), "a message that waits")
    with closing(open_broker(stack.settings)) as broker:
        assert waiting in broker.task_ids(WORKER_QUEUES), "it is not lost"
    assert stack.wait(stack.send(*[["sleep:0.01"]] * 5)) == [[None]] * 5
    assert not stack.ledger.results.ended([waiting])
    assert stack.wait([waiting]) == [[None, None]]
    assert stack.runs(waiting) == 2
    wait_until(stack.broker_is_empty, "an empty broker")


def test_no_message_shortens_the_time_limit(stack: Stack) -> None:
    (limited,) = stack.send(["sleep:3"], time_limit=0.2)
    assert stack.wait([limited]) == [[None]]
    assert stack.runs(limited) == 1


def failures_of(end: TaskEnd) -> list[str | None]:
    if end.result is None:
        return [end.error]
    outcomes = RecognizeResult.model_validate(end.result).outcomes
    return [outcome.failure.code.value if outcome.failure else None for outcome in outcomes]


def letters_of(stack: Stack, task: str) -> list[DeadLetter]:
    return [letter for letter in stack.letters.list() if letter.task_id == task]


def test_a_task_longer_than_the_visibility_timeout_runs_once_even_through_a_restart_of_the_broker(stack: Stack) -> None:
    long, other = stack.send(["sleep:12"], ["sleep:0.01"])
    stack.wait([other])
    wait_until(lambda: stack.runs(long) == 1, "the start of the task")
    with connect(stack.servers, 0) as client:
        write_to_disk(client)
    stack.servers.broker.kill()
    stack.servers.broker.start()
    assert stack.wait([long]) == [[None]]
    wait_until(stack.broker_is_empty, "its acknowledgement")
    assert stack.runs(long) == 1


def test_work_of_a_killed_worker_is_taken_up_by_another(stack: Stack) -> None:
    tasks = stack.send(["sleep:1.5"], ["sleep:1.5"])
    wait_until(lambda: all(stack.runs(task) for task in tasks), "both children at work")
    stack.worker.kill()
    with connect(stack.servers, 0) as client:
        assert client.hlen("unacked") == 2
    stack.worker.start()
    assert stack.wait(tasks) == [[None], [None]]
    assert [stack.runs(task) for task in tasks] == [2, 2]


def test_a_worker_consumes_again_after_its_connections_were_killed(stack: Stack) -> None:
    stack.wait(stack.send(["sleep:0.01"]))
    with connect(stack.servers, 0) as client:
        for _ in range(20):
            for kind in ("normal", "pubsub"):
                client.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")
            time.sleep(0.1)
    stack.servers.broker.kill()
    time.sleep(3)
    stack.servers.broker.start()
    assert stack.wait(Stack(stack.servers, stack.settings, stack.worker).send(*[["sleep:0.01"]] * 5)) == [[None]] * 5


def test_a_single_photo_is_answered_ahead_of_all_jobs(stack: Stack) -> None:
    jobs = stack.send(*[["sleep:0.2"]] * 60)
    wait_until(lambda: stack.ledger.results.ended(jobs), "work")
    behind = []
    for _ in range(4):
        before = len(stack.ledger.results.ended(jobs))
        task = stack.app.send_task(RECOGNIZE, args=[{"images": ["sleep:0.01"]}], queue=INTERACTIVE_QUEUE).id
        assert stack.wait([task]) == [[None]]
        behind.append(len(stack.ledger.results.ended(jobs)) - before)
    # What the two children had begun, and as much again for what ends between the answer and the look at it.
    assert max(behind) <= 4, "it waits for what is in work, never for what waits"
    assert stack.wait(jobs) == [[None]] * len(jobs)


def test_a_frozen_broker_is_an_error_for_producers_and_a_pause_for_workers(stack: Stack) -> None:
    stack.wait(stack.send(["sleep:0.01"]))
    stack.servers.broker.process.send_signal(signal.SIGSTOP)
    try:
        with pytest.raises(OperationalError):
            stack.send(["sleep:0.01"])
    finally:
        stack.servers.broker.process.send_signal(signal.SIGCONT)
    assert stack.wait(stack.send(*[["sleep:0.01"]] * 5)) == [[None]] * 5


def test_a_program_with_nothing_but_celery_is_served(stack: Stack, tmp_path: Path) -> None:
    program = textwrap.dedent("""
        import os, celery
        app = celery.Celery(broker=os.environ["PACKSIGHT_BROKER_URL"], backend=os.environ["PACKSIGHT_RESULT_URL"])
        print(app.send_task("packsight.recognize", args=[{"images": ["sleep:0.01"]}]).get(timeout=60))
    """)
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **environment(stack.settings)},
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "sleep:0.01" in done.stdout, done.stderr


def test_messages_that_are_no_tasks_are_put_aside_and_the_worker_goes_on(stack: Stack) -> None:
    before = {letter.id for letter in stack.letters.list()}
    spoil(stack.servers, stack.app)
    assert stack.wait(stack.send(["sleep:0.01"])) == [[None]]
    wait_until(stack.broker_is_empty, "nothing left in the broker")
    put_aside = [letter for letter in stack.letters.list() if letter.id not in before]
    assert sorted(letter.task for letter in put_aside) == ["", "", "", "", RECOGNIZE, RECOGNIZE, "packsight.unknown"]
    assert {letter.code for letter in put_aside} == {ErrorCode.BAD_MESSAGE}
    assert {stack.ledger.results.read([task])[task].state for task in ("unknown-1", "shape-1")} == {"FAILURE"}
    assert stack.worker.process.poll() is None
    (shapeless,) = [letter for letter in put_aside if letter.task_id == "shape-1"]
    assert stack.letters.replay(stack.app, shapeless.id, {"images": ["sleep:0.01"]}) == "shape-1"
    wait_until(lambda: stack.wait(["shape-1"]) == [[None]], "the result of the corrected message")


def test_a_task_without_memory_fails_alone(stack: Stack) -> None:
    failed, fine = stack.send(["memory"], ["sleep:0.01"])
    assert stack.wait([fine]) == [[None]]
    assert stack.wait([failed]) == [["MemoryError: "]]
    assert stack.worker.process.poll() is None


def test_a_worker_that_is_told_to_stop_finishes_what_it_began(stack: Stack, tmp_path: Path) -> None:
    (long,) = stack.send(["sleep:9"])
    wait_until(lambda: stack.runs(long) == 1, "the start of the task")
    other = StandIn(stack.settings, tmp_path, children=1)  # would take what is not renewed
    try:
        assert stack.worker.stop() == 0
        assert stack.wait([long]) == [[None]]
        assert stack.runs(long) == 1
        assert stack.wait(stack.send(["sleep:0.01"])) == [[None]]
    finally:
        stack.worker.start()
        other.stop()


def test_what_happens_to_tasks_is_told_together_after_a_lost_broker_too_and_to_the_last(stack: Stack) -> None:
    for _ in range(2):
        with watching(stack) as told:
            tasks = stack.send(*[["sleep:0.01"]] * 60)
            wait_until(partial(have_succeeded, tasks, told), "the end of each task")
            assert len(told()) < 40, "180 events, which Celery's consumer sends in at least 60 messages"
        stack.servers.broker.kill()
        stack.servers.broker.start()
    with watching(stack) as told:
        (last,) = stack.send(["sleep:2"])
        wait_until(lambda: stack.runs(last) == 1, "the start of the task")
        assert stack.worker.stop() == 0
        stack.worker.start()
        assert have_succeeded([last], told)


def have_succeeded(tasks: Sequence[str], told: Callable[[], list[list[str]]]) -> bool:
    return set(tasks) <= set(chain(*told()))


@contextmanager
def watching(stack: Stack) -> Iterator[Callable[[], list[list[str]]]]:
    """Hand out what tells of each message about tasks that has come which tasks succeeded."""
    messages: list[list[str]] = []
    with connect(stack.servers, 0) as client, client.pubsub() as heard:
        heard.psubscribe("*celeryev/task.multi")

        def told() -> list[list[str]]:
            while (message := heard.get_message(timeout=0.2)) is not None:
                if message["type"] == "pmessage":
                    events = json.loads(b64decode(json.loads(message["data"])["body"]))
                    messages.append([event["uuid"] for event in events if event["type"] == "task-succeeded"])
            return messages

        told()
        yield told


def spoil(servers: Servers, app: Celery) -> None:
    with connect(servers, 0) as client, app.connection_for_write() as connection:
        client.lpush("celery", b"\xff\xfenot a message", '{"half": ')
        client.lpush("celery", '{"body": "x", "properties": {"delivery_tag": "t1", "body_encoding": "base64"}}')
        producer = connection.Producer(serializer="json")
        common = {"routing_key": "celery"}
        producer.publish({"no": "task"}, **common)
        producer.publish([[], {}, {}], headers={"task": RECOGNIZE}, **common)
        producer.publish("text", headers={"task": RECOGNIZE, "id": "shape-1"}, **common)
        producer.publish([[], {}, {}], headers={"task": "packsight.unknown", "id": "unknown-1"}, **common)
