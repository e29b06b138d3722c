"""The benchmark's smoke run: every configuration runs, and its document is complete and consistent."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from bench.capacity import Figures, estimate
from bench.soak import growth
from bench.whole_queue import between_ends
from tests.pages import block

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.whole_stack


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    out = tmp_path_factory.mktemp("bench")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PACKSIGHT_")}
    command = [sys.executable, "-m", "bench", "--quick", "--out", str(out)]
    done = subprocess.run(
        command, cwd=ROOT, env=clean | {"TMPDIR": str(out)}, capture_output=True, text=True, timeout=840, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    left = [one.pid for one in psutil.process_iter(["cmdline"]) if str(out) in " ".join(one.info["cmdline"] or ())]
    assert not left
    result: dict[str, Any] = json.loads((out / "quick.json").read_text())
    return result


@pytest.mark.timeout(900)
def test_the_smoke_run_measures_every_configuration(document: dict[str, Any]) -> None:
    for name in ("queue", "queue_read_all", "queue_seen_before", "limit", "direct", "plain", "queue_only"):
        part = document[name]
        assert part["images"] > 0
        assert part["images_per_s"] == pytest.approx(part["images"] / part["seconds"])
        assert document[f"{name}_images_per_s"] == part["images_per_s"]
    assert document["queue"]["seen_before_share"] == 0
    assert document["queue_seen_before"]["seen_before_share"] == 1
    assert {"fetch", "decode", "embed", "match", "store"} < set(document["stages"])
    assert all(lap["cpu_seconds"] > 0 for lap in document["stages"].values())
    assert sum(way["count"] for way in document["ways"]) == document["accuracy"]["queue"]["photos"]
    assert all(way["processor_seconds"] > 0 for way in document["ways"])


def test_the_networks_do_their_arithmetic_no_faster_than_a_matrix_product(document: dict[str, Any]) -> None:
    found = document["roofline"]
    parts = [found["networks"][name] for name in ("embedder", "detector", "recogniser")]
    whole = found["networks"]["all"]
    assert whole["gflop"] == pytest.approx(sum(part["gflop"] for part in parts))
    assert whole["gflop_per_s"] == pytest.approx(whole["gflop"] / whole["cpu_seconds"])
    assert 0.05 < whole["to_product"] < 1.5
    assert whole["to_sgemm"] == pytest.approx(whole["gflop_per_s"] / found["sgemm_gflop_per_s"])


def test_ratios_follow_from_the_rates_of_the_same_run(document: dict[str, Any]) -> None:
    queue = document["queue_images_per_s"]
    whole = document["queue_read_all_images_per_s"]
    assert document["queue_to_limit_ratio"] == pytest.approx(queue / document["limit_images_per_s"])
    assert document["read_all_to_limit_ratio"] == pytest.approx(whole / document["limit_images_per_s"])
    assert document["read_all_to_direct_ratio"] == pytest.approx(whole / document["direct_images_per_s"])
    assert document["queue_to_read_all_ratio"] == pytest.approx(queue / whole)
    assert document["queue_to_plain_ratio"] == pytest.approx(queue / document["plain_images_per_s"])


def test_accuracies_stand_beside_the_speeds(document: dict[str, Any]) -> None:
    for name in ("queue", "queue_read_all", "plain"):
        accuracy = document["accuracy"][name]
        assert accuracy["photos"] == document["accuracy"]["queue"]["photos"]
        assert 0 <= accuracy["top1"] <= 1
    assert document["accuracy"]["queue"]["top1"] > 0.5, "clear photos of a small shop"


def test_machine_versions_and_dates_are_named(document: dict[str, Any]) -> None:
    assert document["machine"]["cores"] >= document["machine"]["children"] >= 1
    assert {"celery", "openvino", "numpy"} <= set(document["packages"])
    assert document["begun"] <= document["ended"]


def test_capacity_is_worked_out_of_a_run(document: dict[str, Any], tmp_path: Path) -> None:
    need = estimate(Figures.of(document), per_second=1000)
    assert need.cores == pytest.approx(1000 * document["machine"]["cores"] / document["queue_images_per_s"] / 0.7)
    assert need.messages_per_second == pytest.approx(1000 / document["queue"]["batch"])
    assert estimate(Figures.of(document), per_second=2000).cores == pytest.approx(2 * need.cores)
    (tmp_path / "bench-out").mkdir()
    (tmp_path / "bench-out/last.json").write_text(json.dumps(document))
    words = re.sub(r"[\[\]]", "", block("docs/capacity.md", "Work out a load")).split()[1:]  # with what may be left out
    command, own = [sys.executable, *words], {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=os.environ | own, capture_output=True, text=True, check=True)
    assert "1,000 a second" in done.stdout and "core hours per million images" in done.stdout


def test_a_rate_counts_only_batches_that_began_after_the_clock() -> None:
    assert between_ends([(10.0, 16), (12.0, 16), (14.0, 8)]) == (24, 4.0)


def test_growth_is_read_from_the_second_half() -> None:
    filling = [(n, 400.0 + n) for n in range(0, 100, 10)]
    steady = [(n, 500.0 + 0.002 * n) for n in range(100, 200, 10)]
    assert growth(filling + steady) == pytest.approx(2.0)
