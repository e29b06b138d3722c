"""Tables of reviews as labels of an evaluation."""

from __future__ import annotations

from pathlib import Path

import pytest

from packsight.producer.reviews import files
from packsight.shared.contract.errors import UserError
from packsight.shared.storage.verdicts import Kind
from packsight.shared.tables import labels
from packsight.shared.tables.labels import Label, read_label_table

GIVEN = "image,verdict,product_id,first_id,offered,counts"
WAITING = "image,first_id,offered,verdict,product_id"


def table(folder: Path, *lines: str) -> Path:
    (folder / "reviews.csv").write_text("\n".join(lines) + "\n")
    return folder / "reviews.csv"


def test_only_verdicts_that_count_and_tell_are_labels(tmp_path: Path) -> None:
    read = read_label_table(
        table(
            tmp_path, GIVEN, "a.jpg,right,1,1,sample,yes", "b.jpg,bad_photo,,1,unsure,yes", "c.jpg,not_listed,,1,unsure,yes",
            "d.jpg,other,2,1,unsure,no", "d.jpg,other,3,1,unsure,yes", "e.jpg,right,1,1,unsure,disputed",
            "f.jpg,undone,,1,unsure,no",
        )
    )  # fmt: skip
    assert read.labels == [Label("a.jpg", "1", "1", ()), Label("c.jpg", "", "", ()), Label("d.jpg", "3", "3", ())]
    assert read.unsaid == (3, 5, 7, 8)


def test_what_waits_is_no_label_until_somebody_has_said_what_it_shows(tmp_path: Path) -> None:
    filled = "a.jpg,1,unsure,,", "b.jpg,1,unsure,Right,", "c.jpg,1,unsure,,2", "d.jpg,1,unsure,not listed,"
    read = read_label_table(table(tmp_path, WAITING, *filled))
    assert read.labels == [Label("b.jpg", "1", "1", ()), Label("c.jpg", "2", "2", ()), Label("d.jpg", "", "", ())]
    assert read.unsaid == (2,)


@pytest.mark.parametrize(
    ("row", "cause"),
    [
        ("a.jpg,1,unsure,dunno,", "line 2: the verdict `dunno` is not known"),
        ("a.jpg,1,unsure,other,", "line 2: the verdict is other, and no product_id says"),
        ("a.jpg,1,unsure,,", "No row of .* has a verdict that counts"),
    ],
)
def test_a_review_that_cannot_be_a_label_is_refused(tmp_path: Path, row: str, cause: str) -> None:
    with pytest.raises(UserError, match=cause):
        read_label_table(table(tmp_path, WAITING, row))


def test_a_column_verdict_of_somebody_elses_table_says_nothing(tmp_path: Path) -> None:
    assert read_label_table(table(tmp_path, "image,product_id,verdict", "a.jpg,,ok")).labels == [Label("a.jpg", "", "", ())]


def test_the_verdicts_and_columns_are_those_that_reviews_have() -> None:
    assert {labels.RIGHT, labels.OTHER, labels.ABSENT} | labels.TELL_NOTHING == set(Kind)
    assert all(set(columns) >= {*labels.REVIEW, "image", "product_id"} for columns in (files.GIVEN, files.ASKED))


def test_rows_that_are_no_labels_are_told(tmp_path: Path) -> None:
    rows = [f"{number}.jpg,bad_photo,,1,unsure,yes" for number in range(7)]
    read = read_label_table(table(tmp_path, GIVEN, "a.jpg,right,1,1,sample,yes", *rows))
    assert "7 of 8 rows left out (lines 3, 4, 5, 6, 7 …)" in read.hint
    assert read_label_table(table(tmp_path, GIVEN, "a.jpg,right,1,1,sample,yes")).hint == ""
