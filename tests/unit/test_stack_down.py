"""A stack is stopped whatever has become of the disk on which its folder lies."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from packsight.deploy.stack import stack, state
from packsight.deploy.stack.state import Part, StackFolder, StackState


@pytest.fixture
def running(tmp_path: Path) -> Iterator[tuple[StackFolder, subprocess.Popen[bytes]]]:
    """A folder whose stack has one part, and that part's process."""
    folder = StackFolder(tmp_path / "home")
    with folder.locked(), subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        seen = psutil.Process(process.pid)
        part = Part(name="worker", pid=process.pid, started=seen.create_time(), log=folder.logs / "worker.log")
        folder.save(StackState(parts=(part,)))
        try:
            yield folder, process
        finally:
            process.kill()


@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOSPC])
def test_a_disk_that_takes_nothing_keeps_no_stack_running(
    running: tuple[StackFolder, subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    folder, process = running
    (folder.root / "stack.lock").unlink()  # which the fixture holds
    (folder.root / "stack.lock").touch()
    opened = Path.open

    def refused(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))

    def open_read(path: Path, mode: str = "r", *rest: Any, **more: Any) -> Any:
        return refused() if number == errno.EROFS and "r" not in mode else opened(path, mode, *rest, **more)

    monkeypatch.setattr(state, "write_private", refused)
    monkeypatch.setattr(Path, "open", open_read)
    if number == errno.EROFS:
        monkeypatch.setattr(Path, "chmod", refused)
    said: list[str] = []
    assert stack.down(folder, said.append) == ["worker"]
    assert process.wait(5) != 0
    assert f"cannot be written ({os.strerror(number)})" in said[-1]


def test_what_the_supervisor_could_not_write_down_is_stopped_too(tmp_path: Path) -> None:
    folder = StackFolder(tmp_path / "home")
    folder.create()
    sleep = "import time; time.sleep(60)"
    code = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', '{sleep}']); print(); {sleep}"
    with subprocess.Popen([sys.executable, "-uc", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        seen = psutil.Process(process.pid)
        (begun,) = seen.children()
        own = Part(name="supervisor", pid=seen.pid, started=seen.create_time(), log=folder.logs / "supervisor.log")
        folder.save(StackState(supervisor=own))
        try:
            assert stack.down(folder) == [f"process {begun.pid}"]
            assert not begun.is_running() or begun.status() == psutil.STATUS_ZOMBIE
        finally:
            process.kill()
            if begun.is_running():
                begun.kill()
