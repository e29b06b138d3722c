"""Room on the disk of a stack, and who says when there is too little."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from packsight.deploy import doctor
from packsight.deploy.stack.room import scarce
from packsight.deploy.stack.state import StackFolder, StackState
from packsight.deploy.testbed import serving
from packsight.shared.contract.errors import UserError

Disk = Callable[[float, float], None]


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    """Sets how large the disk is, and how much of it is free, in GB."""

    def of(total: float, free: float) -> None:
        usage = SimpleNamespace(total=int(total * 1e9), free=int(free * 1e9))
        monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)

    return of


@pytest.mark.parametrize(("total", "free", "objects"), [(250, 4, True), (40, 1.5, True), (2000, 1.2, False)])
def test_enough_is_enough(tmp_path: Path, disk: Disk, total: float, free: float, objects: bool) -> None:
    disk(total, free)
    assert scarce(tmp_path, objects=objects) == ""


def test_object_storage_wants_a_hundredth_of_a_large_disk(tmp_path: Path, disk: Disk) -> None:
    disk(2000, 12)
    assert scarce(tmp_path, objects=False) == ""
    said = scarce(tmp_path, objects=True)
    assert said == f"12,000 MB are free at {tmp_path}; object storage keeps nothing when less than 20,000 MB are"


def test_any_stack_wants_some_room(tmp_path: Path, disk: Disk) -> None:
    disk(40, 0.5)
    assert scarce(tmp_path, objects=False) == f"500 MB are free at {tmp_path}"


def test_a_folder_that_is_not_there_yet_is_on_the_disk_of_those_above(tmp_path: Path) -> None:
    assert "MB are free at" not in scarce(tmp_path / "a" / "b", objects=False)


def test_the_doctor_says_so_of_a_stack(tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = StackFolder(tmp_path / ".packsight")
    folder.create()
    folder.save(StackState())
    disk(2000, 12)
    assert [found.text for found in doctor.stack(folder) if found.subject == "disk"] == [scarce(folder.root, objects=True)]
    monkeypatch.setenv("PACKSIGHT_S3__ENDPOINT", "s3.example.org")
    assert not [found for found in doctor.stack(folder) if found.subject == "disk"]


def test_a_testbed_says_so_before_anything_is_refused(tmp_path: Path, disk: Disk) -> None:
    disk(2000, 12)
    with pytest.raises(UserError, match="less than 20,000 MB"), serving(tmp_path):
        pass
