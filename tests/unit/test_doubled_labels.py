"""Labels that name one photo more than once."""

from __future__ import annotations

from pathlib import Path

import pytest

from packsight.producer.evaluation.doubled import hint, once
from packsight.shared.contract.errors import UserError
from packsight.shared.tables.labels import Label, read_labels


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    (tmp_path / "a.jpg").write_bytes(b"x")
    (tmp_path / "b.jpg").write_bytes(b"x")
    (tmp_path / "link.jpg").symlink_to(tmp_path / "a.jpg")
    return tmp_path


def label(image: str, product: str, line: int, *kinds: str, nearest: str = "") -> Label:
    return Label(image, product, nearest or product, kinds, line)


@pytest.mark.parametrize("spelt", ["a.jpg", "./a.jpg", "A.JPG", ".\\a.jpg", "link.jpg"])
def test_a_photo_counts_once_however_it_is_spelt(photos: Path, spelt: str) -> None:
    known, again = once([label("a.jpg", "1", 2, "table"), label("b.jpg", "1", 3), label(spelt, "1", 4, "dark", "table")], photos)
    assert known == [label("a.jpg", "1", 2, "table", "dark"), label("b.jpg", "1", 3)]
    assert hint(again) == f"Photos that the labels name more than once count once: {spelt} in line 4 is a.jpg of line 2."


def test_what_one_label_says_of_the_nearest_product_and_another_does_not_is_no_contradiction(photos: Path) -> None:
    with_it, without = label("a.jpg", "", 2, nearest="7"), label("a.jpg", "", 3)
    assert once([with_it, without], photos)[0] == [with_it]
    assert once([without, with_it], photos)[0] == [label("a.jpg", "", 3, nearest="7")]


@pytest.mark.parametrize(("lacking", "told"), [(1, r"c0.jpg does not exist\. "), (3, r"exist, nor do 2 more of 4\. ")])
def test_it_is_told_how_many_photos_do_not_exist(photos: Path, lacking: int, told: str) -> None:
    with pytest.raises(UserError, match=told):
        once([label("a.jpg", "1", 2), *(label(f"c{number}.jpg", "1", number + 3) for number in range(lacking))], photos)


def test_an_address_is_a_photo(photos: Path) -> None:
    addresses = [label("https://shop.example/a.jpg", "1", 2), label("https://shop.example/b.jpg", "1", 3)]
    assert once([*addresses, addresses[0]], photos)[0] == addresses
    assert hint(once(addresses, photos)[1]) == ""


@pytest.mark.parametrize(
    ("other", "told"),
    [
        (label("./a.jpg", "2", 4), "./a.jpg in line 4 is a.jpg of line 2: 2 there, 1 here"),
        (label("a.jpg", "", 5), "line 5 is a.jpg of line 2: no listed product there, 1 here"),
        (label("a.jpg", "1", 5, nearest="7"), "line 5 is a.jpg of line 2: 1, nearest 7 there, 1 here"),
    ],
)
def test_labels_that_contradict_each_other_are_refused_by_their_lines(photos: Path, other: Label, told: str) -> None:
    with pytest.raises(UserError) as error:
        once([label("a.jpg", "1", 2), other], photos)
    assert told in str(error.value) and "Correct them: a photo shows one product" in str(error.value)


def test_many_are_counted(photos: Path) -> None:
    again = once([label("a.jpg", "1", line) for line in range(2, 9)], photos)[1]
    assert hint(again).endswith("a.jpg in line 5 is a.jpg of line 2 and 3 more.")


def test_labels_know_their_line(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("image,product_id\na.jpg,1\n\nb.jpg,2\n")
    assert [one.line for one in read_labels(tmp_path / "labels.csv")] == [2, 4]
