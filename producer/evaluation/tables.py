"""What an evaluation shows in the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from packsight.producer.display import page
from packsight.producer.evaluation.document import FITTED, Results, Variants
from packsight.producer.evaluation.metrics import (
    Answer,
    Bin,
    Share,
    Summary,
    by_kind,
    confusions,
    reliability_of,
    summarise,
)

HEADINGS = ("Top-1", "Top-5", "Nearest", "Absent\nrejected", "Present\nrejected", "Preci-\nsion", "Recall", "ECE")
NAMES = {
    "appearance": "appearance only",
    "words": "words only",
    "baseline-2020": "formula of 2020",
    "first-stage": "first stage",
    "fitted": "fitted",
}
_PAIRS = 8
_BAR = 20


def show(results: Results) -> None:
    """Print all measures."""
    _total(summarise(results.found))
    _reliability(reliability_of(results.found))
    if kinds := by_kind(results.found):
        _apart("By kind, with 95 % intervals", "Kind", kinds)
    _pairs(results.found)
    if results.variants:
        _apart("Ways of deciding, with 95 % intervals", "Way", _summaries(results.variants))
    if results.dropped:
        _dropped(results.dropped)
    if results.own:
        _apart("The catalog's own photos, each left out", "Way", _summaries(results.own))


def shown(share: Share) -> str:
    """A share for people: `0.94  16/17  (0.73 to 0.99)`."""
    if share.value is None or share.interval is None:
        return "–"
    return f"{share.value:.2f}  {share.k}/{share.n}  ({share.interval[0]:.2f} to {share.interval[1]:.2f})"


def rows(total: Summary) -> list[tuple[str, str]]:
    """Each measure with its name for people."""
    error = total.calibration_error
    return [
        ("First candidate right (top-1)", shown(total.top1)),
        ("Among the first five (top-5)", shown(total.top5)),
        ("First candidate nearest or right", shown(total.top1_nearest)),
        ("Absent, rightly not matched", shown(total.absent_rejected)),
        ("Present, wrongly not matched", shown(total.present_rejected)),
        ("Precision of matched", shown(total.precision)),
        ("Recall of matched", shown(total.recall)),
        ("Expected calibration error", "–" if error is None else f"{error:.3f}"),
    ]


def heading(total: Summary) -> str:
    """What was measured."""
    return f"{total.count} photos ({total.present} present, {total.absent} absent, {total.failed} failed)"


def _total(total: Summary) -> None:
    table = Table(heading(total), "", box=None, pad_edge=False)
    for row in rows(total):
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


def _pairs(found: Sequence[Answer]) -> None:
    pairs = confusions(found)
    if not pairs:
        return
    page.print("\nWrong answers")
    table = Table("Shows", "Taken for", "Photos", "For example", box=None, pad_edge=False)
    for (right, taken), group in pairs[:_PAIRS]:
        table.add_row(Text(right or "none listed"), Text(taken), str(len(group)), Text(group[0].image))
    page.print(table)
    if len(pairs) > _PAIRS:
        page.print(f"and {len(pairs) - _PAIRS} more pairs")


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


def shares(summary: Summary) -> tuple[Share, ...]:
    """The shares in the order of HEADINGS."""
    return (
        summary.top1, summary.top5, summary.top1_nearest, summary.absent_rejected, summary.present_rejected,
        summary.precision, summary.recall,
    )  # fmt: skip


def _cell(share: Share) -> str:
    """The value, and its interval in a line below."""
    if share.value is None or share.interval is None:
        return "–"
    low, high = (f"{bound:.2f}".removeprefix("0") for bound in share.interval)
    return f"{share.value:.2f}\n[dim]{low}–{high}[/]"
