"""What the demo runs in, and how it ends: what it prints can be pasted."""

from __future__ import annotations

import io
import shlex
import sys
from pathlib import Path

import pytest
from rich.console import Console

from packsight.deploy.demo.run import _point, _stack, environment_of
from packsight.deploy.stack import services
from packsight.deploy.stack.parts import PAGE_USER
from packsight.deploy.stack.state import Part, StackFolder, StackState
from packsight.producer.http.accounts import Accounts
from packsight.producer.http.rights import Right
from packsight.shared import launch


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


def test_a_stack_that_stays_up_is_left_on_its_page(tmp_path: Path) -> None:
    home = StackFolder(tmp_path / ".packsight")
    home.create()
    part = Part(name="http", pid=7, started=0.0, log=home.logs / "http.log", url="http://127.0.0.1:8123")
    state = StackState(parts=(part,))
    home.save(state)
    Accounts(home.root).add_person(PAGE_USER, state.credentials.page, frozenset(Right), None)
    *_, about, page = ending(tmp_path, home, None)
    assert page == f"Page: http://127.0.0.1:8123, user {PAGE_USER}, password {state.credentials.page}"
    assert about == "In a browser, where photos of your own can be dropped:"
    assert not [line for line in ending(tmp_path, None, None) if "Page:" in line]


def test_what_up_says_to_do_next_is_not_in_the_demo_which_does_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    says = "import sys; print('results of', sys.argv[1]); print('remarks of', sys.argv[1], file=sys.stderr)"
    monkeypatch.setattr(launch, "python", lambda _, *arguments: [sys.executable, "-c", says, *arguments])
    with _stack(StackFolder(tmp_path), Console(file=io.StringIO()), keep=False):
        pass
    assert capfd.readouterr() == ("results of down\n", "remarks of up\nremarks of down\n")


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
