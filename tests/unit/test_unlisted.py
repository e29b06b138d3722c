from __future__ import annotations

import pytest

from packsight.producer.evaluation.metrics import Answer
from packsight.producer.evaluation.unlisted import Unlisted, part
from packsight.shared.contract.outcomes import Status


def answer(image: str, product: str, nearest: str, version: str = "v1") -> Answer:
    return Answer(image, product, nearest, (), Status.MATCHED, ("1",), 0.9, version=version)


def test_labels_whose_ids_the_catalog_lacks_are_taken_apart_and_named_once() -> None:
    good = [answer("a", "1", "1"), answer("b", "", "2"), answer("c", "", "")]
    bad = [answer("d", "8", "8"), answer("e", "", "9"), answer("f", "1", "8")]
    measured, unlisted = part([bad[0], *good, *bad[1:]], {"v1": {"1", "2"}})
    assert measured == good
    assert unlisted == Unlisted(("8", "9"), tuple(bad))
    assert "catalog shoes does not hold: 8, 9. Photos with such labels: 3, of them matched: 3" in unlisted.hint("shoes")


def test_nothing_is_said_where_all_is_listed_and_many_ids_are_counted() -> None:
    assert part([answer("a", "1", "1")], {"v1": {"1"}})[1].hint("shoes") == ""
    many = part([answer(str(n), f"x{n}", "") for n in range(15)], {"v1": {"1"}})[1]
    assert "x9 and 5 more" in many.hint("shoes") and "x10" not in many.hint("shoes")


def test_a_label_is_looked_up_in_the_version_that_answered_its_photo() -> None:
    found = [answer("a", "1", "1"), answer("b", "2", "2"), answer("c", "2", "2", "v2"), answer("d", "2", "2", "")]
    measured, unlisted = part(found, {"v1": {"1"}, "v2": {"1", "2"}})
    assert [one.image for one in measured] == ["a", "c", "d"]
    assert unlisted.ids == ("2",)


@pytest.mark.parametrize(
    ("label", "listed"),
    [
        ("7", "007"), ("0071", "71"), ("42.0", "42"), ("42", "0042"), ("A-7.0", "A-7"),
        ("'7", "7"), ("=7", "7"), ("7E+0", "7"), ("1,2E+3", "1200"),
    ],
)  # fmt: skip
def test_an_id_that_a_spreadsheet_has_changed_is_told_with_the_one_that_the_catalog_holds(label: str, listed: str) -> None:
    unlisted = part([answer("a", label, label), answer("b", "8", "8")], {"v1": {listed, "x", "70"}})[1]
    assert f"does not hold: {label} (it holds {listed}), 8. Photos" in unlisted.hint("shoes")
    assert "keep the column as text" in unlisted.hint("shoes")


def test_ids_that_differ_otherwise_are_not_alike() -> None:
    unlisted = part([answer("a", "70", "70"), answer("b", "0", "0"), answer("c", "1.5", "1.5")], {"v1": {"7", "700", "1"}})[1]
    assert unlisted.alike == {}


def test_of_several_alike_the_first_is_named_whatever_their_order() -> None:
    listed = [f"{'0' * zeros}7" for zeros in range(1, 30)]
    for some in (listed, listed[::-1]):
        assert part([answer("a", "7", "7")], {"v1": dict.fromkeys(some)})[1].alike == {"7": listed[-1]}
