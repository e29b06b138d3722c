"""What an evaluation shows in the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table
from rich.text import Text

from packsight.producer.display import page
from packsight.producer.evaluation.against import Change, Comparison
from packsight.producer.evaluation.calibration import Bin
from packsight.producer.evaluation.document import FITTED, Results, Variants
from packsight.producer.evaluation.metrics import Answer, Summary, by_kind, confusions, reliability_of, summarise
from packsight.producer.evaluation.stages import Way, ways
from packsight.producer.evaluation.wording import (
    HEADINGS,
    NAMES,
    VERDICT_HEADINGS,
    WAY_HEADINGS,
    answered_by,
    both,
    failures,
    heading,
    mixture,
    rows,
    shares,
    shown,
    told,
    verdicts,
    way_cells,
)
from packsight.shared.contract import references
from packsight.shared.shares import Share

_PAIRS = 8
_CHANGES = 12
_BAR = 20


def show(results: Results) -> None:
    """Print all measures."""
    page.print(Text(answered_by(results.catalog, results.versions)))
    if mixed := mixture(results.versions):
        page.print(f"[yellow]![/] {escape(mixed)}\n")
    if results.unlisted and (hint := results.unlisted.hint(results.catalog)):
        page.print(f"[yellow]![/] {escape(hint)}\n")
    _total(results.found, results.precision)
    _reliability(reliability_of(results.found))
    _ways(ways(results.found))
    if kinds := by_kind(results.found):
        _apart("By kind, with 95 % intervals", "Kind", {kind: summarise(of) for kind, of in kinds.items()})
    _pairs(results.found)
    if results.against:
        _against(results.against)
    if results.variants:
        _apart("Ways of deciding, with 95 % intervals", "Way", _summaries(results.variants))
    if results.dropped:
        _dropped(results.dropped)
    if results.own:
        _apart("The catalog's own photos, each left out", "Way", _summaries(results.own))


def _total(found: Sequence[Answer], precision: float) -> None:
    page.print(heading(summarise(found)))
    for line in failures(found):
        page.print(Text(line, style="red"), soft_wrap=True)
    table = Table(box=None, pad_edge=False, show_header=False)
    for row in rows(found, precision):
        table.add_row(*row)
    page.print(table)


def _reliability(bins: Sequence[Bin]) -> None:
    if not bins:
        return
    page.print("\nConfidence of the first candidate, and how often it is right")
    table = Table("Confidence", "Photos", "Mean", "Right", "", box=None, pad_edge=False)
    for one in bins:
        right = one.accuracy.value or 0.0
        bar = "█" * round(_BAR * right) + "·" * (_BAR - round(_BAR * right))
        table.add_row(f"{one.low:.1f} to {one.high:.1f}", f"{one.count}", f"{one.confidence:.2f}", f"{right:.2f}", bar)
    page.print(table)


def _ways(found: Sequence[Way]) -> None:
    if not found:
        return
    page.print("\nWhich stages answered")
    table = Table(*WAY_HEADINGS, box=None, pad_edge=False)
    for way in found:
        table.add_row(*map(Text, way_cells(way)))
    page.print(table)


def _pairs(found: Sequence[Answer]) -> None:
    pairs = confusions(found)
    if not pairs:
        return
    page.print("\nTaken for another product")
    table = Table("Shows", "Taken for", "Photos", "For example", box=None, pad_edge=False)
    for (right, taken), group in pairs[:_PAIRS]:
        table.add_row(Text(right or "none listed"), Text(taken), str(len(group)), Text(references.shown(group[0].image)))
    page.print(table)
    if len(pairs) > _PAIRS:
        page.print(f"and {len(pairs) - _PAIRS} more pairs")


def _against(comparison: Comparison) -> None:
    page.print(Text(f"\nAgainst {comparison.file}: {both(comparison)}"))
    if comparison.photos:
        table = Table(*VERDICT_HEADINGS, box=None, pad_edge=False)
        for row in verdicts(comparison):
            table.add_row(*row)
        page.print(table)
    for name, changes in (("Won", comparison.settled.won), ("Lost", comparison.settled.lost)):
        if changes:
            _changes(name, changes)
    for when, images in (("the earlier evaluation", comparison.only_then), ("this one", comparison.only_now)):
        if images:
            more = f" and {len(images) - _CHANGES} more" if len(images) > _CHANGES else ""
            page.print(Text(f"Only {when} has, with these labels: {', '.join(images[:_CHANGES])}{more}"))


def _changes(name: str, changes: Sequence[Change]) -> None:
    table = Table(name, "Shows", "Then", "Now", box=None, pad_edge=False)
    for one in changes[:_CHANGES]:
        shows = one.now.product_id or "none listed"
        table.add_row(*map(Text, (references.shown(one.now.image), shows, told(one.then), told(one.now))))
    page.print(table)
    if len(changes) > _CHANGES:
        page.print(f"and {len(changes) - _CHANGES} more, all of them in --json and --html")


def _dropped(dropped: Variants) -> None:
    total = len(dropped[FITTED])
    page.print(f"\n{total} photos asked as if their product had never been listed: rightly not matched")
    table = Table("Way", "Rejected", box=None, pad_edge=False)
    for name, summary in _summaries(dropped).items():
        table.add_row(name, shown(summary.absent_rejected))
    page.print(table)


def _summaries(variants: Variants) -> dict[str, Summary]:
    return {NAMES.get(name, name): summarise(found) for name, found in variants.items()}


def _apart(title: str, first: str, summaries: dict[str, Summary]) -> None:
    """One row per summary."""
    page.print(f"\n{title}")
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column(first, overflow="fold")
    for name in ("n", *HEADINGS):
        table.add_column(name, no_wrap=True)
    for name, summary in summaries.items():
        error = summary.calibration_error
        cells = [_cell(share) for share in shares(summary)]
        table.add_row(Text(name), str(summary.count), *cells, "–" if error is None else f"{error:.2f}")
    page.print(table)


def _cell(share: Share) -> str:
    """The value, and its interval in a line below."""
    if share.value is None or share.interval is None:
        return "–"
    low, high = (f"{bound:.2f}".removeprefix("0") for bound in share.interval)
    return f"{share.value:.2f}\n[dim]{low}–{high}[/]"
