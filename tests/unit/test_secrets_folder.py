"""Secrets of containers: what is there stays, what follows from it is written anew, what is none is refused."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from packsight.deploy import secrets_folder
from packsight.deploy.stack.credentials import Role
from packsight.shared.contract.errors import UserError


def content(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_what_is_there_stays(tmp_path: Path) -> None:
    secrets_folder.write(tmp_path / "secrets")
    before = content(tmp_path / "secrets")
    secrets_folder.write(tmp_path / "secrets")
    assert content(tmp_path / "secrets") == before


def test_a_password_of_ones_own_is_kept_and_the_broker_is_told(tmp_path: Path) -> None:
    password = "a b\"c'd@e/f#g%h"
    (tmp_path / "worker").mkdir()
    (tmp_path / "worker/broker").write_text(f"{password}\n")
    keys = secrets_folder.write(tmp_path)
    assert keys.roles[Role.WORKER].broker == password
    users = (tmp_path / "broker/users.acl").read_text()
    assert f"user worker on sanitize-payload #{hashlib.sha256(password.encode()).hexdigest()} " in users
    assert keys.roles[Role.INDEXER].broker not in users


def test_what_is_removed_is_made_anew_and_the_former_public_key_stays_until_its_list_is_removed_too(tmp_path: Path) -> None:
    before = secrets_folder.write(tmp_path)
    (former,) = json.loads((tmp_path / "catalog/public-keys").read_text())
    for name in ("worker/broker", "catalog/key.pem"):
        (tmp_path / name).unlink()
    after = secrets_folder.write(tmp_path)
    changed = {role for role, keys in before.roles.items() if keys != after.roles[role]}
    assert changed - {Role.FLOWER} == {Role.WORKER}, "Flower has no keys of object storage, so that new ones are made in vain"
    own, kept = json.loads((tmp_path / "catalog/public-keys").read_text())
    assert own != former == kept
    (tmp_path / "catalog/public-keys").unlink()
    secrets_folder.write(tmp_path)
    assert json.loads((tmp_path / "catalog/public-keys").read_text()) == [own]


@pytest.mark.parametrize("text", ["change-me\n", "", "two\nlines\n", "bell\a"])
def test_what_is_no_secret_is_refused_with_its_file(text: str, tmp_path: Path) -> None:
    (tmp_path / "flower").mkdir()
    (tmp_path / "flower/page").write_text(text)
    with pytest.raises(UserError, match=r"flower/page holds no secret"):
        secrets_folder.write(tmp_path)


def test_public_keys_that_were_added_stay_and_what_is_no_list_of_them_is_refused(tmp_path: Path) -> None:
    secrets_folder.write(tmp_path)
    listed = tmp_path / "catalog/public-keys"
    (own,), other = json.loads(listed.read_text()), "ab" * 32
    listed.chmod(0o600)
    listed.write_text(json.dumps([other]))
    secrets_folder.write(tmp_path)
    assert json.loads(listed.read_text()) == [own, other]
    for text in ("[", '["short"]', "{}"):
        listed.chmod(0o600)
        listed.write_text(text)
        with pytest.raises(UserError, match=r"catalog/public-keys is no list of public keys in JSON. Correct it"):
            secrets_folder.write(tmp_path)


def test_nobody_is_given_what_another_has(tmp_path: Path) -> None:
    secrets_folder.write(tmp_path)
    found = [text.strip() for name, text in content(tmp_path).items() if name.count("/") == 1 and "s3/" not in name]
    assert len(set(found)) == len(found)


def test_another_program_gets_a_user_and_keeps_it(tmp_path: Path) -> None:
    secrets_folder.write(tmp_path, programs=["myapp"])
    password = (tmp_path / "myapp/broker").read_text().strip()
    secrets_folder.write(tmp_path)
    assert f"user myapp on sanitize-payload #{hashlib.sha256(password.encode()).hexdigest()} " in (
        tmp_path / "broker/users.acl"
    ).read_text()


@pytest.mark.parametrize("name", ["worker", "celery-x", "packsight", "a b", "*", "../x", ""])
def test_a_program_is_not_called_like_another_or_like_a_pattern(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be the name of a program"):
        secrets_folder.write(tmp_path / "secrets", programs=[name])
