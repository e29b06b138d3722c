"""What `packsight models quantise` prints, as rich tables."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from packsight.worker.quantise.judge import Measure
from packsight.worker.quantise.run import Trial


def trials(found: Sequence[Trial]) -> RenderableType:
    """A row per network, and below what to do now."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in ("network", "MB", "speed", "accuracy, before → after", "verdict"):
        table.add_column(name)
    for trial in found:
        table.add_row(
            escape(trial.car.network),
            f"{trial.before / 1e6:.1f} → {trial.after / 1e6:.1f}",
            f"× {trial.speedup:.2f}",
            "\n".join(map(_measure, trial.measures)),
            f"[green]accepted[/]\n{escape(trial.car.reason)}"
            if trial.car.accepted
            else f"[yellow]refused[/]\n{escape(trial.car.reason)}",
        )
    return Group(table, _advice(found))


def _measure(measure: Measure) -> str:
    return f"{measure.name}: {measure.before:.3f} → {measure.after:.3f} of {measure.count}"


def _advice(found: Sequence[Trial]) -> str:
    if not any(trial.car.accepted for trial in found):
        return "Nothing was accepted: PACKSIGHT_MODELS__PRECISION=int8 would change nothing."
    return (
        "To use what was accepted, set PACKSIGHT_MODELS__PRECISION=int8 for all workers, restart them, and sync the catalog: "
        "its photos are described anew."
    )
