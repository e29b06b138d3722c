"""Whoever follows a product whose id has changed finds it by its name, or its picture, and no other one in its place."""

from __future__ import annotations

import pyarrow as pa
import pytest

from packsight.indexer.reviewed.moved import GONE, moved, renamed
from packsight.shared.catalog.manifest import ProductRow
from packsight.shared.catalog.tables import product_table

MUMMY, MISSION, TITANIC = ("The Mummy Returns", "m.jpg"), ("Mission Impossible", "i.jpg"), ("Titanic", "t.jpg")
BEFORE = {"1": MUMMY, "2": MISSION, "3": TITANIC}


def table(products: dict[str, tuple[str, str]]) -> pa.Table:
    return product_table(ProductRow(id=one, name=name, picture=picture) for one, (name, picture) in products.items())


@pytest.mark.parametrize(
    ("after", "found"),
    [
        pytest.param(BEFORE, {}, id="nothing"),
        pytest.param({"1": MISSION, "2": MUMMY, "3": TITANIC}, {"1": "2", "2": "1"}, id="two ids are swapped"),
        pytest.param({"2": MUMMY, "3": MISSION, "4": TITANIC}, {"1": "2", "2": "3", "3": "4"}, id="all are numbered anew"),
        pytest.param({"1": (MISSION[0], "m.jpg"), "2": (MUMMY[0], "i.jpg")}, {"1": "2", "2": "1"}, id="pictures go by ids"),
        pytest.param({"9": ("Titanic (1997)", "t.jpg"), "1": MUMMY, "2": MISSION}, {"3": "9"}, id="by its picture"),
        pytest.param({"1": ("Blade", "b.jpg"), "2": MISSION}, {"1": GONE}, id="another product under the id"),
        pytest.param({"1": MISSION, "3": TITANIC}, {"1": GONE, "2": "1"}, id="another known product under the id"),
        pytest.param({"1": ("Mummy", "b.jpg"), "2": MISSION}, {}, id="another pack of the product"),
        pytest.param({"9": ("Solaris", "t.jpg"), "1": MUMMY, "2": MISSION}, {}, id="another product with its picture"),
        pytest.param(
            {"1": ("Blade", "m.jpg"), "2": (MUMMY[0], "i.jpg"), "3": (MISSION[0], "t.jpg"), "4": (TITANIC[0], "4.jpg")},
            {"1": "2", "2": "3", "3": "4"}, id="pictures go by ids, and one comes first",
        ),
        pytest.param({"1": ("Мумия", "m.jpg")}, {}, id="another name with the same picture"),
        pytest.param({"1": ("Mummy, old pack", "m.jpg"), "9": (MUMMY[0], "new.jpg")}, {}, id="the old pack keeps its picture"),
        pytest.param({"2": MISSION}, {}, id="gone"),
        pytest.param({"8": MUMMY, "9": MUMMY, "2": MISSION}, {}, id="two heirs are none"),
    ],
)
def test_a_product_is_followed_to_its_id(after: dict[str, tuple[str, str]], found: dict[str, str]) -> None:
    assert moved(list(BEFORE), table(BEFORE), table(after)) == found


def test_what_several_had_before_says_not_which_of_them_has_moved() -> None:
    before = {**BEFORE, "4": ("Titanic", "other.jpg"), "5": ("Solaris", "none.jpg"), "6": ("Stalker", "none.jpg")}
    after = {name: row for name, row in before.items() if name not in {"3", "5", "6"}}
    assert moved(["3", "5", "6"], table(before), table({**after, "8": ("Titanic", "a.jpg"), "9": ("Mirror", "none.jpg")})) == {}


def test_what_has_its_name_still_is_not_looked_for() -> None:
    now = [ProductRow(id="1", name=MUMMY[0], price="3"), ProductRow(id="2", name="Mission: Impossible")]
    assert renamed(["1", "2", "3"], table(BEFORE), now) == ["2", "3"]
