"""The benchmark of the page runs, and says with its exit code where a second is not kept to."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from bench import page
from packsight.shared.contract.errors import UserError


@pytest.mark.browser
def test_a_job_is_looked_at_in_chromium_and_what_took_longer_than_it_may_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which("chromium") is None or shutil.which("chromedriver") is None:
        pytest.skip("needs Debian's chromium and chromium-driver")
    monkeypatch.setattr(page, "LIMIT", 0)  # so that no clock decides
    monkeypatch.setattr(page, "TURNS", 2)
    with pytest.raises(UserError, match=r"^More than 0 s: first visit .* s, first paint .* s, filter .* s, search .* s\."):
        page.main(120, tmp_path / "page.json")
    found = json.loads((tmp_path / "page.json").read_text())
    assert found["rows"] == 120
    assert {what: one["count"] for what, one in found["seconds"].items()} == {
        "first visit": 1, "first paint": 4, "filter": 2, "search": 2,
    }  # fmt: skip
    assert all(0 < one["median"] <= one["most"] for one in found["seconds"].values())
    assert 0 < found["server_resident_mb"]["before"] < 400, "of a process that renders pages alone"
    assert found["machine"]["cpu"] and found["index_mb"] > 0


def test_once_is_enough_to_be_too_late() -> None:
    kept = {"count": 5, "median": 0.2, "most": 1.0}
    assert page.slow({"first paint": kept, "search": {**kept, "most": 1.01}}) == ["search 1.01 s"]
