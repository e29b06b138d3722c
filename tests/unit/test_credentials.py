"""Each role of a stack has keys of its own, which stay the same for as long as its folder."""

from __future__ import annotations

import json
import os
from pathlib import Path

import psutil
import pytest

from packsight.deploy import doctor
from packsight.deploy.stack.credentials import Role
from packsight.deploy.stack.stack import Wishes, up
from packsight.deploy.stack.state import Begun, Part, StackFolder, StackState
from packsight.shared.contract.errors import UserError

FORMER = {"valkey": "one password", "access_key": "name", "secret_key": "s3 secret", "flower": "page"}


def test_each_role_has_a_password_of_its_own_and_keeps_it(tmp_path: Path) -> None:
    folder = StackFolder(tmp_path)
    state = folder.load()
    assert len({keys.broker for keys in state.credentials.roles.values()}) == len(Role)
    folder.save(state)
    assert folder.load() == state


def test_the_keys_of_a_release_with_one_password_go_on_where_data_depends_on_them(tmp_path: Path) -> None:
    folder = StackFolder(tmp_path)
    folder.state_file.write_text(json.dumps({"credentials": FORMER, "ports": {"valkey": 1}, "parts": []}))
    state = folder.load()
    assert (state.credentials.access_key, state.credentials.secret_key) == ("name", "s3 secret")
    assert state.credentials.flower == "page"
    assert state.credentials.one_password
    assert set(state.credentials.roles) == set(Role)
    folder.save(state)
    assert "one password" not in folder.state_file.read_text()
    assert folder.load().credentials.roles == state.credentials.roles
    assert not folder.load().credentials.one_password


def test_a_role_that_an_older_file_does_not_know_gets_keys(tmp_path: Path) -> None:
    folder = StackFolder(tmp_path)
    folder.save(folder.load())
    content = json.loads(folder.state_file.read_text())
    lost = content["credentials"]["roles"].pop(Role.MONITOR)
    folder.state_file.write_text(json.dumps(content))
    roles = folder.load().credentials.roles
    assert roles[Role.MONITOR].broker not in {lost["broker"], ""}
    assert roles[Role.WORKER].broker == content["credentials"]["roles"][Role.WORKER]["broker"]


def test_a_file_with_what_only_a_later_release_knows_is_read(tmp_path: Path) -> None:
    folder = StackFolder(tmp_path)
    begun = Begun(run="this", after=1)
    part = Part(name="valkey", pid=os.getpid(), started=1.0, begun=begun, log=tmp_path / "log")
    state = StackState(parts=(part,), supervisor=part, given_up={"flower": "no port"})
    folder.save(state)
    content = json.loads(folder.state_file.read_text())
    roles = content["credentials"]["roles"]
    keys = roles[Role.WORKER]
    for one in (content, content["credentials"], keys, keys["store"], content["parts"][0], content["supervisor"]["begun"]):
        one["later"] = {"kind": 1}
    roles["later"] = keys
    folder.state_file.write_text(json.dumps(content))
    assert folder.load() == state


def test_nothing_is_written_of_what_is_not_known_so_that_earlier_releases_read_it(tmp_path: Path) -> None:
    folder = StackFolder(tmp_path)
    state = StackState(parts=(Part(name="valkey", pid=1, started=1.0, log=tmp_path / "log"),))
    folder.save(state)
    content = json.loads(folder.state_file.read_text())
    assert "begun" not in content["parts"][0] and "supervisor" not in content
    assert folder.load() == state


def test_parts_of_a_release_with_one_password_are_to_be_stopped_first(tmp_path: Path) -> None:
    folder = StackFolder(tmp_path)
    running = Part(name="valkey", pid=os.getpid(), started=psutil.Process().create_time(), log=tmp_path / "log")
    state = {"credentials": FORMER, "ports": {}, "parts": [running.model_dump(mode="json")]}
    folder.state_file.write_text(json.dumps(state))
    with pytest.raises(UserError, match=r"older release. Stop it with `packsight down` first"):
        up(folder, Wishes())
    assert json.loads(folder.state_file.read_text()) == state


def test_of_a_release_with_one_password_each_part_that_is_down_has_a_remedy(tmp_path: Path) -> None:
    folder = StackFolder(tmp_path)
    dead = Part(name="valkey", pid=2**22, started=0.0, log=tmp_path / "log")
    state = {"credentials": FORMER, "ports": {}, "parts": [dead.model_dump(mode="json")]}
    folder.state_file.write_text(json.dumps(state))
    told = {finding.text.partition(" ")[0]: finding.remedy for finding in doctor.stack(folder) if finding.subject == "stack"}
    assert "packsight down" in told["valkey"]
    assert told["an"] == "Nothing is lost by it."


def test_a_folder_that_cannot_be_made_is_an_error_that_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert not StackFolder(tmp_path / "file").load().parts
    with pytest.raises(UserError, match=r"cannot be made the stack's folder: .*--home"):
        StackFolder(tmp_path / "file").create()
