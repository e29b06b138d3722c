"""Servers of a stack, wherever its folder is."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from packsight.deploy.testbed import serving


@pytest.mark.parametrize("name", ["Моя лавка 1", "a,b", "it's \\ \"x\""])
def test_broker_and_object_storage_run_in_a_folder_of_any_name(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    with serving(folder) as running:
        port = urlsplit(f"//{running.s3.endpoint}").port if running.s3 is not None else 0
        assert list(Path("/tmp").glob(f"seaweedfs-*-{port}.sock"))
    assert not list(Path("/tmp").glob(f"seaweedfs-*-{port}.sock"))
    assert sorted(path.name for path in folder.iterdir() if path.is_dir()) == ["seaweedfs", "seaweedfs-secrets", "valkey"]
    assert list((folder / "valkey").iterdir()) and list((folder / "seaweedfs").iterdir())
    assert [path.name for path in tmp_path.iterdir()] == [name], "nothing lies beside it"
