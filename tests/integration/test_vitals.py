"""What the judging thread writes and tells, with a real result database and with none."""

from __future__ import annotations

import os
import time
from dataclasses import replace

import pytest
from pydantic import SecretStr

from packsight.deploy.stack.ports import free_ports
from packsight.shared.health import Health, ask
from packsight.shared.queue import registry
from packsight.shared.queue.broker import Backlog
from packsight.shared.queue.connection import result_database
from packsight.shared.queue.heartbeat import Beat, Heartbeat
from packsight.shared.queue.vitals import Judge, Rules, Vitals
from packsight.shared.settings import Settings

NODE = "recognizer@host"


class Process:
    """A parent process that is well unless a test says otherwise."""

    def __init__(self, settings: Settings) -> None:
        self.heartbeat, self.age, self.away, self.taken = Heartbeat(), 0.0, dict[str, str](), {"q"}
        judge = Judge(Rules(cold_start=100, stuck=50), time.monotonic())
        self.vitals = Vitals(
            settings, NODE, self.heartbeat, judge, outages=lambda: self.away, takes=lambda queue: queue in self.taken,
            replica_age=lambda: self.age, replica_limit=60,
        )  # fmt: skip
        self.settings = settings
        self.heartbeat.last = Beat(time.monotonic(), connected=True, takes=True, queues=("q",), children=(1,))
        self.vitals.start()

    def health(self) -> Health:
        self.vitals.look()
        return ask(self.settings.home, NODE)

    def entries(self) -> list[registry.ProcessEntry]:
        with result_database(self.settings) as client:
            return registry.processes(client)

    def end(self) -> None:
        self.vitals.stop()
        self.vitals.join(30)


@pytest.fixture(autouse=True)
def _by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("packsight.shared.queue.vitals.PERIOD", 3600.0)
    monkeypatch.setattr("redis.retry.sleep", lambda _: None)


def test_what_is_wrong_is_written_down_and_told_to_others_until_it_is_over(live_settings: Settings) -> None:
    process = Process(live_settings)
    assert process.health() == Health(well=True, text=f"{NODE} is well", ready=True, pid=os.getpid())
    process.age = 61.0
    first = process.health()
    assert not first.well and "catalogs" in first.text
    assert process.entries()[0].complaints == ["its copy of the catalogs was last looked after 61 s ago"]
    time.sleep(0.05)
    process.age = 62.0
    assert process.health().sick_for > first.sick_for, "it is the same sickness, though its words have changed"
    process.age = 0.0
    assert process.health().well
    assert process.entries()[0].complaints == []
    process.end()
    assert process.entries() == []
    assert "stopping" in ask(live_settings.home, NODE).text


def test_an_open_breaker_is_told_and_is_no_sickness(live_settings: Settings) -> None:
    process = Process(live_settings)
    process.away = {"object storage": "no route"}
    assert process.health().well
    assert "it takes no work: object storage: no route" in process.health().text
    assert process.entries()[0].outages == process.away
    process.end()


def test_messages_that_are_not_taken_while_something_is_away_may_wait(
    live_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = Process(live_settings)
    process.away = {"catalog": "an older release"}
    queues = ("q", "described")
    process.heartbeat.last = replace(process.heartbeat.last, queues=queues)
    for taken, waiting in ((set(), 0), ({"described"}, 2), (set(queues), 5)):
        process.taken = taken
        with monkeypatch.context() as patched:
            backlog = Backlog({"q": 3, "described": 2}, 0, 0)
            patched.setattr(process.vitals._broker, "backlog", lambda asked, told=backlog: told)
            assert process.vitals._signs().waiting == waiting
    assert "it recognises no photos: catalog: an older release" in process.health().text
    process.end()


def test_without_redis_nothing_is_judged_but_the_replica(live_settings: Settings) -> None:
    url = SecretStr(f"redis://127.0.0.1:{free_ports(1)[0]}/0")
    process = Process(live_settings.model_copy(update={"broker_url": url, "result_url": url}))
    process.heartbeat.last = Beat(time.monotonic() - 10_000)
    seen = process.health()
    assert seen.well
    assert "broker or result database" in seen.text
    process.age = 61.0
    assert not process.health().well
    process.end()
