"""How far a command is, on standard error: lines that move on a terminal, else a plain one now and then."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from threading import Event, Thread
from time import monotonic

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TaskID, TextColumn
from rich.text import Text

console = Console(stderr=True, highlight=False)
"""For progress and remarks."""

PATIENCE = 30.0
"""Seconds without an outcome after which it is said what can be done: on a slow machine a batch of 16 takes that long."""
PERIOD = 30.0
"""Seconds between two lines of progress where there is no terminal: whoever reads a log wants to see that it goes on."""
_SLOW = 0.05
"""Things a second below which a rate is not told: it would read 0.0."""


@dataclass
class Pace:
    """How fast things are done: what was done since the beginning by the time that it took, up to the last of it.

    total: None where it is not known; already: done before it began, which says nothing of the pace.
    """

    total: int | None
    already: int
    begun: float
    done: int = 0
    last: float = 0.0

    def advance(self, count: int) -> None:
        """Count what was done."""
        self.done += count
        self.last = monotonic()

    @property
    def ended(self) -> bool:
        """Whether all is done."""
        return self.total is not None and self.done >= self.total

    @property
    def rate(self) -> float | None:
        """Per second; None before the first."""
        new, seconds = self.done - self.already, self.last - self.begun
        return new / seconds if new > 0 and seconds > 0 else None

    @property
    def left(self) -> float | None:
        """Seconds until all is done at this rate; None when it is, or nothing tells, as where nothing has been done for long."""
        if not self.rate or self.total is None or self.ended or monotonic() - self.last > PATIENCE:
            return None
        return (self.total - self.done) / self.rate

    def words(self) -> str:
        """All of it, in figures."""
        total = "" if self.total is None else f"/{self.total:,}"
        rate = f" · {self.rate:.1f}/s" if self.rate and self.rate >= _SLOW else ""
        left = "" if self.left is None else f" · {clock(self.left)} left"
        took = (self.last if self.ended else monotonic()) - self.begun
        return f"{self.done:,}{total}{rate} · in {clock(took)}{left}"


def clock(seconds: float) -> str:
    """A time span as hours, minutes and seconds."""
    return str(timedelta(seconds=round(seconds)))


class _Figures(ProgressColumn):
    """What the pace is."""

    def render(self, task: Task) -> Text:
        """Draw the figures."""
        return Text(task.fields["pace"].words(), no_wrap=True)


class _Lines(Progress):
    """A line for each thing that goes on, and below them a remark when there is one."""

    remark = ""

    def get_renderables(self) -> Iterable[RenderableType]:
        """The lines, then the remark."""
        yield self.make_tasks_table(self.tasks)
        if self.remark:
            yield Text(self.remark, style="dim", no_wrap=True, overflow="ellipsis")

    def begin(self, label: str, total: int | None, already: int = 0) -> Bar:
        """Add a line; already: how many of `total` were done before."""
        pace = Pace(total, already, monotonic())
        return Bar(label, pace, self, self.add_task(label, total=total, pace=pace))


@dataclass
class Bar:
    """Progress of one thing: a line that moves on a terminal."""

    label: str
    pace: Pace
    lines: _Lines
    task: TaskID

    def advance(self, count: int = 1) -> None:
        """Count what was done."""
        self.pace.advance(count)
        self.lines.update(self.task, completed=self.pace.done)

    def expect(self, total: int) -> None:
        """Learn how many there will be."""
        self.pace.total = total
        self.lines.update(self.task, total=total)

    def idle(self, seconds: float) -> None:
        """Say so when nothing comes."""
        waiting = seconds > PATIENCE
        self.lines.remark = f"Nothing for {seconds:.0f} s; `packsight status` shows the workers" if waiting else ""

    def say(self) -> None:
        """Write a plain line, unless there is a terminal, where the line moves."""
        if not console.is_terminal:
            remark = f" · {self.lines.remark}" if self.lines.remark else ""
            console.print(f"{self.label} {self.pace.words()}{remark}", soft_wrap=True, markup=False)


class Steps:
    """Progress of one step after another; called with a step's name, how much of it is done, and how much there is.

    Without a terminal a step is told when it begins and ends, too: what there is to do, and how fast it went.
    """

    def __init__(self, lines: _Lines) -> None:
        self._lines = lines
        self._bars: dict[str, Bar] = {}
        self._last: Bar | None = None

    def __call__(self, step: str, done: int, total: int) -> None:
        """Say how far a step is; one that has less done, or another total, than before begins anew."""
        bar = self._bars.get(step)
        begins = bar is None or done < bar.pace.done or total != bar.pace.total
        if bar is None or begins:
            if bar is not None:
                self._lines.remove_task(bar.task)
            bar = self._bars[step] = self._lines.begin(step, total)
        self._lines.remark = ""
        self._last = bar
        bar.advance(done - bar.pace.done)
        if begins or bar.pace.ended:
            bar.say()

    def remark(self, text: str) -> None:
        """Say what stands in the way, until something is done; empty when nothing does any more."""
        self._lines.remark = text

    def say(self) -> None:
        """Write a plain line about what goes on, if anything does."""
        if self._last is not None and not self._last.pace.ended:
            self._last.say()


@contextmanager
def progress(label: str, total: int | None, already: int = 0) -> Iterator[Bar]:
    """Show progress with rate and time left while the context lasts; without a terminal as a line every half a minute.

    already: how many of `total` were done before.
    """
    with _lines() as lines:
        bar = lines.begin(label, total, already)
        with _every_period(bar.say):
            yield bar


@contextmanager
def steps() -> Iterator[Steps]:
    """The same of one step after another, which are gone from a terminal when the context ends."""
    with _lines(transient=True) as lines:
        shown = Steps(lines)
        with _every_period(shown.say):
            yield shown


def _lines(*, transient: bool = False) -> _Lines:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=10), _Figures())
    return _Lines(*columns, console=console, disable=not console.is_terminal, transient=transient)


@contextmanager
def _every_period(say: Callable[[], None]) -> Iterator[None]:
    """Say something every PERIOD seconds, whatever the command is at: what takes minutes may tell of nothing meanwhile."""
    over = Event()

    def repeat() -> None:
        while not over.wait(PERIOD):
            say()

    thread = Thread(target=repeat, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
