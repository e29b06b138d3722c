"""Local files and folders as lists and feeds name them."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from packsight.indexer.feed.extra_photos import check_folder, extra_photos
from packsight.indexer.feed.fields import vendor_code
from packsight.shared.contract.errors import UserError
from packsight.shared.storage.names import _Remembered, find
from packsight.shared.storage.walk import files_below

NO_STORE: Any = None
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
        ("IMG_1.JPG", "IMG_1.jpg"),
        ("Фото/ЧАЙ Й.JPG", "фото\\чай й.jpg?v=1"),
        (unicodedata.normalize("NFD", "ЧАЙ Й.JPG"), COMPOSED),
        ("two words.jpg", "two+words.jpg"),
        ("чай & мята.JPG", "%D1%87%D0%B0%D0%B9+%26+%D0%BC%D1%8F%D1%82%D0%B0.jpg"),
    ],
)
def test_files_are_found_by_other_spellings_of_their_names(tmp_path: Path, on_disk: str, written: str) -> None:
    file = tmp_path / on_disk
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(b"x")
    assert find(tmp_path, written).samefile(file)


@pytest.mark.parametrize(
    ("on_disk", "written", "found"),
    [
        (["a.jpg", "A.JPG"], "a.jpg", "a.jpg"),
        (["A.jpg", "A.JPG"], "a.jpg", None),
        (["a b.jpg", "a+b.jpg"], "a+b.jpg", "a+b.jpg"),
        (["a b.jpg", "A+B.jpg"], "a+b.jpg", "a b.jpg"),
        (["B/a.jpg", "b/x.jpg"], "b/a.jpg", None),
        (["B/a.jpg", "b/A.jpg"], "b/a.jpg", "b/A.jpg"),
    ],
)
def test_letters_of_the_other_case_count_only_where_one_file_fits(
    tmp_path: Path, on_disk: list[str], written: str, found: str | None
) -> None:
    for name in on_disk:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert find(tmp_path, written) == tmp_path / (found or written)


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Folders of which the names were asked for."""
    folders: list[Path] = []
    iterdir = Path.iterdir

    def counted(folder: Path) -> Iterator[Path]:
        folders.append(folder)
        return iterdir(folder)

    monkeypatch.setattr(Path, "iterdir", counted)
    return folders


@pytest.mark.parametrize("time", [1, 2**32], ids=["long ago", "by a clock that is ahead"])
def test_a_list_may_go_through_many_folders_in_no_order(tmp_path: Path, listed: list[Path], time: int) -> None:
    folders = [tmp_path / str(number) for number in range(20)]
    for folder in folders:
        folder.mkdir()
        (folder / "B.JPG").write_bytes(b"x")
        os.utime(folder, (time, time))
    for name in ("a.jpg", "b.jpg"):
        for number in range(20):
            find(tmp_path, f"{number}/{name}")
    assert sorted(listed) == sorted(folders)


def test_no_more_names_are_remembered_than_may_be(tmp_path: Path, listed: list[Path]) -> None:
    remembered = _Remembered(most=5)
    for letter in "abc":
        (tmp_path / letter).mkdir()
        for number in range(2):
            (tmp_path / letter / f"{number}.jpg").write_bytes(b"x")
    for letter in "abacab":
        assert len(remembered.of(tmp_path / letter, (1,))) == 2
    assert [folder.name for folder in listed] == ["a", "b", "c", "b"], "what was asked for last stays"
    (tmp_path / "a" / "2.jpg").write_bytes(b"x")
    assert len(remembered.of(tmp_path / "a", (2,))) == 3


def test_a_folder_is_listed_once_for_many_names_and_again_when_it_has_changed(tmp_path: Path, listed: list[Path]) -> None:
    (tmp_path / "B.JPG").write_bytes(b"x")
    os.utime(tmp_path, (1, 1))
    assert [find(tmp_path, f"{name}.jpg").name for name in "abc"] == ["a.jpg", "B.JPG", "c.jpg"]
    assert listed == [tmp_path]
    (tmp_path / "C.JPG").write_bytes(b"x")
    assert find(tmp_path, "c.jpg").name == "C.JPG"


def test_folders_of_extra_photos_are_called_as_vendor_codes_however_letters_are_composed(tmp_path: Path) -> None:
    decomposed = unicodedata.normalize("NFD", "Чай-й")
    (tmp_path / decomposed).mkdir()
    (tmp_path / decomposed / "1.jpg").write_bytes(b"x")
    assert list(extra_photos(str(tmp_path), NO_STORE)) == [("Чай-й", f"{decomposed}/1.jpg")]
    assert vendor_code(decomposed, "", "") == vendor_code("", f"https://e.example/?utm_term={decomposed}", "") == "Чай-й"


def test_what_does_not_exist_keeps_the_name_that_was_written(tmp_path: Path) -> None:
    assert find(tmp_path, "no\\such.jpg") == tmp_path / "no\\such.jpg"
    assert find(tmp_path, "\0") == tmp_path / "\0"


def test_a_fragment_alone_names_no_folder(tmp_path: Path) -> None:
    for name in ("#1.jpg", "?v=1"):
        assert find(tmp_path, name) == tmp_path / name


def test_linked_folders_are_followed_once_and_the_rest_is_counted(tmp_path: Path) -> None:
    photos, nas = tmp_path / "photos", tmp_path / "nas" / "2023"
    for folder in (photos / "2024", photos / "@eaDir" / "a.jpg", photos / ".git", photos / "#snapshot" / "photos", nas):
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
    assert skipped == {"#snapshot/": 1, "@eaDir/": 1, ".git/": 1, "2022/": 1, "2023-again/": 1, "loop/": 1, "up/": 1}


def test_extra_photos_whose_names_are_not_utf8_are_counted(tmp_path: Path) -> None:
    (tmp_path / "A-1").mkdir()
    (tmp_path / "A-1" / "1.jpg").touch()
    for name in (b"A-1/\xff.jpg", b"\xee\xef/1.jpg"):
        path = tmp_path / os.fsdecode(name)
        path.parent.mkdir(exist_ok=True)
        path.touch()
    skipped: Counter[str] = Counter()
    assert list(extra_photos(str(tmp_path), NO_STORE, skipped)) == [("A-1", "A-1/1.jpg")]
    assert skipped == {"with names that are not UTF-8": 2}
    with pytest.raises(UserError, match="is not written in UTF-8"):
        check_folder(f"{tmp_path}/\udcff")
