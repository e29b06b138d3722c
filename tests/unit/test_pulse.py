"""A child says what it has in work, and its parent kills those of whom nothing more is to be expected."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from celery.worker import state

from packsight.shared.queue import watchdog
from packsight.shared.queue.pulse import Pulse, Pulses, Work
from packsight.shared.queue.watchdog import Watchdog


@pytest.fixture
def pulse(tmp_path: Path) -> Iterator[Pulse]:
    made = Pulse(tmp_path)
    yield made
    made.close()


def test_a_parent_reads_what_a_child_has_in_work_and_by_when_it_will_have_ended(pulse: Pulse, tmp_path: Path) -> None:
    parent = Pulses(tmp_path)
    assert parent.work(os.getpid()) is None
    before = time.monotonic()
    with pulse.working(3, 7, limit=lambda _: 50.0):
        work = parent.work(os.getpid())
        assert work is not None
        assert (work.start, work.stop, work.overdue) == (3, 7, False)
        assert before + 50 <= work.due <= time.monotonic() + 50
    assert parent.work(os.getpid()) is None
    assert parent.holder(os.getpid()) == pulse.holder


def test_what_is_done_beside_photos_has_a_word_of_its_own_from_the_hand_over_to_the_end(pulse: Pulse, tmp_path: Path) -> None:
    def word() -> tuple[tuple[int, int] | None, int] | None:
        work = Pulses(tmp_path).work(os.getpid())
        return (work.span, round(work.due - time.monotonic())) if work else None

    pulse.renew()
    assert word() is None, "there is no message in hand"
    pulse.begin(20.0)
    assert word() == (None, 20)
    with pulse.working(3, 7, limit=lambda _: 50.0):
        pulse.renew()
        assert word() == ((3, 7), 50)
        with pulse.aside():
            assert word() == (None, 20)
        assert word() == ((3, 7), 50)
    assert word() == (None, 20)
    with pulse.aside():
        assert word() == (None, 20)
    pulse.end()
    assert word() is None


@pytest.mark.usefixtures("later")
def test_a_word_that_is_said_anew_holds_from_then_on(
    pulse: Pulse, tmp_path: Path, later: Callable[[float], None]
) -> None:
    def due() -> float:
        work = Pulses(tmp_path).work(os.getpid())
        assert work is not None
        return work.due - time.monotonic()

    pulse.begin(20.0)
    later(15)
    assert due() == 5
    pulse.renew()
    assert due() == 20
    with pulse.working(0, 1, limit=lambda _: 50.0):
        later(40)
        with pytest.raises(ValueError, match="away"), pulse.aside():
            later(15)
            raise ValueError("away")
        assert due() == 50, "photos have all of their time once it is there"


def test_what_a_process_dies_over_beside_photos_is_none_of_them(pulse: Pulse, tmp_path: Path) -> None:
    pulse.begin(20.0)
    with pytest.raises(SystemExit), pulse.working(0, 1, limit=lambda _: 50.0), pulse.aside():
        raise SystemExit
    work = Pulses(tmp_path).work(os.getpid())
    assert work is not None and work.span is None


def test_photos_that_a_process_dies_over_stay_said_when_its_message_ends(pulse: Pulse, tmp_path: Path) -> None:
    pulse.begin(20.0)
    with pytest.raises(SystemExit), pulse.working(0, 1, limit=lambda _: 50.0):
        raise SystemExit
    pulse.end()
    work = Pulses(tmp_path).work(os.getpid())
    assert work is not None and work.span == (0, 1)


def test_what_a_process_died_over_stays_said_and_what_an_error_ended_does_not(pulse: Pulse, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="defect"), pulse.working(0, 1, limit=lambda _: 50.0):
        raise ValueError("defect")
    assert Pulses(tmp_path).work(os.getpid()) is None
    with pytest.raises(SystemExit), pulse.working(0, 1, limit=lambda _: 50.0):
        raise SystemExit
    assert Pulses(tmp_path).work(os.getpid()) is not None
    Pulses(tmp_path).forget(os.getpid())
    assert Pulses(tmp_path).work(os.getpid()) is None


def test_a_process_without_a_parent_that_looks_says_nothing_and_works() -> None:
    one, other = Pulse(), Pulse()
    with one.working(0, 1, limit=lambda _: 50.0):
        pass
    assert one.holder != other.holder
    one.close()


def test_photos_before_a_stage_are_due_before_all_that_are_in_work(pulse: Pulse, tmp_path: Path) -> None:
    def part() -> tuple[int, int, int] | None:
        work = Pulses(tmp_path).work(os.getpid())
        assert work is not None and (work.start, work.stop) == (3, 67)
        return (work.part.start, work.part.stop, round(work.part.due - time.monotonic())) if work.part else None

    with pulse.working(3, 67, lambda photos: 60.0 + 5 * photos, {"a": 3, "b": 9, "c": 11}):
        assert part() is None
        with pulse.part(["b", "c"]):
            with pulse.part(["a"]):
                assert part() == (3, 4, 65)
            assert part() == (9, 12, 70)
            with pulse.part(["of another batch"]):
                assert part() == (9, 12, 70)
        assert part() is None
        straggler = pulse.part(["c"])
        straggler.__enter__()
    with pulse.working(3, 67, lambda photos: 60.0 + 5 * photos, {"a": 3}):
        straggler.__exit__(None, None, None)
        assert part() is None, "a thread of the batch before says nothing of this one"


@pytest.mark.parametrize(
    ("work", "late"),
    [
        (Work(0, 8, 1100.0), None),
        (Work(0, 8, 1100.0, Work(2, 3, 1050.0)), None),
        (Work(0, 8, 1100.0, Work(2, 3, 999.0)), (2, 3)),
        (Work(0, 8, 999.0, Work(2, 3, 998.0)), None),
        (Work(2, 3, 1100.0, Work(2, 3, 999.0)), None),
    ],
    ids=("nothing is late", "not yet", "one is late", "all are late", "it is alone"),
)
@pytest.mark.usefixtures("later")
def test_of_photos_that_are_late_it_is_told_which(work: Work, late: tuple[int, int] | None) -> None:
    assert work.late_part == late
    assert work.overdue is (min(work.due, work.part.due if work.part else work.due) < 1000)


def test_what_is_no_word_is_read_as_none(tmp_path: Path) -> None:
    (tmp_path / "77").write_bytes(b"half")
    assert Pulses(tmp_path).work(77) is None


OPEN = """
import sys, time
from packsight.shared.queue.pulse import FOLDER, pulses
import os
pulses()
print(os.environ[FOLDER], flush=True)
sys.stdin.read()
"""


def parent_of(folder: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "TMPDIR": str(folder)}
    return subprocess.Popen(
        [sys.executable, "-c", OPEN], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def opened(parent: subprocess.Popen[str]) -> Path:
    """Wait until a parent has its folder, and make that look as if it were not new."""
    assert parent.stdout is not None
    found = Path(parent.stdout.readline().strip())
    os.utime(found, (0, 0))
    return found


def test_a_parent_removes_its_folder_and_those_of_parents_that_were_killed_and_no_other(tmp_path: Path) -> None:
    with parent_of(tmp_path) as killed, parent_of(tmp_path) as alive:
        left, kept = opened(killed), opened(alive)
        killed.kill()
        killed.wait()
        assert left.is_dir()
        with parent_of(tmp_path) as third:
            own = opened(third)
            assert not left.exists()
            assert kept.is_dir()
            third.communicate("")
            assert not own.exists()
        alive.communicate("")
    assert not list(tmp_path.iterdir())


class Job:
    """A message that was handed to a child, as billiard keeps it."""

    _write_to = _scheduled_for = None

    def __init__(self, pid: int, *, accepted: bool) -> None:
        self._accepted, self._worker_pid = accepted, pid
        if not accepted:
            self._scheduled_for = SimpleNamespace(pid=pid, _is_alive=lambda: True)

    def ready(self) -> bool:
        return False


class Words(dict[int, Work]):
    """What children say."""

    def work(self, pid: int) -> Work | None:
        return self.get(pid)


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as process:
        yield process
        process.kill()


@pytest.fixture
def handed(monkeypatch: pytest.MonkeyPatch) -> Callable[[Job], Any]:
    """Hand a message to a child and return Celery's request."""

    def hand(job: Job) -> Any:
        request = SimpleNamespace(id="t", name="task", _apply_result=lambda: job)
        monkeypatch.setattr(state, "reserved_requests", [request])
        return request

    return hand


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Put the clock forward."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def forward(seconds: float) -> None:
        now[0] += seconds

    return forward


