"""What the page draws: the reliability diagram, and automation against precision. Places are in SVG units of a square plot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

from packsight.producer.evaluation.automation import best_operation, operations
from packsight.producer.evaluation.calibration import Bin
from packsight.producer.evaluation.metrics import Answer, summarise

SIDE = 260
"""Of the plot's square."""
FLOOR = 0.5
"""Lowest precision on the axis; what is lower lies on its edge, since nobody would leave such answers to a machine."""


@dataclass(frozen=True, slots=True)
class Point:
    """A bin on the plot: centre, upper and lower end of its interval, radius; how many photos, and its text."""

    x: float
    y: float
    top: float
    bottom: float
    radius: float
    count: int
    text: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A threshold that is named on the curve."""

    x: float
    y: float
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Curve:
    """Precision by automation over all thresholds; `line` as a polyline has it, `wanted` the height of the wanted precision."""

    line: str
    wanted: float
    marks: tuple[Mark, ...]


def points(bins: Sequence[Bin]) -> list[Point]:
    """Place the bins on the plot: confidence to the right, accuracy upwards, area by the number of photos."""
    total = sum(one.count for one in bins)
    placed = []
    for one in bins:
        accuracy, (low, high) = one.accuracy.value or 0.0, one.accuracy.interval or (0.0, 1.0)
        text = f"{one.count} photos at {one.confidence:.2f}: {accuracy:.2f} right ({low:.2f} to {high:.2f})"
        radius = 3 + 11 * sqrt(one.count / total)
        y, top, bottom = (round(SIDE * (1 - value), 1) for value in (accuracy, high, low))
        placed.append(Point(round(SIDE * one.confidence, 1), y, top, bottom, round(radius, 1), one.count, text))
    return placed


def curve(found: Sequence[Answer], precision: float) -> Curve | None:
    """Automation to the right, precision upwards; None without a listed product that has a candidate."""
    placed = [(one.automation.value, one.precision.value) for one in operations(found)]
    line = [f"{_across(x)},{_up(y)}" for x, y in placed if x is not None and y is not None]
    if not line:
        return None
    total, best = summarise(found), best_operation(found, precision)
    marks = [("now", total.automation.value, total.precision.value)]
    if best:
        marks.append(("best", best.automation.value, best.precision.value))
    named = (Mark(_across(x), _up(y), name, _told(name, x, y)) for name, x, y in marks if x is not None and y is not None)
    return Curve(" ".join(line), _up(precision), tuple(named))


def _told(name: str, automation: float, precision: float) -> str:
    where = "The shipped threshold" if name == "now" else "The best threshold"
    return f"{where}: automation {automation:.2f}, precision {precision:.2f}"


def _across(automation: float) -> float:
    return round(SIDE * automation, 1)


def _up(precision: float) -> float:
    return round(SIDE * (1 - max(0.0, precision - FLOOR) / (1 - FLOOR)), 1)
