"""How the benchmark's programs end where what they are given cannot be used."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bench import __main__ as program
from bench import capacity, entry


@pytest.mark.parametrize(
    ("content", "cause"),
    [(None, "cannot be read: No such file"), *((other, "is no run of all") for other in ("{}", "[1]", "not JSON"))],
    ids=["missing", "another document", "a list", "no JSON"],
)
def test_capacity_names_a_file_that_is_no_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, content: str | None, cause: str
) -> None:
    if content is not None:
        (tmp_path / "last.json").write_text(content)
    monkeypatch.setattr(sys, "argv", ["capacity", str(tmp_path / "last.json")])
    with pytest.raises(SystemExit) as ended:
        entry.run(capacity.main)
    said = capsys.readouterr().err
    assert ended.value.code == 1 and cause in said and "Traceback" not in said


def test_a_labelled_photo_that_two_rows_name_is_measured_once(tmp_path: Path) -> None:
    (tmp_path / "q.jpg").write_bytes(b"a photo")
    (tmp_path / "labels.csv").write_text("image,product_id\nq.jpg,1\n./q.jpg,1\n")
    chosen = program._photo_set(tmp_path, tmp_path, tmp_path / "labels.csv", tmp_path / "feed.xml", "", quick=True)
    assert [label.image for label in chosen.labels] == ["q.jpg"]