def dog(words: Words, *unsent: Job) -> tuple[Watchdog, list[Any]]:
    ended: list[Any] = []
    pool = SimpleNamespace(_pool=SimpleNamespace(on_hard_timeout=ended.append, outbound_buffer=unsent))
    return Watchdog(pool, words, 30), ended  # type: ignore[arg-type]


@pytest.mark.parametrize(("photos", "told"), [(4, "has taken too long for task"), (0, "stands still beside the photos of task")])
def test_a_child_that_takes_longer_than_it_may_is_ended(
    photos: int, told: str, handed: Callable[[Job], Any], later: Callable[[float], None], caplog: pytest.LogCaptureFixture
) -> None:
    job = Job(77, accepted=True)
    handed(job)
    looking, ended = dog(Words({77: Work(0, photos, due=1100.0)}))
    looking.look()
    later(99)
    looking.look()
    assert ended == []
    later(2)
    looking.look()
    assert ended == [job]
    assert told in caplog.text


def test_a_child_that_says_nothing_is_left_to_the_limits_of_its_task(
    handed: Callable[[Job], Any], later: Callable[[float], None]
) -> None:
    handed(Job(os.getpid(), accepted=True))
    looking, ended = dog(Words())
    for _ in range(3):
        looking.look()
        later(1000)
    assert ended == []


