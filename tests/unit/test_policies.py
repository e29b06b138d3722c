"""Policies of object storage: the files that are shipped are those that the embedded stack uses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from packsight.deploy.stack.credentials import Role
from packsight.deploy.stack.policies import RIGHTS, files, policy
from packsight.shared.contract.errors import UserError
from packsight.shared.storage import layout
from tests.pages import block

SHIPPED = Path(__file__).parents[2] / "deploy/policies"


def test_the_shipped_files_are_the_policies_of_the_bucket_packsight() -> None:
    shipped = {file.name: file.read_text() for file in SHIPPED.iterdir()}
    assert shipped == files("packsight"), "python -m packsight.deploy.stack.policies deploy/policies"


def test_the_page_says_how_to_write_them_for_another_bucket(tmp_path: Path) -> None:
    command = block("docs/security.md", "Object storage").replace("FOLDER", str(tmp_path)).split()
    subprocess.run([sys.executable, *command[1:]], check=True)
    written = {file.name: file.read_text() for file in tmp_path.iterdir()}
    assert written == files("mybucket", ["s3://photos-of-shop/"])


def test_nobody_but_the_indexer_and_the_operator_writes_catalogs_and_few_delete() -> None:
    writers = {role for role, rights in RIGHTS.items() if {"", layout.CATALOGS}.intersection(rights.write)}
    assert writers == {Role.INDEXER, Role.OPERATOR}
    assert {role for role, rights in RIGHTS.items() if rights.delete} == {*writers, Role.HTTP}
    assert set(RIGHTS[Role.HTTP].delete) == {layout.UPLOADS, layout.JOBS, layout.REVIEWS}
    assert RIGHTS[Role.WORKER].write == (layout.FEATURES,)
    assert Role.FLOWER not in RIGHTS


@pytest.mark.parametrize("role", RIGHTS)
def test_a_policy_names_no_action_or_bucket_by_a_wildcard(role: Role) -> None:
    for statement in policy(role, "shelf", ["s3://photos/in/"])["Statement"]:
        assert not [action for action in statement["Action"] if "*" in action]
        for resource in statement["Resource"]:
            assert resource.partition("/")[0] in {"arn:aws:s3:::shelf", "arn:aws:s3:::photos"}


@pytest.mark.parametrize("opened", ["s3://shelf/", "s3://shelf/jobs/", "s3://shelf/catalogs/shoes/", "s3://shelf/feat"])
def test_what_is_opened_gives_no_rights_in_closed_rooms(opened: str) -> None:
    with pytest.raises(UserError, match="keeps for itself"):
        policy(Role.WORKER, "shelf", [opened])
    assert policy(Role.WORKER, "other", [opened])
