"""The bench of votes: every figure is there, and a set's own photos win among made-up ones; no time is judged."""

from __future__ import annotations

from pathlib import Path

from bench.details import measure
from bench.photos import few


def test_drawn_packs_are_found_among_made_up_photos(tmp_path: Path) -> None:
    document = measure(few(tmp_path / "shop"), [5, 10, 100])
    small, large = document["sizes"]  # the set has more than five photos of its own
    assert (small["photos"], large["photos"]) == (document["own"], 100) == (10, 100)
    assert small["first"] >= large["first"] > 0.8
    assert large["in_five"] == 1.0
    assert 9 < large["points"] / small["points"] < 11
    assert small["index_mb"] > large["index_mb"] > 0  # whole descriptors against codes
    for one in (small, large):
        assert one["vote_cpu_ms"].keys() == {"p50", "p95"}
        assert one["build"].keys() == {"seconds", "cpu_seconds"}
        assert one["second_process_mb"].keys() == {"own", "resident"}
