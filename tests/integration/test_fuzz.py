"""A few damaged inputs of every kind; `make fuzz` reads many."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fuzz import run
from tests.fuzz.child import case, read
from tests.fuzz.mutations import spoiled
from tests.fuzz.pictures import pictures
from tests.fuzz.targets import TARGETS

CASES = 60


@pytest.mark.parametrize("name", sorted(set(TARGETS) - {"images"}))
def test_damaged_input_is_read_or_named(name: str, tmp_path: Path) -> None:
    target = TARGETS[name](tmp_path)
    ended = [read(target, case(target, 1, number)) for number in range(CASES)]
    assert not [one["fault"] for one in ended if "fault" in one]
    assert len({one["outcome"] for one in ended}) > 1, "damage of one degree alone tells little"


def test_damaged_photos_are_decoded_or_refused_by_a_child(tmp_path: Path) -> None:
    found = run.fuzz("images", 1, CASES, tmp_path / "work", tmp_path / "kept")
    assert found.cases == CASES
    assert not found.faults
    assert not (tmp_path / "kept").exists()
    assert found.outcomes["decoded"] > 0
    assert found.outcomes["image_broken"] > 0


def test_a_case_that_ends_its_child_is_counted_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lines(_name: str, _folder: Path, _seed: int, first: int, last: int) -> Iterator[dict[str, Any]]:
        for number in range(first, last):
            yield {"begins": number}
            if number == 2:
                return
            yield {"number": number, "outcome": "decoded", "seconds": 9.0 if number == 3 else 0.1, "peak": 200.0}

    monkeypatch.setattr(run, "_lines", lines)
    found = run.fuzz("lists", 5, 6, tmp_path / "work", tmp_path / "kept")
    assert found.outcomes == {"decoded": 5, "fault: process died": 1}
    assert (found.slowest, found.slowest_s) == (3, 9.0)
    kept = {path.name for path in (tmp_path / "kept").iterdir()}
    assert kept == {"lists-5-2", "lists-5-2.txt", "lists-5-3", "lists-5-3.txt"}, "what died, and what took too long"


def test_a_seed_makes_the_same_damage_again() -> None:
    whole = pictures()["jpeg-2"]

    def damaged(seed: int) -> bytes:
        return spoiled(whole, [whole], random.Random(seed))

    assert damaged(1) == damaged(1) != damaged(2)
