"""What the supervisor does with parts that end, hang or cannot start: with processes that act them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psutil
import pytest

from packsight.deploy import status
from packsight.deploy.stack import plan, services
from packsight.deploy.stack.credentials import Credentials
from packsight.deploy.stack.restarts import RestartRules, Restarts
from packsight.deploy.stack.services import Spec, ending
from packsight.deploy.stack.stack import Wishes, _wished
from packsight.deploy.stack.state import Begun, Part, StackFolder, StackState
from packsight.deploy.stack.stopping import end, still_alive
from packsight.deploy.stack.supervisor import StoppedError, Supervisor
from packsight.shared.contract.errors import UserError
from packsight.shared.health import END_AFTER, SILENT, Diary, Report

SLEEPER = "import time; time.sleep(600)"
MORTAL = "print('out of luck', flush=True); raise SystemExit(7)"
QUICK = RestartRules(first=0.01, most=0.02, steady=600, limit=3)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StackFolder]:
    made = StackFolder(tmp_path / "home")
    made.create()
    begun: list[subprocess.Popen[bytes]] = []
    start = services.start

    def noted(spec: Spec, log: Path) -> subprocess.Popen[bytes]:
        begun.append(start(spec, log))
        return begun[-1]

    monkeypatch.setattr(services, "start", noted)
    yield made
    for process in begun:
        process.kill()
        process.wait()


def spec(name: str, program: str = SLEEPER, node: str = "", ready: Callable[[], bool] = lambda: True) -> Spec:
    return Spec(name, [sys.executable, "-c", program], ready, node=node)


def supervisor(folder: StackFolder, *specs: Spec) -> Supervisor:
    return Supervisor(folder, list(specs), threading.Event(), lambda: Restarts(QUICK))


@contextmanager
def watching(one: Supervisor) -> Iterator[None]:
    thread = threading.Thread(target=one.watch)
    thread.start()
    try:
        yield
    finally:
        one.stopped.set()
        thread.join(30)


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def pids(folder: StackFolder) -> dict[str, int]:
    return {part.name: part.pid for part in folder.load().running()}


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("packsight.deploy.stack.supervisor._LOOK", 0.01)


def test_what_ends_is_started_again_and_its_neighbours_are_left_alone(
    folder: StackFolder, caplog: pytest.LogCaptureFixture
) -> None:
    one = supervisor(folder, spec("valkey"), spec("worker"))
    one.start(["valkey", "worker"], 10)
    before = pids(folder)
    with watching(one):
        os.kill(before["worker"], signal.SIGKILL)
        until(lambda: pids(folder).get("worker") not in {None, before["worker"]})
    assert pids(folder)["valkey"] == before["valkey"]
    assert "worker was ended by SIGKILL" in caplog.text


def test_what_ends_again_and_again_is_given_up_with_its_reason_and_the_others_are_kept(
    folder: StackFolder, caplog: pytest.LogCaptureFixture
) -> None:
    one = supervisor(folder, spec("flower", MORTAL), spec("worker"))
    one.start(["worker"], 10)
    with watching(one):
        until(lambda: folder.load().given_up)
        assert "ended with code 7, 4 times in a row" in folder.load().given_up["flower"]
        before = pids(folder)["worker"]
        os.kill(before, signal.SIGTERM)
        until(lambda: pids(folder).get("worker") not in {None, before})
    assert caplog.text.count("flower: out of luck") >= 3
    assert "packsight up" in caplog.text
    assert any(line.startswith("flower is down: it ended with code 7") for line in status.down(folder.load()))


def test_what_an_earlier_supervisor_started_is_taken_over_and_kept(
    folder: StackFolder, caplog: pytest.LogCaptureFixture
) -> None:
    supervisor(folder, spec("worker")).start(["worker"], 10)
    before = pids(folder)["worker"]
    one = supervisor(folder, spec("worker"))
    one.start(["worker"], 10)
    assert pids(folder)["worker"] == before
    with watching(one):
        psutil.Process(before).kill()
        until(lambda: pids(folder).get("worker") not in {None, before})
    assert "earlier supervisor" in caplog.text


def test_a_part_that_the_system_does_not_start_now_is_tried_again_and_keeps_nobody_from_the_others(
    folder: StackFolder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    one = supervisor(folder, spec("valkey"), spec("worker"))
    one.start(["valkey", "worker"], 10)
    before, start, refused = pids(folder), services.start, threading.Event()

    def refusing(spec: Spec, log: Path) -> subprocess.Popen[bytes]:
        if spec.name == "valkey" and not refused.is_set():
            refused.set()
            raise BlockingIOError("no more processes")
        return start(spec, log)

    monkeypatch.setattr(services, "start", refusing)
    monkeypatch.setattr("packsight.deploy.stack.supervisor._CANNOT_START", 0.1)
    with watching(one):
        for pid in before.values():
            os.kill(pid, signal.SIGKILL)
        until(lambda: len(now := set(pids(folder).values())) == 2 and not now & set(before.values()))
    assert "valkey cannot be looked after now" in caplog.text


def test_a_part_that_stays_sick_is_ended_and_started_again(folder: StackFolder, caplog: pytest.LogCaptureFixture) -> None:
    node = "recognizer@host"
    one = supervisor(folder, spec("worker", node=node))
    one.start(["worker"], 10)
    before = pids(folder)["worker"]
    with closing(Diary(folder.root, node)) as diary, watching(one):
        diary.write(Report(before, time.monotonic() - SILENT - END_AFTER + 600))
        time.sleep(0.2)
        assert pids(folder)["worker"] == before, "nobody is ended who is well"
        assert status.sick(folder, folder.load().parts[0]) == ""
        diary.write(Report(before, time.monotonic(), complaints={"messages wait": time.monotonic() - END_AFTER / 2}))
        time.sleep(0.2)
        assert pids(folder)["worker"] == before, "nor who has just become sick"
        assert "messages wait" in status.sick(folder, folder.load().parts[0])
        diary.write(Report(before, time.monotonic(), complaints={"messages wait": time.monotonic() - END_AFTER - 1}))
        until(lambda: pids(folder).get("worker") not in {None, before})
    assert "worker is sick" in caplog.text and "messages wait" in caplog.text


def test_a_part_that_does_not_come_up_takes_along_what_was_started_with_it_and_nothing_else(folder: StackFolder) -> None:
    supervisor(folder, spec("valkey")).start(["valkey"], 10)
    before = pids(folder)
    one = supervisor(folder, spec("valkey"), spec("worker"), spec("flower", MORTAL, ready=lambda: False))
    with pytest.raises(UserError, match="flower ended with code 7") as caught:
        one.start(["valkey", "worker", "flower"], 10)
    assert "out of luck" in str(caught.value)
    one.end_started(str(caught.value).partition("\n")[0].rstrip("."))
    assert pids(folder) == before
    why = "it was not started, since flower ended with code 7"
    assert folder.load().given_up == {"worker": why, "flower": why}
    assert [part.name for part in folder.load().parts] == ["valkey"]
    told = one.still_there()
    assert "Still running, since before: valkey." in told and "`packsight up`" in told and "`packsight down`" in told


def test_a_start_of_which_nothing_is_left_leaves_no_supervisor_that_would_be_missed(folder: StackFolder) -> None:
    one = supervisor(folder, spec("valkey", MORTAL, ready=lambda: False))
    me = Part(name="supervisor", pid=os.getpid(), started=psutil.Process().create_time(), log=folder.logs / "s.log")
    folder.save(folder.load().model_copy(update={"supervisor": me}))
    with pytest.raises(UserError, match="valkey ended with code 7"):
        one.start(["valkey"], 10)
    one.end_started("valkey ended with code 7")
    left = folder.load()
    assert (left.parts, left.supervisor, left.given_up, one.still_there()) == ((), None, {}, "")


def test_told_to_stop_it_starts_nothing_more_and_leaves_the_parts(folder: StackFolder) -> None:
    one = supervisor(folder, spec("valkey"), spec("worker", ready=lambda: False))
    one.start(["valkey"], 10)
    one.stopped.set()
    with pytest.raises(StoppedError):
        one.start(["worker"], 10)
    one.watch()
    assert "valkey" in pids(folder)


@pytest.mark.parametrize(
    ("code", "text"),
    [(0, "ended with code 0"), (3, "ended with code 3"), (-9, "was ended by SIGKILL"), (-99, "was ended by signal 99")],
)
def test_how_a_process_ended_is_said_in_words(code: int, text: str) -> None:
    assert ending(code) == text


def test_without_a_supervisor_that_is_said_and_what_is_down_is_said_to_come_back_only_with_one(folder: StackFolder) -> None:
    supervisor(folder, spec("valkey"), spec("worker")).start(["valkey", "worker"], 10)
    state = folder.load()
    (alone,) = status.down(state)
    assert alone.startswith("supervisor is down")
    assert "packsight up" in alone
    (older,) = status.down(state.model_copy(update={"credentials": Credentials.model_validate({"valkey": "secret"})}))
    assert older.startswith("an older release started") and "packsight down" in older
    me = Part(name="supervisor", pid=os.getpid(), started=psutil.Process().create_time(), log=folder.logs / "s.log")
    folder.save(state.model_copy(update={"supervisor": me}))
    end([part.model_copy(update={"stop_seconds": 0}) for part in state.parts if part.name == "worker"])
    (line,) = status.down(folder.load())
    assert line.startswith("worker is down and is being started again")


@pytest.mark.skipif(sys.platform != "linux", reason="as Linux tells when a process began")
@pytest.mark.parametrize("step", [3600, -86_400])
def test_setting_the_clock_makes_no_part_another_process(
    folder: StackFolder, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    one = supervisor(folder, spec("valkey"), spec("worker"))
    one.start(["valkey", "worker"], 10)
    before = pids(folder)
    booted, now = psutil.boot_time(), time.time
    monkeypatch.setattr("psutil._pslinux.boot_time", lambda: booted + step)  # what the kernel tells of it then
    monkeypatch.setattr(time, "time", lambda: now() + step)
    assert pids(folder) == before
    assert all(part.age() < 60 for part in folder.load().parts)
    again = supervisor(folder, spec("valkey"), spec("worker"))
    assert all(kept.alive for kept in again.kept.values())
    assert end([part.model_copy(update={"stop_seconds": 5}) for part in folder.load().running()]) == []
    assert pids(folder) == {}
    other_run = folder.load().parts[0].model_copy(update={"pid": os.getpid(), "begun": Begun(run="another", after=0)})
    assert other_run.process() is None


def test_what_ended_is_not_waited_for_until_somebody_reaps_it(tmp_path: Path) -> None:
    adopts = "import subprocess; print(subprocess.Popen(['sleep', '600']).pid, flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", adopts], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as never_reaps:
        assert never_reaps.stdout is not None
        process = psutil.Process(int(never_reaps.stdout.readline()))
        assert still_alive({process: 0}) == [process]
        part = Part(name="sleeper", pid=process.pid, started=process.create_time(), log=tmp_path / "s.log")
        assert end([part]) == []
        assert process.status() == psutil.STATUS_ZOMBIE
        assert still_alive({process: 0}) == []
        never_reaps.kill()


def test_a_stack_stays_as_large_as_it_was_last_wished_for() -> None:
    state = _wished(StackState(), Wishes(workers=3, flower=False, http=False))
    assert plan.names(_wished(state, Wishes())) == {"valkey", "seaweedfs", "indexer", "worker", "worker-2", "worker-3"}
    assert "flower" in plan.names(_wished(state, Wishes(flower=True)))
    assert plan.names(StackState()) == {"valkey", "seaweedfs", "indexer", "worker", "flower", "http"}


def test_a_server_that_ends_before_it_has_read_its_configuration_says_why(folder: StackFolder) -> None:
    refused = Spec("valkey", [sys.executable, "-c", MORTAL], lambda: False, stdin="x" * 2_000_000)
    process = services.start(refused, folder.logs / "valkey.log")
    with pytest.raises(UserError, match=r"valkey ended with code 7\.\n.*\nout of luck"):
        services.wait_ready(refused, process, folder.logs / "valkey.log")


def test_a_terminal_that_closes_ends_no_watching() -> None:
    program = (
        "import threading; from packsight.deploy.stack.supervisor import heed; stopped = threading.Event(); heed(stopped); "
        "print('watching', flush=True); print('stopped' if stopped.wait(60) else 'never')"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "watching\n"
        process.send_signal(signal.SIGHUP)
        time.sleep(0.1)  # two signals at once may come in either order
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=60)[0] == "stopped\n"
    assert process.returncode == 0


def test_the_process_tells_who_started_it_why_it_could_not_start(tmp_path: Path) -> None:
    folder = StackFolder(tmp_path)
    folder.create()
    folder.save(folder.load().model_copy(update={"ports": {"valkey": 1, "flower": 1, "s3": 1}}))
    command = [sys.executable, "-m", "packsight.deploy.stack.supervisor", str(tmp_path)]
    environment = {**os.environ, "PACKSIGHT_S3__ENDPOINT": "127.0.0.1:1", "PACKSIGHT_BROKER_URL": "no address"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 2
    assert "PACKSIGHT_BROKER_URL" in json.loads(done.stdout)["failed"]
