"""Whoever follows a product whose id has changed finds it by its name, or its picture, and no other one in its place."""

from __future__ import annotations

import pytest

from packsight.indexer.reviewed.moved import LOST, Offers, moved
from packsight.shared.storage.review_use import KnownProduct
from packsight.shared.storage.verdicts import is_spelt_otherwise, may_be_one

MUMMY, MISSION, TITANIC = ("The Mummy Returns", "m.jpg"), ("Mission Impossible", "i.jpg"), ("Titanic", "t.jpg")
BEFORE = {"1": MUMMY, "2": MISSION, "3": TITANIC}


def offers(products: dict[str, tuple[str, str]]) -> Offers:
    return Offers.of(KnownProduct(id=one, name=name, picture=picture) for one, (name, picture) in products.items())


def found(before: dict[str, tuple[str, str]], after: dict[str, tuple[str, str]]) -> dict[str, str]:
    """What has another id, or is lost, of all products that there were before."""
    was, now = offers(before), offers(after)
    where = {one.id: moved(one, was, now).id for one in was.by_id.values()}
    return {one: other for one, other in where.items() if one != other}


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        pytest.param(BEFORE, {}, id="nothing"),
        pytest.param({"1": MISSION, "2": MUMMY, "3": TITANIC}, {"1": "2", "2": "1"}, id="two ids are swapped"),
        pytest.param({"2": MUMMY, "3": MISSION, "4": TITANIC}, {"1": "2", "2": "3", "3": "4"}, id="all are numbered anew"),
        pytest.param(
            {"1": (MISSION[0], "m.jpg"), "2": (MUMMY[0], "i.jpg"), "3": TITANIC}, {"1": "2", "2": "1"}, id="pictures go by ids"
        ),
        pytest.param(
            {"1": ("Blade", "m.jpg"), "2": (MUMMY[0], "i.jpg"), "3": (MISSION[0], "t.jpg"), "4": (TITANIC[0], "4.jpg")},
            {"1": "2", "2": "3", "3": "4"}, id="pictures go by ids, and one comes first",
        ),
        pytest.param({"1": (MISSION[0], "m.jpg"), "3": TITANIC}, {"1": LOST, "2": "1"}, id="pictures go by ids, and one goes"),
        pytest.param({**BEFORE, "1": ("Blade", "b.jpg")}, {"1": LOST}, id="another product under the id"),
        pytest.param({**BEFORE, "1": ("Blade", "m.jpg")}, {"1": LOST}, id="another product at the old picture"),
        pytest.param({**BEFORE, "1": (TITANIC[0], "m.jpg")}, {"1": LOST}, id="another one's name"),
        pytest.param({**BEFORE, "1": ("Mummy Returns, the", "b.jpg")}, {}, id="the same in other words"),
        pytest.param({**BEFORE, "1": ("The Mummy Returns (VHS)", "m.jpg")}, {}, id="nearly the same beside its picture"),
        pytest.param({**BEFORE, "1": ("The Mummy Returns (VHS)", "b.jpg")}, {"1": LOST}, id="nearly the same"),
        pytest.param(
            {**BEFORE, "1": ("The Mummy, old pack", "m.jpg"), "9": (MUMMY[0], "new.jpg")}, {"1": LOST}, id="the old pack goes on"
        ),
        pytest.param({"2": MISSION, "3": TITANIC}, {"1": LOST}, id="gone"),
        pytest.param({"8": MUMMY, "9": MUMMY, "2": MISSION, "3": TITANIC}, {"1": LOST}, id="two heirs are none"),
    ],
)
def test_a_product_is_followed_to_its_id_or_lost(after: dict[str, tuple[str, str]], expected: dict[str, str]) -> None:
    assert found(BEFORE, after) == expected


def test_what_several_had_before_says_not_which_of_them_has_moved() -> None:
    before = {**BEFORE, "4": ("Titanic", "other.jpg")}
    assert found(before, {"1": MUMMY, "2": MISSION, "4": before["4"]}) == {"3": LOST}
    assert found(before, {"1": MUMMY, "2": MISSION, "8": ("Titanic", "t.jpg")}) == {"3": LOST, "4": LOST}
    swapped = {**before, "3": before["4"], "4": before["3"]}
    assert found(before, swapped) == {"3": LOST, "4": LOST}


def test_what_was_lost_is_found_under_its_name_if_it_alone_had_that() -> None:
    nothing, now = Offers(), offers({"3": ("Quartz", "q.jpg"), "30": TITANIC})
    lost = moved(KnownProduct(id="3", name="Titanic", picture="t.jpg"), offers(BEFORE), offers({"3": ("Quartz", "q.jpg")}))
    assert (lost.id, lost.alone, moved(lost, nothing, now).id) == (LOST, True, "30")
    assert moved(lost.model_copy(update={"alone": False}), nothing, now).id == LOST
    assert moved(lost, nothing, offers({"3": TITANIC})).id == "3", "where it was"


def test_without_knowing_what_was_before_only_the_same_name_counts() -> None:
    one, nothing = KnownProduct(id="3", name="Titanic", picture="t.jpg"), Offers()
    assert moved(one, nothing, offers({"3": ("Titanic", "t.jpg")})).id == "3"
    for name in ("Titanic.", "Quartz"):
        assert moved(one, nothing, offers({"3": (name, "t.jpg"), "8": TITANIC})).id == LOST


def test_of_products_without_a_name_the_picture_tells() -> None:
    before = {"1": ("", "a.jpg"), "2": ("", "b.jpg")}
    assert found(before, before) == {}
    assert found(before, {"1": ("Quartz", "q.jpg"), "2": ("", "c.jpg")}) == {"1": LOST, "2": LOST}


@pytest.mark.parametrize(
    ("name", "other", "same", "near"),
    [
        ("Крем для рук Velvet 50 мл", "velvet КРЕМ для рук, 50мл", True, True),
        ("Крем для рук Velvet 50 мл", "Крем для рук Velvet 75 мл", False, False),
        ("Nivea night cream 50 ml", "Nivea day cream 50 ml", False, True),
        ("Футболка Nike мужская красная", "Футболка Nike мужская синяя", False, True),
        ("iPhone 15 Pro case", "iPhone 15 Max case", False, True),
        ("Kettle Bosch TWK3A011 white", "Kettle Bosch TWK7901 black", False, False),
        ("Widget X", "Widget Y", False, True),
        ("Titanic", "Quartz", False, False),
        ("", "", False, False),
        ("", "Fridge", False, False),
    ],
)
def test_names_are_spelt_otherwise_or_nearly_alike(name: str, other: str, same: bool, near: bool) -> None:
    assert is_spelt_otherwise(name, other) is is_spelt_otherwise(other, name) is same
    assert may_be_one(name, other) is may_be_one(other, name) is near
