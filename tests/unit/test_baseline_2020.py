"""The formula of 2020, worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from packsight.producer.evaluation.baseline_2020 import Baseline
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.matching.candidates import Query
from packsight.shared.matching.exclusion import Exclusion
from packsight.shared.vision.features import Features
from tests.unit.matching_catalog import build, photo, product


def baseline(snapshot: Snapshot, shots: dict[str, list[Features]]) -> Baseline:
    return Baseline.of(snapshot, {features.sha256: features for group in shots.values() for features in group})


def test_the_formula_gives_what_is_worked_out_by_hand(tmp_path: Path) -> None:
    shots = {
        "p0": [replace(photo("a", ["Rosa"], 0), embedding=np.array([0.0, 0.0], np.float32))],
        "p1": [replace(photo("b", ["Mint"], 1), embedding=np.array([3.0, 0.0], np.float32))],
    }
    snapshot = build(tmp_path / "v", [product(0, "Arvelo", "Rosa"), product(1, "Bontira", "Mint Balm")], shots)
    query = replace(photo("q", ["rosa arvelo balm"], 0), embedding=np.array([1.0, 0.0], np.float32))
    order, score = baseline(snapshot, shots)(Query.of(query, snapshot))
    # Row of p0: o = 2 (rosa, arvelo), row of p1: o = 1 (balm), Σo = 3; d = 1 and 4, Σd = 5.
    first = (1000 * 2 / 3 + 0.5 + 0.1 + 0.9 - 1 / 5) / 2
    second = (1000 * 1 / 3 + 0.1 + 0.9 - 4 / 5) / 2
    assert order.tolist() == [0, 1]
    assert score.tolist() == pytest.approx([first, second], abs=1e-3)


def test_a_row_that_is_not_near_gets_the_mean_look_when_its_words_fit(tmp_path: Path) -> None:
    shots = {
        f"p{n}": [replace(photo(f"{n}", [], 0), embedding=np.array([float(n), 0.0], np.float32))] for n in range(30)
    }
    products = [product(n, f"Brand{chr(97 + n % 26)}x", "") for n in range(29)] + [product(29, "Zelmira", "")]
    snapshot = build(tmp_path / "v", products, shots)
    query = replace(photo("q", ["zelmira"], 0), embedding=np.array([0.0, 0.0], np.float32))
    order, score = baseline(snapshot, shots)(Query.of(query, snapshot))
    squares = np.arange(25.0) ** 2
    look = 0.9 - squares / squares.sum()
    assert order[0] == 29
    assert score[0] == pytest.approx((look[look > 0].mean() + 1000 + 0.5) / 2, abs=1e-3)


def test_what_is_left_out_and_what_has_no_embedding_is_not_near(tmp_path: Path) -> None:
    shots = {f"p{n}": [replace(photo(f"{n}", [], 0), embedding=np.array([float(n), 0.0], np.float32))] for n in range(4)}
    snapshot = build(tmp_path / "v", [product(n, f"Brand{n}", "") for n in range(4)], shots)
    query = Query.of(replace(photo("q", [], 0), embedding=np.array([0.0, 0.0], np.float32)), snapshot)
    known = {name: group for name, group in shots.items() if name != "p1"}
    order, score = baseline(snapshot, known)(query, Exclusion.of_product(snapshot, 0))
    assert order[0] == 2 and set(order.tolist()) == {1, 2, 3}
    assert score[order.tolist().index(1)] == 0
