"""Local files and folders as lists and feeds name them."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from pathlib import Path

import pytest

from packsight.shared.storage.names import find
from packsight.shared.storage.walk import files_below

COMPOSED = unicodedata.normalize("NFC", "чай й.jpg")


@pytest.mark.parametrize(
    ("on_disk", "written"),
    [
        ("two  spaces.jpg", "two  spaces.jpg"),
        ("pct Ы.jpg", "pct%20%D0%AB.jpg"),
        ("q.jpg", "q.jpg?v=12#top"),
        ("q?v=1.jpg", "q?v=1.jpg"),
        ("pics/x.jpg", "/pics/x.jpg"),
        ("pics/x.jpg", "pics\\x.jpg"),
        ("pics/x.jpg", '"pics/x.jpg" '),
        (unicodedata.normalize("NFD", COMPOSED), COMPOSED),
        (COMPOSED, unicodedata.normalize("NFD", COMPOSED)),
        (f"{unicodedata.normalize('NFD', 'й')}/{COMPOSED}", f"й/{unicodedata.normalize('NFD', COMPOSED)}?x"),
    ],
)
def test_files_are_found_by_other_spellings_of_their_names(tmp_path: Path, on_disk: str, written: str) -> None:
    file = tmp_path / on_disk
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(b"x")
    assert find(tmp_path, written).samefile(file)


def test_what_does_not_exist_keeps_the_name_that_was_written(tmp_path: Path) -> None:
    assert find(tmp_path, "no\\such.jpg") == tmp_path / "no\\such.jpg"
    assert find(tmp_path, "\0") == tmp_path / "\0"


def test_linked_folders_are_followed_once_and_the_rest_is_counted(tmp_path: Path) -> None:
    photos, nas = tmp_path / "photos", tmp_path / "nas" / "2023"
    for folder in (photos / "2024", photos / "@eaDir" / "a.jpg", photos / ".git", nas):
        folder.mkdir(parents=True)
        (folder / "a.jpg").write_bytes(b"x")
    (photos / "2023").symlink_to(nas)
    (photos / "2023-again").symlink_to(nas)
    (photos / "2022").symlink_to(photos / "2024")
    (photos / "2024" / "loop").symlink_to(photos)
    (photos / "2024" / "up").symlink_to(tmp_path)  # more than was named lies there
    skipped: Counter[str] = Counter()
    found = [os.path.relpath(path, photos) for path in files_below(photos, skipped)]
    assert found == ["2023/a.jpg", "2024/a.jpg"]
    assert skipped == {"@eaDir/": 1, ".git/": 1, "2022/": 1, "2023-again/": 1, "loop/": 1, "up/": 1}
