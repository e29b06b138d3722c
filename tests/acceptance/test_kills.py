"""Real processes, real signals: whatever dies, every task ends in exactly one result."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from celery import Celery

from shared.celery_app import make_app
from shared.dead_letters import DeadLetters
from shared.errors import ErrorCode
from shared.ledger import Ledger
from shared.messages import RECOGNIZE
from shared.settings import Settings
from tests.acceptance.stack import Broker, environment, running, wait_until

RAN = "standin:ran:"


def send(app: Celery, batches: Sequence[list[str]]) -> list[str]:
    with app.producer_pool.acquire(block=True) as producer:
        return [app.send_task(RECOGNIZE, args=[{"images": batch}], producer=producer).id for batch in batches]


def outcomes(ledger: Ledger, task: str) -> list[str | None]:
    end = ledger.results([task])[task]
    assert end.result is not None, end.error
    return [outcome["failure"] for outcome in end.result["outcomes"]]


def ended(settings: Settings, tasks: Sequence[str]) -> bool:
    with Ledger(settings).client as client:
        return all(client.exists(f"celery-task-meta-{task}") for task in tasks)


def test_kills_of_workers_and_brokers_lose_no_task(tmp_path: Path) -> None:
    with running(tmp_path) as (broker, settings, worker):
        app, ledger = make_app("producer", settings), Ledger(settings)
        tasks = send(app, [["sleep:0.04"]] * 500)
        for round_ in range(14):
            done = len(ledger.finished(tasks))
            wait_until(lambda seen=done: len(ledger.finished(tasks)) >= seen + 20, "twenty more results")
            if round_ % 4 == 3 or round_ == 13:
                broker.kill()
                broker.start()
            else:
                worker.kill()
                worker.start()
        wait_until(lambda: ledger.finished(tasks) == set(tasks), "a result of every task")
        ends = ledger.results(tasks)
        assert {end.state for end in ends.values()} == {"SUCCESS"}
        assert [task for task in tasks if outcomes(ledger, task) != [None]] == []
        wait_until(lambda: not broker.client(0).exists("unacked", *["celery", "packsight.recognize"]), "an empty broker")


def test_a_poison_image_is_failed_alone_and_put_on_the_dead_letter_list(tmp_path: Path) -> None:
    with running(tmp_path) as (broker, settings, _):
        app, ledger = make_app("producer", settings), Ledger(settings)
        (poisoned,) = send(app, [["sleep:0.01", "kill", "sleep:0.02"]])
        others = send(app, [["sleep:0.01"]] * 20)
        wait_until(lambda: ledger.finished([poisoned, *others]) == {poisoned, *others}, "results of all batches")
        assert outcomes(ledger, poisoned) == [None, "worker_killed", None]
        # Once whole, twice alone, and once more to answer.
        assert broker.client(1).llen(RAN + poisoned) == 4
        (letter,) = DeadLetters(settings).list()
        assert (letter.code, letter.image, letter.task_id) == (ErrorCode.WORKER_KILLED, "kill", poisoned)
        assert all(outcomes(ledger, task) == [None] for task in others)


def test_an_image_that_hangs_in_native_code_is_failed_alone_by_the_time_limit(tmp_path: Path) -> None:
    with running(tmp_path, time_limit=2) as (_, settings, _worker):
        app, ledger = make_app("producer", settings), Ledger(settings)
        (hanging,) = send(app, [["sleep:0.01", "hang"]])
        wait_until(lambda: ledger.finished([hanging]), "the result of the batch that hangs")
        assert outcomes(ledger, hanging) == [None, "time_limit"]
        assert [letter.code for letter in DeadLetters(settings).list()] == [ErrorCode.TIME_LIMIT]


def test_a_task_much_longer_than_the_visibility_timeout_runs_once(tmp_path: Path) -> None:
    with running(tmp_path, visibility_timeout=2) as (broker, settings, _):
        app, ledger = make_app("producer", settings), Ledger(settings)
        (long,) = send(app, [["sleep:7"]])
        wait_until(lambda: ledger.finished([long]), "the result of the long task")
        assert broker.client(1).llen(RAN + long) == 1


def test_a_running_batch_survives_a_restart_of_the_broker_and_is_not_run_twice(tmp_path: Path) -> None:
    with running(tmp_path, visibility_timeout=4) as (broker, settings, _):
        app, ledger = make_app("producer", settings), Ledger(settings)
        (long,) = send(app, [["sleep:8"]])
        wait_until(lambda: broker.client(1).llen(RAN + long) == 1, "the start of the task")
        time.sleep(1.2)  # The append-only file is written each second.
        broker.kill()
        broker.start()
        wait_until(lambda: ledger.finished([long]), "the result of the task")
        wait_until(lambda: not broker.client(0).exists("unacked"), "its acknowledgement")
        assert broker.client(1).llen(RAN + long) == 1


def test_work_of_a_killed_worker_is_taken_up_by_another(tmp_path: Path) -> None:
    with running(tmp_path) as (broker, settings, worker):
        app, ledger = make_app("producer", settings), Ledger(settings)
        tasks = send(app, [["sleep:1.5"]] * 2)
        wait_until(lambda: all(broker.client(1).llen(RAN + task) for task in tasks), "both children at work")
        worker.kill()
        assert broker.client(0).hlen("unacked") == 2
        worker.start()
        wait_until(lambda: ledger.finished(tasks) == set(tasks), "the results of both")
        assert all(outcomes(ledger, task) == [None] for task in tasks)


@pytest.mark.parametrize("trouble", ["client kill", "frozen broker"])
def test_a_worker_consumes_again_after_trouble_with_its_connections(tmp_path: Path, trouble: str) -> None:
    with running(tmp_path) as (broker, settings, _):
        app, ledger = make_app("producer", settings), Ledger(settings)
        first = send(app, [["sleep:0.01"]])
        wait_until(lambda: ledger.finished(first), "a first result")
        if trouble == "client kill":
            with broker.client(0) as client:
                for _burst in range(8):
                    for kind in ("normal", "pubsub"):
                        client.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")
                    time.sleep(0.1)
        else:
            broker.process.send_signal(signal.SIGSTOP)
            time.sleep(8)
            broker.process.send_signal(signal.SIGCONT)
        canary = send(make_app("canary", settings), [["sleep:0.01"]] * 5)
        wait_until(lambda: ledger.finished(canary) == set(canary), "the results of the canaries")


def test_a_program_with_nothing_but_celery_is_served(tmp_path: Path) -> None:
    program = textwrap.dedent("""
        import os, celery
        app = celery.Celery(broker=os.environ["PACKSIGHT_BROKER_URL"], backend=os.environ["PACKSIGHT_RESULT_URL"])
        print(app.send_task("packsight.recognize", args=[{"images": ["sleep:0.01"]}]).get(timeout=60))
    """)
    with running(tmp_path) as (_, settings, _worker):
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, **environment(settings)},
            cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert "sleep:0.01" in done.stdout, done.stderr


def test_messages_that_are_no_tasks_are_put_aside_and_the_worker_goes_on(tmp_path: Path) -> None:
    with running(tmp_path) as (broker, settings, worker):
        app, ledger, letters = make_app("producer", settings), Ledger(settings), DeadLetters(settings)
        spoil(broker, app)
        canary = send(app, [["sleep:0.01"]])
        wait_until(lambda: ledger.finished(canary), "the canary's result")
        wait_until(lambda: letters.count() >= 7, "seven letters")
        assert sorted(letter.task for letter in letters.list()) == ["", "", "", "", RECOGNIZE, RECOGNIZE, "packsight.unknown"]
        assert worker.process.poll() is None
        assert ledger.results(["unknown-1"])["unknown-1"].state == "FAILURE"
        wait_until(lambda: not broker.client(0).exists("unacked"), "nothing left unacknowledged")


def spoil(broker: Broker, app: Celery) -> None:
    with broker.client(0) as client, app.connection_for_write() as connection:
        client.lpush("celery", b"\xff\xfenot a message", '{"half": ')
        client.lpush("celery", '{"body": "x", "properties": {"delivery_tag": "t1", "body_encoding": "base64"}}')
        producer = connection.Producer(serializer="json")
        common = {"routing_key": "celery"}
        producer.publish({"no": "task"}, **common)
        producer.publish([[], {}, {}], headers={"task": RECOGNIZE}, **common)
        producer.publish("text", headers={"task": RECOGNIZE, "id": "shape-1"}, **common)
        producer.publish([[], {}, {}], headers={"task": "packsight.unknown", "id": "unknown-1"}, **common)