def test_a_child_that_does_not_begin_is_killed(
    child: subprocess.Popen[bytes], handed: Callable[[Job], Any], later: Callable[[float], None], caplog: pytest.LogCaptureFixture
) -> None:
    handed(Job(child.pid, accepted=False))
    looking, _ = dog(Words())
    looking.look()
    later(29)
    looking.look()
    assert "is killed" not in caplog.text
    later(1)
    looking.look()
    assert child.wait() == -signal.SIGKILL


def test_a_child_is_not_killed_for_a_message_that_was_not_sent_to_it(
    child: subprocess.Popen[bytes], handed: Callable[[Job], Any], later: Callable[[float], None], caplog: pytest.LogCaptureFixture
) -> None:
    job = Job(child.pid, accepted=False)  # as the pool has it of one put back, when a new child takes the dead one's place
    handed(job)
    looking, _ = dog(Words(), job)
    for _ in range(3):
        looking.look()
        later(1000)
    assert "is killed" not in caplog.text
    assert child.poll() is None


def stopped(child: subprocess.Popen[bytes]) -> None:
    child.send_signal(signal.SIGSTOP)
    while not watchdog._is_stopped(child.pid):
        time.sleep(0.001)


@pytest.mark.skipif(not hasattr(os, "waitid"), reason="the system does not tell")
def test_a_child_that_is_stopped_over_its_batch_is_killed_and_no_photo_is_to_blame(
    child: subprocess.Popen[bytes], handed: Callable[[Job], Any], later: Callable[[float], None], caplog: pytest.LogCaptureFixture
) -> None:
    request = handed(Job(child.pid, accepted=True))
    looking, ended = dog(Words({child.pid: Work(0, 1, due=5000.0)}))
    stopped(child)
    looking.look()
    later(29)
    looking.look()
    assert "is killed" not in caplog.text
    later(1)
    looking.look()
    assert child.wait() == -signal.SIGKILL
    assert request.blameless
    assert ended == []


@pytest.mark.skipif(not hasattr(os, "waitid"), reason="the system does not tell")
def test_a_child_that_goes_on_in_time_is_left_alone(
    child: subprocess.Popen[bytes], handed: Callable[[Job], Any], later: Callable[[float], None], caplog: pytest.LogCaptureFixture
) -> None:
    handed(Job(child.pid, accepted=True))
    looking, _ = dog(Words())
    stopped(child)
    looking.look()
    later(29)
    child.send_signal(signal.SIGCONT)
    while watchdog._is_stopped(child.pid):
        time.sleep(0.001)
    looking.look()
    later(29)
    stopped(child)
    looking.look()
    assert "is killed" not in caplog.text
