"""The one question about a process of this machine, and what is answered whatever state that is in."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import typer

from packsight.deploy.health import check
from packsight.shared import health
from packsight.shared.health import SILENT, Diary, Report, ask

NODE = "recognizer@host"
SLEEPER = """
import os, sys, time
from pathlib import Path
from packsight.shared.health import Diary, Report
diary = Diary(Path(sys.argv[1]), sys.argv[2])
diary.write(Report(pid=os.getpid(), at=time.monotonic() - float(sys.argv[3]), ready=True))
print("up", flush=True)
time.sleep(600)
"""


@contextmanager
def saying(home: Path, *, ago: float = 0.0, **report: Any) -> Iterator[None]:
    """A process, this one, that said something some seconds ago."""
    with closing(Diary(home, NODE)) as diary:
        diary.write(Report(**{"pid": os.getpid(), "at": time.monotonic() - ago, "ready": True, **report}))
        yield


@contextmanager
def sleeper(home: Path, ago: float) -> Iterator[subprocess.Popen[str]]:
    """Another process that said that it is well some seconds ago and says nothing more."""
    command = [sys.executable, "-c", SLEEPER, str(home), NODE, str(ago)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def test_who_works_is_well_and_who_has_just_begun_is_starting(tmp_path: Path) -> None:
    with saying(tmp_path):
        assert ask(tmp_path, NODE) == health.Health(well=True, text=f"{NODE} is well", ready=True, pid=os.getpid())
    with saying(tmp_path, ready=False):
        seen = ask(tmp_path, NODE)
    assert seen.well and not seen.ready
    assert "starting" in seen.text


def test_what_is_away_is_told_and_is_no_sickness(tmp_path: Path) -> None:
    with saying(tmp_path, notes=("it takes no work: object storage: no route",)):
        seen = ask(tmp_path, NODE)
    assert seen.well
    assert "object storage: no route" in seen.text


def test_who_complains_is_sick_for_as_long_as_its_oldest_complaint(tmp_path: Path) -> None:
    now = time.monotonic()
    with saying(tmp_path, complaints={"messages wait": now - 40, "a child is missing": now - 10}):
        seen = ask(tmp_path, NODE)
    assert not seen.well
    assert "messages wait; a child is missing" in seen.text
    assert 40 <= seen.sick_for < 60


def test_who_says_nothing_more_is_frozen_unless_it_is_stopping(tmp_path: Path) -> None:
    with saying(tmp_path, ago=SILENT - 5):
        assert ask(tmp_path, NODE).well
    with saying(tmp_path, ago=SILENT + 7):
        seen = ask(tmp_path, NODE)
    assert not seen.well and seen.pid == os.getpid()
    assert "frozen" in seen.text
    assert 7 <= seen.sick_for < 20
    with saying(tmp_path, ago=SILENT + 7, stopping=True):
        assert ask(tmp_path, NODE).well


def test_who_has_ended_is_not_taken_for_well_whoever_has_its_pid_now(tmp_path: Path) -> None:
    with saying(tmp_path):
        pass
    seen = ask(tmp_path, NODE)
    assert not seen.well and seen.pid is None
    assert "does not run" in seen.text
    assert "does not run" in ask(tmp_path / "nowhere", NODE).text


def test_a_killed_process_has_ended(tmp_path: Path) -> None:
    with sleeper(tmp_path, ago=0) as process:
        assert ask(tmp_path, NODE).well
        process.kill()
        process.wait()
        assert ask(tmp_path, NODE).pid is None


def test_two_processes_of_one_name_do_not_write_over_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_PATIENCE", 0.0)
    with saying(tmp_path), pytest.raises(BlockingIOError):
        Diary(tmp_path, NODE)


def test_a_longer_report_leaves_nothing_in_a_shorter_one_and_a_damaged_one_says_nothing(tmp_path: Path) -> None:
    with closing(Diary(tmp_path, NODE)) as diary:
        for text in ("ш" * 30_000, "short"):
            diary.write(Report(1, time.monotonic(), ready=True, notes=(text,)))
            assert (ask(tmp_path, NODE).pid == 1) == (text == "short")


def test_files_of_hosts_that_are_gone_are_removed(tmp_path: Path) -> None:
    old, living = tmp_path / "health/recognizer@gone.json", tmp_path / f"health/{NODE}.json"
    with saying(tmp_path):
        old.write_text("{}")
        for path in (old, living):
            os.utime(path, (1, 1))
        with closing(Diary(tmp_path, "indexer@host")):
            assert living.exists() and not old.exists()


def test_the_command_says_one_sentence_and_fails_for_who_is_sick(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with saying(tmp_path):
        check(tmp_path, NODE, None)
    assert capsys.readouterr().out == f"{NODE} is well\n"
    with sleeper(tmp_path, ago=SILENT + 100) as process:
        with pytest.raises(typer.Exit) as caught:
            check(tmp_path, NODE, None)
        assert caught.value.exit_code == 1
        assert len(capsys.readouterr().out.splitlines()) == 1
        assert process.poll() is None


def test_who_stays_sick_is_ended_only_when_it_was_asked_for_and_only_after_that_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with sleeper(tmp_path, ago=SILENT + 100) as process:
        with pytest.raises(typer.Exit):
            check(tmp_path, NODE, 1000)
        assert "is ended" not in capsys.readouterr().out
        assert process.poll() is None
        with pytest.raises(typer.Exit):
            check(tmp_path, NODE, 50)
        assert process.wait(10) == -9
