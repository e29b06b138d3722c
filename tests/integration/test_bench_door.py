"""The benchmark of the HTTP door says with its exit code where the door costs more than it may."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench import door
from packsight.shared.contract.errors import UserError


def measured(monkeypatch: pytest.MonkeyPatch, file: Path, **shares: float) -> None:
    """What main makes of a run with these shares of plain Celery."""

    def run(*_: object) -> dict[str, Any]:
        return {"to_celery": shares}

    monkeypatch.setattr(door, "run", run)
    door.main(file, file.parent)


def test_less_than_four_fifths_of_plain_celery_is_an_error_and_the_figures_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match=r"^Less than 0\.8 of plain Celery: bytes 0\.799\."):
        measured(monkeypatch, tmp_path / "door.json", reference=0.95, bytes=0.799)
    assert json.loads((tmp_path / "door.json").read_text())["to_celery"]["bytes"] == 0.799


def test_four_fifths_of_plain_celery_are_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured(monkeypatch, tmp_path / "door.json", reference=0.95, bytes=0.8)
