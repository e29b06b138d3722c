"""Does a confidence keep its promise? Of the answers given with 0.8, eight in ten should be right."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from statistics import fmean

from packsight.shared.shares import Share

BINS = 10


@dataclass(frozen=True, slots=True)
class Bin:
    """Answers whose confidence lies from `low` to `high`: how many, their mean confidence, and the share of right ones."""

    low: float
    high: float
    count: int
    confidence: float
    accuracy: Share


@dataclass(frozen=True, slots=True)
class BandParameters:
    """How the band of calibrated systems is simulated."""

    level: float = 0.95
    """Of a hundred calibrated systems, how many (in hundreds) the band holds."""
    runs: int = 1000
    """Leaves the end of the band uncertain by about 0.7 of a hundred systems (binomial, 0.95 of 1000)."""
    seed: int = 20260101
    """Any: fixed, so that the same confidences have the same band."""


BAND = BandParameters()


def reliability(confidences: Sequence[float], right: Sequence[bool], bins: int = BINS) -> list[Bin]:
    """Confidence against accuracy over equally wide bins; empty bins are left out.

    Niculescu-Mizil and Caruana, Predicting good probabilities with supervised learning, 2005.
    """
    inside: dict[int, list[tuple[float, bool]]] = {}
    for confidence, hit in zip(confidences, right, strict=True):
        inside.setdefault(_bin(confidence, bins), []).append((confidence, hit))
    found = []
    for number, answers in sorted(inside.items()):
        mean = fmean(confidence for confidence, _ in answers)
        accuracy = Share(sum(hit for _, hit in answers), len(answers))
        found.append(Bin(number / bins, (number + 1) / bins, len(answers), mean, accuracy))
    return found


def expected_calibration_error(confidences: Sequence[float], right: Sequence[bool], bins: int = BINS) -> float | None:
    """Mean distance of confidence from accuracy over equally wide bins, weighted by their photos; None without photos.

    Guo et al., On calibration of modern neural networks, 2017, equation 3.
    """
    found = reliability(confidences, right, bins)
    gaps = [one.count * abs(one.confidence - (one.accuracy.value or 0.0)) for one in found]
    return sum(gaps) / len(confidences) if found else None


def calibration_band(
    confidences: Sequence[float], parameters: BandParameters = BAND, bins: int = BINS
) -> tuple[float, float] | None:
    """From 0 to the calibration error that a perfectly calibrated system with these confidences stays below 95 times of 100.

    Few photos leave even such a system an error, by chance alone. Each run draws every answer right with the probability of its
    confidence (consistency resampling: Bröcker and Smith, Increasing the reliability of reliability diagrams, 2007). None without
    photos.
    """
    if not confidences:
        return None
    inside: dict[int, list[float]] = {}
    for confidence in confidences:
        inside.setdefault(_bin(confidence, bins), []).append(confidence)
    expected = [(sum(one), one) for one in inside.values()]
    chance = random.Random(parameters.seed)  # noqa: S311 - a simulation
    errors = sorted(
        sum(abs(mean - sum(chance.random() < p for p in one)) for mean, one in expected) / len(confidences)
        for _ in range(parameters.runs)
    )
    return 0.0, errors[ceil(parameters.level * parameters.runs) - 1]


def _bin(confidence: float, bins: int) -> int:
    return min(int(confidence * bins), bins - 1)
