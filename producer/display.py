"""What the producer's commands show: progress and remarks on standard error, results on standard output."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from packsight.producer.report import LABELS, ORDER
from packsight.producer.rows import Row
from packsight.shared.contract.outcomes import Failure, Outcome, Status
from packsight.shared.contract.references import shown

console = Console(stderr=True, highlight=False)
"""For progress and remarks."""
page = Console(highlight=False)
"""For what was asked for."""

COLOURS = {Status.FAILED: "red", Status.AMBIGUOUS: "yellow", Status.NO_MATCH: "dim", Status.MATCHED: "green"}
PATIENCE = 5.0
"""Seconds without an outcome after which the progress line says so."""


class Rate(ProgressColumn):
    """Photos per second over the last half minute."""

    def render(self, task: Task) -> Text:
        """Draw the rate."""
        speed = task.finished_speed or task.speed
        return Text(f"{speed:.1f}/s" if speed else "", style="progress.data.speed")


@dataclass
class Bar:
    """One line of progress."""

    progress: Progress
    task: TaskID
    label: str

    def advance(self, count: int = 1) -> None:
        """Count photos."""
        self.progress.advance(self.task, count)

    def idle(self, seconds: float) -> None:
        """Say so when nothing comes."""
        waiting = seconds > PATIENCE
        text = (
            f"{self.label} [dim](nothing for {seconds:.0f} s; `packsight status` shows the workers)[/]"
            if waiting
            else self.label
        )
        self.progress.update(self.task, description=text)


@contextmanager
def progress(label: str, total: int | None) -> Iterator[Bar]:
    """Show a progress line with rate and time left while the context lasts; without a terminal only its end."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Rate())
    with Progress(
        *columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console, disable=not console.is_terminal
    ) as shown_:
        yield Bar(shown_, shown_.add_task(label, total=total), label)


@dataclass
class Tally:
    """Counts of outcomes, and of failures by code."""

    statuses: Counter[Status] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    failures: dict[str, Failure] = field(default_factory=dict)

    def add(self, row: Row) -> None:
        """Count a row."""
        self.statuses[row.outcome.status] += 1
        if failure := row.outcome.failure:
            self.codes[failure.code.value] += 1
            self.failures.setdefault(failure.code.value, failure)

    def show(self, to: Console) -> None:
        """Print the counts, and what to do about the failures."""
        total = self.statuses.total()
        table = Table(box=None, show_header=False, pad_edge=False)
        for status in reversed(ORDER):
            count = self.statuses[status]
            share = f"{100 * count / total:.0f} %" if total else ""
            table.add_row(Text(LABELS[status], style=COLOURS[status]), f"{count:,}", Text(share, style="dim"), style="")
        to.print(table)
        for code, count in self.codes.most_common(5):
            failure = self.failures[code]
            to.print(f"[red]{count:,} × {code}[/]: {escape(failure.message)}\n  [dim]{escape(failure.remedy)}[/]")


def show_outcome(name: str, outcome: Outcome) -> None:
    """Print one outcome with the evidence for each candidate."""
    colour = COLOURS[outcome.status]
    page.print(f"[bold]{escape(shown(name))}[/]  [{colour}]{LABELS[outcome.status]}[/]  {escape(outcome.reason)}")
    for place in outcome.products or outcome.candidates[:1]:
        if place.region:
            (left, right), (top, bottom) = ((min(side), max(side)) for side in zip(*place.region, strict=True))
            what = escape(place.product.name) if outcome.products else f"perhaps {escape(place.product.name)}"
            page.print(f"[dim]Where:[/] {what} ({place.confidence:.2f}), x {left:.0f}–{right:.0f}, y {top:.0f}–{bottom:.0f}")
    if outcome.failure:
        page.print(f"[red]{outcome.failure.code}[/] {escape(outcome.failure.message)}")
        page.print(f"[dim]{escape(outcome.failure.remedy)}[/]")
    if outcome.words:
        page.print("[dim]Read:[/] " + escape(" · ".join(word.text for word in outcome.words)))
    if outcome.candidates:
        table = Table(
            "Product",
            "Id",
            "Confidence",
            "Looks",
            "Words",
            "Barcode",
            "Points",
            "Agreeing words",
            "Not read",
            box=None,
            pad_edge=False,
        )
        for candidate in outcome.candidates:
            evidence = candidate.evidence
            table.add_row(
                Text(candidate.product.name),
                Text(candidate.product.id),
                f"{candidate.confidence:.2f}",
                "–" if evidence.visual_similarity is None else f"{evidence.visual_similarity:.2f}",
                f"{evidence.word_score:.2f}",
                evidence.barcode or "–",
                "–" if evidence.inliers is None else str(evidence.inliers),
                Text(", ".join(f"{word.read} ({word.rarity:.1f})" for word in evidence.words)),
                Text(", ".join(evidence.missing_words)),
            )
        page.print(table)
    if outcome.timings:
        page.print(
            "[dim]"
            + " · ".join(f"{stage} {1000 * seconds:.0f} ms" for stage, seconds in outcome.timings.items())
            + "[/]"
        )


@contextmanager
def interruptible(then: str = "") -> Iterator[None]:
    """Let Ctrl-C end the command with exit code 130; `then` says how to go on, in console markup."""
    try:
        yield
    except KeyboardInterrupt:
        console.print(f"\nStopped. {then}")
        raise typer.Exit(130) from None
