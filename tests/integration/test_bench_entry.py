"""How the benchmark's programs end where what they are given cannot be used."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

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
