"""Whoever follows a product whose id has changed finds it by its name, or its picture, and no other one in its place."""

from __future__ import annotations

import pytest

from packsight.indexer.reviewed.moved import GONE, Offers, moved
from packsight.shared.storage.review_use import KnownProduct
from packsight.shared.storage.verdicts import may_be_one

MUMMY, MISSION, TITANIC = ("The Mummy Returns", "m.jpg"), ("Mission Impossible", "i.jpg"), ("Titanic", "t.jpg")
BEFORE = {"1": MUMMY, "2": MISSION, "3": TITANIC}


def found(before: dict[str, tuple[str, str]], after: dict[str, tuple[str, str]], *, new: bool = False) -> dict[str, str]:
    """What has another id of all products that there were before."""
    former, now = ([KnownProduct(id=one, name=row[0], picture=row[1]) for one, row in rows.items()] for rows in (before, after))
    where = {one.id: moved(one, Offers.of(former), Offers.of(now), new=new) for one in former}
    return {one: other for one, other in where.items() if one != other}


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        pytest.param(BEFORE, {}, id="nothing"),
        pytest.param({"1": MISSION, "2": MUMMY, "3": TITANIC}, {"1": "2", "2": "1"}, id="two ids are swapped"),
        pytest.param({"2": MUMMY, "3": MISSION, "4": TITANIC}, {"1": "2", "2": "3", "3": "4"}, id="all are numbered anew"),
        pytest.param({"1": (MISSION[0], "m.jpg"), "2": (MUMMY[0], "i.jpg")}, {"1": "2", "2": "1"}, id="pictures go by ids"),
        pytest.param({"9": ("Titanic (1997)", "t.jpg"), "1": MUMMY, "2": MISSION}, {}, id="its picture alone is not enough"),
        pytest.param({"1": ("Blade", "b.jpg"), "2": MISSION}, {"1": GONE}, id="another product under the id"),
        pytest.param({"1": MISSION, "3": TITANIC}, {"1": GONE, "2": "1"}, id="another known product under the id"),
        pytest.param({"1": ("The Mummy returns!", "b.jpg"), "2": MISSION}, {}, id="another pack of the product"),
        pytest.param({"9": ("Solaris", "t.jpg"), "1": MUMMY, "2": MISSION}, {}, id="another product with its picture"),
        pytest.param(
            {"1": ("Blade", "m.jpg"), "2": (MUMMY[0], "i.jpg"), "3": (MISSION[0], "t.jpg"), "4": (TITANIC[0], "4.jpg")},
            {"1": "2", "2": "3", "3": "4"}, id="pictures go by ids, and one comes first",
        ),
        pytest.param({"1": ("Мумия", "m.jpg")}, {}, id="another name with the same picture"),
        pytest.param({"1": ("Мумия", "b.jpg")}, {"1": GONE}, id="another name with another picture"),
        pytest.param({"1": ("Mummy, old pack", "m.jpg"), "9": (MUMMY[0], "new.jpg")}, {}, id="the old pack keeps its picture"),
        pytest.param({"2": MISSION}, {}, id="gone"),
        pytest.param({"8": MUMMY, "9": MUMMY, "2": MISSION}, {}, id="two heirs are none"),
    ],
)
def test_a_product_is_followed_to_its_id(after: dict[str, tuple[str, str]], expected: dict[str, str]) -> None:
    assert found(BEFORE, after) == expected


def test_what_several_had_before_says_not_which_of_them_has_moved() -> None:
    before = {**BEFORE, "4": ("Titanic", "other.jpg")}
    assert found(before, {"1": MUMMY, "2": MISSION, "4": before["4"]}) == {}
    assert found(before, {"1": MUMMY, "2": MISSION, "8": ("Titanic", "a.jpg")}) == {}


def test_what_was_said_of_an_answer_is_found_where_it_has_come_to_be_since() -> None:
    said, served = KnownProduct(id="3", name="Titanic"), {"3": ("Quartz", "q.jpg"), "30": TITANIC}
    offers = Offers.of(KnownProduct(id=one, name=row[0], picture=row[1]) for one, row in served.items())
    assert (moved(said, offers, offers, new=True), moved(said, offers, offers, new=False)) == ("30", GONE)


@pytest.mark.parametrize(
    ("name", "other", "is_one"),
    [
        ("Крем для рук Velvet 50 мл", "Velvet крем д/рук 50мл", True), ("Titanic", "TITANIC (VHS)", False), ("", "", False),
        ("Kettle Bosch TWK3A011 white", "Kettle Bosch TWK7901 black", False),
        ("Cream 50 ml", "Soap 50 ml", False),
        ("", "Fridge", False),
        ("Шампунь детский 250 мл", "Бальзам детский 250 мл", False), ("Night cream of roses", "Night cream with roses", True),
    ],
)  # fmt: skip
def test_names_that_may_be_one_products(name: str, other: str, is_one: bool) -> None:
    assert may_be_one(name, other) is may_be_one(other, name) is is_one
