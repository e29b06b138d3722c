"""How far a command is, as it is told on a terminal of 80 columns and without one."""

from __future__ import annotations

import io
import re
import threading

import pytest
from rich.console import Console

from packsight.shared import progress


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    time = [1000.0]
    monkeypatch.setattr(progress, "monotonic", lambda: time[0])
    return time


def shown(monkeypatch: pytest.MonkeyPatch, *, terminal: bool = False) -> io.StringIO:
    """What comes out on standard error."""
    file = io.StringIO()
    width = 80 if terminal else 40
    console = Console(file=file, width=width, force_terminal=terminal, highlight=False, color_system=None)
    monkeypatch.setattr(progress, "console", console)
    return file


def lines_of(file: io.StringIO) -> list[str]:
    return [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line).strip() for line in re.split(r"[\r\n]", file.getvalue())]


def test_the_rate_is_what_was_done_by_the_time_that_it_took_and_what_was_done_before_says_nothing(now: list[float]) -> None:
    pace = progress.Pace(total=262, already=100, begun=now[0])
    pace.advance(100)
    assert pace.words() == "100/262 · in 0:00:00"
    now[0] += 20
    pace.advance(16)
    now[0] += 5
    assert pace.rate == pytest.approx(16 / 20), "it does not sink until the next batch"
    assert pace.words() == "116/262 · 0.8/s · in 0:00:25 · 0:03:02 left"
    now[0] += progress.PATIENCE
    assert pace.words() == "116/262 · 0.8/s · in 0:00:55", "nothing tells how long what stands still will take"
    pace.advance(146)
    now[0] += 60
    assert pace.words() == "262/262 · 2.9/s · in 0:00:55", "what has ended takes no longer"


def test_the_line_of_progress_fits_into_80_columns_and_a_remark_stands_below_it(
    now: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = shown(monkeypatch, terminal=True)
    with progress.progress("Recognising", 100_000) as bar:
        now[0] += 7000
        bar.advance(12_345)
        bar.idle(42.0)
        bar.lines.refresh()
    lines = lines_of(file)
    assert any(re.search(r"Recognising ━ +12,345/100,000 · 1\.8/s · in 1:56:40 · 13:48:23 left$", line) for line in lines), lines
    assert "Nothing for 42 s; `packsight status` shows the workers" in lines
    assert all(len(line) <= 80 for line in lines)


def test_without_a_terminal_a_plain_line_says_how_far_it_is_and_what_is_wrong(
    now: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = shown(monkeypatch)
    with progress.progress("Recognising", 10_000) as bar:
        for _ in range(3):
            now[0] += 10
            bar.advance(16)
        bar.say()
        now[0] += 31
        bar.idle(31)
        bar.say()
    assert file.getvalue().splitlines() == [
        "Recognising 48/10,000 · 1.6/s · in 0:00:30 · 1:43:40 left",
        "Recognising 48/10,000 · 1.6/s · in 0:01:01 · Nothing for 31 s; `packsight status` shows the workers",
    ]


@pytest.mark.parametrize("several", [True, False])
def test_the_line_comes_by_itself_while_nothing_is_done_and_none_comes_afterwards(
    monkeypatch: pytest.MonkeyPatch, several: bool
) -> None:
    class Heard(io.StringIO):
        lines = 0
        enough = threading.Event()

        def write(self, text: str) -> int:
            self.lines += text.count("\n")
            if self.lines >= 3:
                self.enough.set()
            return super().write(text)

    file = Heard()
    monkeypatch.setattr(progress, "console", Console(file=file, highlight=False, color_system=None))
    monkeypatch.setattr(progress, "PERIOD", 0.01)
    if several:
        with progress.steps() as told:
            told("described", 0, 12)
            assert file.enough.wait(60)
    else:
        with progress.progress("described", 12):
            assert file.enough.wait(60)
    assert {line[:14] for line in file.getvalue().splitlines()} == {"described 0/12"}
    assert "progress" not in [thread.name for thread in threading.enumerate()]


def test_a_step_is_told_at_once_and_when_it_ends_and_a_remark_until_something_is_done(
    now: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = shown(monkeypatch)
    with progress.steps() as told:
        told.say()
        told("described", 0, 3)
        told.remark("No worker is up")
        now[0] += 30
        told.say()
        told("described", 1, 3)
        now[0] += 30
        told.say()
        told("described", 3, 3)
        now[0] += 30
        told.say()
        told("described", 0, 3)
        told("built", 0, 1)
        now[0] += 90
        told("built", 1, 1)
    assert file.getvalue().splitlines() == [
        "described 0/3 · in 0:00:00",
        "described 0/3 · in 0:00:30 · No worker is up",
        "described 1/3 · in 0:01:00 · 0:01:00 left",
        "described 3/3 · 0.1/s · in 0:01:00",
        "described 0/3 · in 0:00:00",
        "built 0/1 · in 0:00:00",
        "built 1/1 · in 0:01:30",
    ]


def test_steps_stand_below_each_other_on_a_terminal_each_once(now: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    file = shown(monkeypatch, terminal=True)
    with progress.steps() as told:
        told("photos", 0, 2)
        told("described", 0, 30)
        told("photos", 2, 2)
        told("described", 7, 20)
        assert [(task.description, task.completed, task.total) for task in told._lines.tasks] == [
            ("photos", 2, 2), ("described", 7, 20)
        ]  # fmt: skip
        told._lines.refresh()
    assert any(re.search(r"described ━+╸? +7/20 · in 0:00:00", line) for line in lines_of(file))
