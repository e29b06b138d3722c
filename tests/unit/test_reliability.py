"""docs/reliability.md is that of its items and figures, and names tests that there are."""

from __future__ import annotations

import ast
import json
from functools import cache
from pathlib import Path

import pytest

from tests.reliability.figures import kept, of_one_commit, summaries
from tests.reliability.items import ITEMS
from tests.reliability.page import NOTHING, PAGE, page

TESTS = Path(__file__).parents[1]


@cache
def functions(file: str) -> set[str]:
    return {node.name for node in ast.parse((TESTS / file).read_text(encoding="utf-8")).body if isinstance(node, ast.FunctionDef)}


def test_there_are_25_items_and_each_has_a_test_and_a_way_to_fail() -> None:
    assert len(ITEMS) == 25
    assert all(item.tests and item.breaks for item in ITEMS)


@pytest.mark.parametrize("test", sorted({test for item in ITEMS for test in item.tests}))
def test_every_test_that_is_named_exists(test: str) -> None:
    file, _, name = test.partition("::")
    assert name in functions(file)


def test_the_page_is_up_to_date() -> None:
    """Renew it with `make reliability`."""
    assert PAGE.read_text(encoding="utf-8") == page(kept())


def test_without_figures_the_page_says_so() -> None:
    assert page({}).count(NOTHING) == sum(len(item.figures) for item in ITEMS) + 2


def test_figures_come_from_what_runs_wrote(tmp_path: Path) -> None:
    events = {"valkey killed": {"count": 3, "median": 1.0, "worst": 4.25}}
    run = {"seed": 1, "ended": "2026-11-26T10:00:00+00:00", "photos": 1000, "batches": 125, "lost": 1, "doubled": 0}
    run |= {"differing": 2, "done": [{}, {}], "recovery_s": events, "worst_recovery": {"recovered_s": 4.25}, "versions": {"v": 9}}
    run |= {"commit": "9b9615b0d322", "planned": 3}
    (tmp_path / "chaos-1.json").write_text(json.dumps(run))
    (tmp_path / "quick.json").write_text("{}")
    runs = summaries(sorted(tmp_path.iterdir()))
    assert set(runs) == {"chaos-1"}
    text = page(runs)
    assert "1 run, 2 of 3 events, 1,000 photos: 1 lost, 0 doubled, 2 differing; next batch 4.2 s after" in text
    assert "3 times in chaos, next batch 4.2 s later at worst (2026-11-26, `9b9615b0d322`)" in text


def test_runs_of_different_commits_are_not_added_up() -> None:
    def run(day: int, commit: str) -> dict[str, str]:
        return {"ended": f"2026-11-{day}T10:00:00+00:00", "commit": commit}

    runs = {"chaos-1": run(20, "old"), "chaos-2": run(27, "new"), "chaos-3": run(26, "new"), "chaos-standin-1": run(20, "old")}
    runs |= {"fuzz-1": run(29, "last"), "fuzz-2": run(28, "last-dirty"), "soak": {"begun": "2026-11-02", "commit": "older"}}
    assert sorted(of_one_commit(runs)) == ["chaos-2", "chaos-3", "chaos-standin-1", "fuzz-1", "soak"]


def test_what_is_kept_is_of_one_commit() -> None:
    assert of_one_commit(kept()) == kept()
