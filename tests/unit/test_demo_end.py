"""What the demo runs in, and how it ends: what it prints can be pasted."""

from __future__ import annotations

import io
import shlex
from pathlib import Path

import pytest
from rich.console import Console

from packsight.deploy.demo.run import _point, environment_of
from packsight.deploy.stack import services
from packsight.deploy.stack.state import StackFolder


def ending(folder: Path, running: StackFolder | None, matched: str | None) -> list[str]:
    said = io.StringIO()
    _point(Console(file=said, width=40), folder, running, matched)
    return said.getvalue().splitlines()


def test_commands_are_whole_lines_on_a_narrow_terminal_and_name_files_that_a_shell_understands(tmp_path: Path) -> None:
    folder = tmp_path / "with a space"
    home = StackFolder(folder / ".packsight")
    lines = ending(folder, home, "with a space/queries/001.jpg")
    commands = [shlex.split(line) for line in lines if line.startswith("  ")]
    assert ["export", f"PACKSIGHT_STACK_FILE={home.env_file}"] in commands
    assert [command[1:] for command in commands if "explain" in command] == [["explain", "with a space/queries/001.jpg"]]
    assert [command[1:] for command in commands if "down" in command] == [["down", "--home", str(home.root)]]
    assert any((folder / "answer.html").as_uri() in line for line in lines)


def test_what_is_stopped_is_not_pointed_at(tmp_path: Path) -> None:
    lines = "\n".join(ending(tmp_path, None, None))
    assert "down" not in lines and "answer.html" not in lines
    assert "catalog sync --feed feed.xml" in lines


@pytest.mark.parametrize("built", [True, False])
def test_a_users_storage_is_taken_where_there_is_no_other_and_in_a_bucket_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, built: bool
) -> None:
    monkeypatch.setattr(services, "weed", lambda: "/usr/bin/weed" if built else None)
    home = StackFolder(tmp_path)
    taken = {"HOME": "/root", "PACKSIGHT_WORKER__CHILDREN": "1"}
    storage = {"PACKSIGHT_S3__ENDPOINT": "127.0.0.1:9", "PACKSIGHT_S3__BUCKET": "shop"}
    others = {"PACKSIGHT_BROKER_URL": "redis://shop", "PACKSIGHT_STACK_FILE": "/shop/stack.env"}
    found = environment_of(home, {**taken, **storage, **others})
    own = {"PACKSIGHT_STACK_FILE": str(home.env_file), "PACKSIGHT_MODELS__CACHE_DIR": str(home.root / "models")}
    assert found == {**taken, **own, **({} if built else {**storage, "PACKSIGHT_S3__BUCKET": "packsight-demo"})}
