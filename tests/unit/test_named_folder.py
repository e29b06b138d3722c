"""Commands that write into a folder, or read a whole one, want its name."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from packsight.deploy.cli import app, named


@pytest.mark.parametrize("command", ["backup", "restore", "secrets"])
@pytest.mark.parametrize("name", ["", " "])
def test_an_empty_name_is_no_folder(command: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    refused = CliRunner().invoke(app, [command, name])
    assert refused.exit_code == 2
    told = " ".join(refused.output.replace("│", " ").split())
    assert "folder's name is empty. Write . for the current one." in told
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_what_it_is_called() -> None:
    assert named(".") == Path() and named("there/it is") == Path("there/it is")
