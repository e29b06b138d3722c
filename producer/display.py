"""What the producer's commands show: progress and remarks on standard error, results on standard output."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import typer
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from packsight.producer.report import LABELS, ORDER
from packsight.producer.rows import Row
from packsight.producer.summary import State, Summary
from packsight.shared.contract.messages import Priority
from packsight.shared.contract.outcomes import Candidate, Failure, Outcome, Status
from packsight.shared.contract.references import printable, shown
from packsight.shared.progress import console
from packsight.shared.storage.jobs import JobKind, JobManifest

page = Console(highlight=False)
"""For what was asked for."""

COLOURS = {Status.FAILED: "red", Status.AMBIGUOUS: "yellow", Status.NO_MATCH: "dim", Status.MATCHED: "green"}
_NAMED = 3
"""Photos that are named of each kind of failure."""
_TOLD = 5
"""Kinds of failure that are told in full."""


def job_lines(to: Console, jobs: Sequence[tuple[JobManifest, Summary]]) -> None:
    """Two lines for each job: how it stands, and what it is. They fit into 80 columns."""
    head = ("Job", "State", "Photos", "Matched", "Ambig.", "No match", "Failed")
    widths = (22, 11, 7, 7, 6, 8, 6)
    order = (Status.MATCHED, Status.AMBIGUOUS, Status.NO_MATCH, Status.FAILED)
    to.print(Text(_aligned(head, widths), style="bold"), soft_wrap=True)
    for manifest, summary in jobs:
        counts = [f"{summary.ends[status]:,}" for status in order]
        to.print(Text(_aligned((manifest.job, _state(summary), f"{summary.photos:,}", *counts), widths)), soft_wrap=True)
        about = ["evaluation"] * (manifest.kind is JobKind.EVALUATION)
        about += [f"{manifest.priority} priority"] * (manifest.priority is not Priority.NORMAL)
        about += [manifest.name, f"catalog {manifest.catalog}", manifest.source]  # the source last, since it may be long
        told = printable(" · ".join([f"{manifest.created_at:%Y-%m-%d %H:%M} UTC", *filter(None, about)]))
        to.print(Text(f"  {told}", style="dim"), no_wrap=True, overflow="ellipsis")


def _state(summary: Summary) -> str:
    if summary.state is State.RUNNING or (summary.state is State.CANCELLED and not summary.over):
        return f"{summary.state.value[:7]} {100 * summary.answered // max(1, summary.photos)}%"
    return summary.state.value


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    """Cells beside each other, the first two to the left and figures to the right."""
    sides = ("<", "<") + (">",) * (len(cells) - 2)
    return "  ".join(f"{cell:{side}{width}}" for cell, side, width in zip(cells, sides, widths, strict=True)).rstrip()


@dataclass
class Tally:
    """Counts of outcomes, and of failures by code, the first of each with the names of some photos."""

    statuses: Counter[Status] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    failures: dict[str, Failure] = field(default_factory=dict)
    names: dict[str, list[str]] = field(default_factory=dict)

    def add(self, row: Row) -> None:
        """Count a row."""
        self.statuses[row.outcome.status] += 1
        if failure := row.outcome.failure:
            code = failure.code.value
            self.codes[code] += 1
            self.failures.setdefault(code, failure)
            if len(names := self.names.setdefault(code, [])) < _NAMED:
                names.append(shown(row.name))

    def show(self, to: Console) -> None:
        """Print the counts, and of the failures which photos they are and what to do about them."""
        total = self.statuses.total()
        table = Table(box=None, show_header=False, pad_edge=False)
        for status in reversed(ORDER):
            count = self.statuses[status]
            share = f"{100 * count / total:.0f} %" if total else ""
            table.add_row(Text(LABELS[status], style=COLOURS[status]), f"{count:,}", Text(share, style="dim"), style="")
        to.print(table)
        for code, count in self.codes.most_common(_TOLD):
            failure, names = self.failures[code], ", ".join(self.names[code])
            more = f" and {count - len(self.names[code]):,} more" if count > len(self.names[code]) else ""
            to.print(f"[red]{count:,} × {code}[/]: {escape(failure.message)}", soft_wrap=True)
            to.print(f"  {escape(names)}{more}\n  [dim]{escape(failure.remedy)}[/]", soft_wrap=True)
        if rest := self.codes.most_common()[_TOLD:]:
            told = ", ".join(f"{count:,} × {code}" for code, count in rest)
            to.print(f"[red]and {sum(count for _, count in rest):,} more[/]: {told}", soft_wrap=True)


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
    for candidate in outcome.candidates:
        _show_candidate(candidate)
    if outcome.timings:
        page.print(
            "[dim]"
            + " · ".join(f"{stage} {1000 * seconds:.0f} ms" for stage, seconds in outcome.timings.items())
            + "[/]"
        )


def _show_candidate(candidate: Candidate) -> None:
    """A line for what it is and one for each kind of evidence, which fit a terminal of any width."""
    evidence, product = candidate.evidence, candidate.product
    page.print(Text.assemble((f"{candidate.confidence:.2f}", "bold"), f"  {product.name}  ", (product.id, "dim")))
    figures = [f"words {evidence.word_score:.2f}"]
    if evidence.visual_similarity is not None:
        figures.insert(0, f"looks {evidence.visual_similarity:.2f}")
    if evidence.inliers is not None:
        figures.append(f"{evidence.inliers} details in place")
    if evidence.barcode:
        figures.append(f"barcode {evidence.barcode}")
    told = {
        "": " · ".join(figures),
        "read: ": ", ".join(word.read for word in evidence.words),
        "not read: ": ", ".join(evidence.missing_words),
    }
    for what, text in told.items():
        if text:
            page.print(Padding(Text.assemble((what, "dim"), text), (0, 0, 0, 6), expand=False))


@contextmanager
def interruptible(then: str = "") -> Iterator[None]:
    """Let Ctrl-C end the command with exit code 130; `then` says how to go on, in console markup."""
    try:
        yield
    except KeyboardInterrupt:
        console.print(f"\nStopped. {then}", soft_wrap=True)
        raise typer.Exit(130) from None
