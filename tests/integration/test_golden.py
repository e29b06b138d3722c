"""Rules that decide do not change under a fingerprint that stays."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.golden import values
from tests.golden.values import GOLDENS, Golden


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("golden")


@pytest.mark.parametrize("golden", GOLDENS, ids=lambda golden: golden.name)
def test_a_photo_gives_what_it_gave_when_the_rules_were_last_named(golden: Golden, folder: Path) -> None:
    assert not (faults := golden.faults(folder)), "\n".join(faults)


@pytest.fixture
def golden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Golden:
    monkeypatch.setattr(values, "FOLDER", tmp_path)

    def make(_: Path) -> tuple[dict[str, str], Any]:
        return {"rules": "rules-1"}, {"one": [1.0, 2.0], "text": "a"}

    golden = Golden("drawn", "RULES", make, {"": 0.1})
    golden.renew(tmp_path)
    return golden


def made(golden: Golden, fingerprint: str, values: Any) -> Golden:
    return replace(golden, make=lambda _: ({"rules": fingerprint}, values))


def test_values_within_the_tolerance_are_the_same(golden: Golden, tmp_path: Path) -> None:
    assert golden.faults(tmp_path) == []
    assert made(golden, "rules-1", {"one": [1.05, 2.0], "text": "a"}).faults(tmp_path) == []


@pytest.mark.parametrize(
    "value",
    [{"one": [1.2, 2.0], "text": "a"}, {"one": [1.0], "text": "a"}, {"one": [1.0, float("nan")], "text": "a"}, {"text": "a"}],
)
def test_other_values_under_the_same_fingerprint_ask_to_raise_the_number(golden: Golden, tmp_path: Path, value: Any) -> None:
    assert "raise RULES" in made(golden, "rules-1", value).faults(tmp_path)[0]


def test_another_fingerprint_asks_to_renew_the_values(golden: Golden, tmp_path: Path) -> None:
    assert "renew it by `python -m tests.golden`" in made(golden, "rules-2", {}).faults(tmp_path)[0]


def test_the_committed_files_are_those_of_the_sets() -> None:
    folder = Path(values.__file__).parent
    assert sorted(path.stem for path in folder.glob("*.json")) == sorted(golden.name for golden in GOLDENS)
