"""What a stack remembers, and that it ends its own processes and no others."""

from __future__ import annotations

import json
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from packsight.deploy.stack.ports import assign, free_ports, is_free
from packsight.deploy.stack.state import Part, StackFolder, StackState, end, write_private
from packsight.shared.contract.errors import UserError

SLEEPER = "import time; print('up', flush=True); time.sleep(600)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
PARENT = (
    "import subprocess, sys, time\n"
    f"child = subprocess.Popen([sys.executable, '-c', {STUBBORN!r}], stdout=subprocess.PIPE)\n"
    "child.stdout.readline()\n"
    "print(child.pid, flush=True)\n"
    "time.sleep(600)\n"
)

Start = Callable[[str], tuple[subprocess.Popen[str], str]]


@pytest.fixture
def start() -> Iterator[Start]:
    running: list[subprocess.Popen[str]] = []

    def begin(program: str) -> tuple[subprocess.Popen[str], str]:
        process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
        running.append(process)
        assert process.stdout is not None
        return process, process.stdout.readline().strip()

    yield begin
    for process in running:
        process.kill()
        process.communicate()


def part_of(process: subprocess.Popen[str], **changes: object) -> Part:
    fields = {"name": "x", "pid": process.pid, "started": psutil.Process(process.pid).create_time(), "log": Path("x.log")}
    return Part.model_validate(fields | {"stop_seconds": 0.5} | changes)


def test_a_part_is_known_by_pid_and_start_time(start: Start) -> None:
    process, _ = start(SLEEPER)
    part = part_of(process)
    assert part.process() is not None
    assert part.model_copy(update={"started": part.started - 3600}).process() is None


def test_an_ended_part_is_down_even_before_anyone_collects_it(start: Start) -> None:
    process, _ = start(SLEEPER)
    part = part_of(process)
    process.kill()
    deadline = time.monotonic() + 10
    while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert part.process() is None


def test_ending_leaves_a_process_alone_that_took_over_a_pid(start: Start) -> None:
    process, _ = start(SLEEPER)
    assert end([part_of(process, started=1.0)]) == []
    assert process.poll() is None


def test_what_ignores_the_request_to_stop_is_killed_and_named(start: Start) -> None:
    process, _ = start(STUBBORN)
    assert end([part_of(process, name="stubborn")]) == ["stubborn"]
    assert not psutil.pid_exists(process.pid)


def test_descendants_end_with_their_part_and_neighbours_stay(start: Start) -> None:
    neighbour, _ = start(SLEEPER)
    parent, child = start(PARENT)
    end([part_of(parent)])
    assert not psutil.pid_exists(int(child)) or psutil.Process(int(child)).status() == psutil.STATUS_ZOMBIE
    assert neighbour.poll() is None


def test_the_state_comes_back_as_it_was_saved_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    folder = StackFolder(tmp_path / "home")
    folder.create()
    state = StackState(ports={"valkey": 4711})
    folder.save(state)
    assert folder.load() == state
    assert stat.S_IMODE(folder.state_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.root.stat().st_mode) == 0o700


def test_a_new_folder_gets_credentials_of_its_own(tmp_path: Path) -> None:
    one, other = StackFolder(tmp_path / "a").load(), StackFolder(tmp_path / "b").load()
    assert not one.credentials.every() & other.credentials.every()
    assert one.parts == ()


def test_a_private_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(0o644)
    with path.open() as reader:
        write_private(path, "new")
        assert reader.read() == "old"
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_damaged_state_file_is_refused_with_its_name(tmp_path: Path) -> None:
    folder = StackFolder(tmp_path)
    folder.state_file.write_text(json.dumps({"ports": "many"}))
    with pytest.raises(UserError, match=r"stack\.json is damaged"):
        folder.load()


def test_two_commands_cannot_change_one_folder_at_a_time(tmp_path: Path) -> None:
    folder = StackFolder(tmp_path)
    with folder.locked(), pytest.raises(UserError, match="at work"), StackFolder(tmp_path).locked():
        pass
    with folder.locked():
        pass


def test_ports_are_kept_while_they_are_free() -> None:
    before = dict(zip("abc", free_ports(3), strict=True))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", before["b"]))
        taken.listen()
        assert not is_free(before["b"])
        ports = assign(["a", "b", "c", "d"], before)
    assert ports["a"] == before["a"]
    assert ports["c"] == before["c"]
    assert ports["b"] != before["b"]
    assert len(set(ports.values())) == 4
