"""Benchmarks beside the main one: each runs from end to end, and its document is consistent."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from bench.photos import few

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.whole_stack


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of both runs, so that networks are compiled once."""
    return tmp_path_factory.mktemp("bench")


@pytest.mark.timeout(900)
def test_every_set_of_a_folder_is_measured_over_the_queue(out: Path, tmp_path: Path) -> None:
    shop = few(tmp_path / "sets/drawn")
    rows = [f"{label.image},{label.product_id}" for label in shop.labels]
    (tmp_path / "sets/drawn/labels.csv").write_text("\n".join(["image,product_id", *rows]))
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PACKSIGHT_")}
    command = [sys.executable, "-m", "bench.sets", str(tmp_path / "sets"), "--out", str(out)]
    command += ["--json", str(tmp_path / "m.json"), "--write", str(tmp_path / "a.md")]
    done = subprocess.run(
        command, cwd=ROOT, env=clean | {"TMPDIR": str(tmp_path)}, capture_output=True, text=True, timeout=840, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert not [one.pid for one in psutil.process_iter(["cmdline"]) if str(tmp_path) in " ".join(one.info["cmdline"] or ())]
    document = json.loads((tmp_path / "m.json").read_text())
    measured = document["sets"]["drawn"]
    assert document["precision"] in {"f32", "bf16", "f16"}
    assert (measured["products"], measured["count"], measured["absent"]) == (5, 11, 1)
    assert measured["top1"] > 0.5, "clear photos of a small shop"
    assert sum(way["count"] for way in measured["stages"]) == 11
    assert all(way["processor_seconds"] > 0 for way in measured["stages"])
    assert measured["processor_seconds"] > measured["processor_seconds_by_process"]["children"] > 0
    assert measured["drop_nearest"]["count"] == 10
    assert "| | drawn |" in (tmp_path / "a.md").read_text()


@pytest.mark.timeout(900)
def test_a_photo_that_waits_when_the_only_child_dies_is_answered_by_the_next_one(out: Path, tmp_path: Path) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PACKSIGHT_")}
    command = [sys.executable, "-m", "bench.cold_start", "--rounds", "2", "--out", str(out)]
    done = subprocess.run(
        command, cwd=ROOT, env=clean | {"TMPDIR": str(tmp_path)}, capture_output=True, text=True, timeout=840, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    document = json.loads((out / "cold-start.json").read_text())
    whole, built = document["to_first_outcome"], document["of_it_built"]
    assert len(whole["seconds"]) == len(built["seconds"]) == 2
    assert all(0 < part < all_ for part, all_ in zip(built["seconds"], whole["seconds"], strict=True))
