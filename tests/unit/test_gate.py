"""The gate's rules on drawn versions: what differs is named product by product, and each limit stops what is beyond it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from packsight.indexer.gate.changes import changes
from packsight.indexer.gate.churn import changed_answers, churn
from packsight.indexer.gate.parameters import GATE
from packsight.indexer.gate.questions import ask_made, ask_own, ask_queries
from packsight.indexer.gate.recognition import Pairs, pairs
from packsight.indexer.gate.remarks import contradicted, no_photo, one_photo, shared_pictures, twins, unread
from packsight.indexer.gate.rules import Findings, refusals
from packsight.indexer.gate.tables import Levels, Tables
from packsight.shared.catalog.manifest import PhotoRow, ProductRow
from packsight.shared.catalog.tables import photo_table, product_table
from packsight.shared.catalog.told import OWN, QUERY, Answer, Asked, Photo
from packsight.shared.settings import Catalog
from packsight.shared.vision.features import Features
from tests.unit import matching_catalog
from tests.unit.matching_catalog import NAMES, Shop, build

LIMITS = Catalog()


def product(identity: str, name: str | None = None, **fields: Any) -> ProductRow:
    return ProductRow(id=identity, name=f"Cream {identity}" if name is None else name, **fields)


def tables(products: Sequence[ProductRow], photos: Mapping[str, Sequence[str]]) -> Tables:
    rows = [PhotoRow(product_id=one, sha256=sha, source=f"{sha}.jpg") for one, shas in photos.items() for sha in shas]
    return Tables(product_table(products), photo_table(rows))


def numbered(count: int, *, start: int = 0) -> Tables:
    """Products with two photos of their own."""
    ids = [str(number) for number in range(start, start + count)]
    return tables([product(one) for one in ids], {one: [f"{one}-a", f"{one}-b"] for one in ids})


def rows(table: pa.Table) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = table.to_pylist()
    return found


def gates(before: Tables | None, after: Tables, **found: Any) -> list[str]:
    """Which gates refuse a version that follows another."""
    changed = changes(before, after) if before is not None else None
    told = refusals(
        Findings(own=after.levels, changes=changed, shared=shared_pictures(after), **found), LIMITS, GATE
    )
    assert all(len(reason.text.split(". ")) > 1 for reason in told), "a cause and a remedy"
    return [reason.gate for reason in told]


def test_every_difference_is_named() -> None:
    before = tables(
        [product("1", price="5", barcodes=("4", "5")), product("2"), product("3", "Soap"), product("4"), product("5", url="/5")],
        {"1": ["a", "b"], "2": ["c"], "3": ["d"], "4": ["e"], "5": ["f"]},
    )
    after = tables(
        [
            product("1", price="6", barcodes=("4",)), product("2", "Lotion"), product("3b", "Soap"), product("5", url="/five"),
            product("9"),
        ],
        {"1": ["a", "g", "h"], "2": ["i"], "3b": ["d"], "9": ["j"]},
    )  # fmt: skip
    found = changes(before, after)
    assert (found.before, found.stayed, found.lost) == (5, 3, 3)
    assert [row["id"] for row in rows(found.added)] == ["3b", "9"]
    assert [row["id"] for row in rows(found.gone)] == ["3", "4"]
    assert rows(found.renamed) == [{"id": "2", "name": "Lotion", "name_before": "Cream 2"}]
    assert {row["id"]: row["fields"] for row in rows(found.changed)} == {"1": "price, barcodes", "2": "name", "5": "url"}
    assert rows(found.reidentified) == [{"id": "3", "name": "Soap", "now": "3b"}]
    assert {row["id"]: (row["came"], row["went"]) for row in rows(found.photos)} == {"1": (2, 1), "2": (1, 1), "5": (0, 1)}
    assert [row["id"] for row in rows(found.repictured)] == ["2"]
    assert [row["id"] for row in rows(found.photoless)] == ["5"]


def test_what_is_the_same_differs_in_nothing_whatever_its_order() -> None:
    before = numbered(3)
    after = Tables(before.products.take(pa.array([2, 0, 1])), before.photos.take(pa.array([5, 0, 4, 1, 2, 3])))
    assert {name: len(table) for name, table in changes(before, after).lists.items() if len(table)} == {}


def test_nothing_is_told_of_empty_versions() -> None:
    nothing = tables([], {})
    assert changes(nothing, numbered(2)).lost == 0
    assert changes(numbered(2), nothing).lost == 2
    assert gates(None, numbered(2)) == []


def test_a_product_that_is_found_again_by_its_picture_alone_came_back() -> None:
    before = tables([product("1", "Soap", picture="p.jpg"), product("2", "", picture="")], {})
    after = tables([product("x", "Soap, 50 g", picture="p.jpg"), product("y", "", picture="")], {})
    assert rows(changes(before, after).reidentified) == [{"id": "1", "name": "Soap", "now": "x"}]


def test_five_syncs_that_each_lose_less_than_allowed_are_stopped_by_the_best_of_the_last_versions() -> None:
    levels = {"v1": numbered(162).levels, "v0": numbered(200).levels}
    assert gates(numbered(200), numbered(162), levels={"v0": levels["v0"]}) == []
    assert gates(numbered(162), numbered(131), levels={"v1": levels["v1"]}) == []
    assert gates(numbered(162), numbered(131), levels=levels) == [
        "fewer products", "fewer photos", "fewer names", "fewer pictures"
    ]  # fmt: skip


def test_what_is_not_known_of_an_older_version_is_not_missed() -> None:
    assert gates(None, numbered(5), levels={"v": Levels(products=5)}) == []
    told = Levels(products=5, photos=13, pictures=13)  # of an older release, which did not say how many were confirmed
    kept = Levels(products=5, photos=8, pictures=8, shop_photos=5, shop_pictures=5)
    lost = refusals(Findings(own=kept, levels={"v": told}), LIMITS, GATE)
    assert [reason.gate for reason in lost] == ["fewer photos", "fewer pictures"]
    grown = kept.model_copy(update={"photos": 13, "pictures": 13})
    half = grown.model_copy(update={"shop_photos": 2, "shop_pictures": 2})
    lost = refusals(Findings(own=half, levels={"older": told, "v": kept}), LIMITS, GATE)
    assert [reason.gate for reason in lost] == ["fewer photos", "fewer pictures"], "by what is known of the newer one"
    for own, before in ((grown, told), (kept, grown)):
        assert refusals(Findings(own=own, levels={"v": before}), LIMITS, GATE) == []
    assert gates(None, numbered(5), levels={"v": Levels(products=5, names=9)}) == ["fewer names"]


def test_losing_more_products_than_allowed_is_refused_and_so_is_losing_their_photos() -> None:
    before = numbered(10)
    assert gates(before, numbered(8)) == []
    assert gates(before, numbered(7)) == ["lost"]
    bare = Tables(before.products, before.photos.slice(0, 14))
    assert gates(before, bare) == ["lost"]
    reason = refusals(Findings(own=bare.levels, changes=changes(before, bare)), LIMITS, GATE)[0]
    assert "no photo is left of 3" in reason.text


def renamed(count: int, of: int) -> Tables:
    made = numbered(of)
    products = [product(str(number), f"Other {number}" if number < count else None) for number in range(of)]
    return Tables(product_table(products), made.photos)


@pytest.mark.parametrize(("count", "of", "refused"), [(6, 10, True), (30, 100, False), (31, 100, True), (5, 8, False)])
def test_many_other_names_are_refused_and_a_few_are_not(count: int, of: int, refused: bool) -> None:
    assert gates(numbered(of), renamed(count, of)) == (["renamed"] if refused else [])


def test_all_names_replaced_by_one_word_are_refused_for_both_reasons_at_once() -> None:
    before = numbered(50)
    after = Tables(product_table([product(str(number), "Product") for number in range(50)]), before.photos)
    assert gates(before, after, levels={"v": before.levels}) == ["fewer names", "renamed"]


@pytest.mark.parametrize(("count", "refused"), [(50, False), (51, True)])
def test_products_pictured_anew_are_refused_when_most_are(count: int, refused: bool) -> None:
    before = numbered(100)
    photos = {str(n): [f"new-{n}" if n < count else f"{n}-a"] for n in range(100)}
    after = tables([product(str(n)) for n in range(100)], photos)
    assert gates(before, after) == (["pictured anew"] if refused else [])


@pytest.mark.parametrize(("count", "refused"), [(10, False), (11, True)])
def test_products_under_other_ids_are_refused_when_they_are_many(count: int, refused: bool) -> None:
    products = [product(f"new-{n}" if n < count else str(n), f"Cream {n}") for n in range(100)]
    after = tables(products, {one.id: [f"{one.id}-a", f"{one.id}-b"] for one in products})
    assert gates(numbered(100), after) == (["other ids"] if refused else [])


def placeholder(count: int, of: int) -> Tables:
    ids = [str(number) for number in range(of)]
    return tables([product(one) for one in ids], {one: [f"{one}-a", *(["none"] if int(one) < count else [])] for one in ids})


@pytest.mark.parametrize(
    ("count", "of", "share_before", "refused"),
    [
        (20, 100, 0.0, True), (19, 100, 0.0, False), (20, 400, 0.0, False), (21, 400, 0.0, True), (40, 400, 0.06, False),
        (5, 10, 0.0, False),
    ],
)  # fmt: skip
def test_one_picture_for_many_products_is_refused_unless_it_was_so_before(
    count: int, of: int, share_before: float, refused: bool
) -> None:
    after = placeholder(count, of)
    assert gates(after, after, shared_before={"none": share_before}) == (["one picture for many"] if refused else [])


@pytest.mark.parametrize(
    ("count", "of", "refused"), [(20, 99, True), (20, 100, False), (21, 100, True), (19, 20, False), (90, 400, True)]
)
def test_a_first_version_in_which_one_picture_stands_for_very_many_is_refused(count: int, of: int, refused: bool) -> None:
    after = placeholder(count, of)
    (found,) = rows(shared_pictures(after))
    assert (found["products"], found["source"]) == (count, "none.jpg")
    assert gates(None, after) == (["one picture for many"] if refused else [])


def own(sha: str, answer: str, truth: str = "1") -> Asked:
    return Asked(Photo(kind=OWN, sha256=sha, name=f"{sha}.jpg", product=truth), Answer(first=answer, confidence=0.9))


def recognised(lost: int, gained: int, same: int) -> tuple[list[Asked], list[Asked]]:
    """Answers of two versions to photos that both were asked about, and of each to one that the other was not."""
    before = [own(f"l{n}", "1") for n in range(lost)] + [own(f"g{n}", "2") for n in range(gained)]
    after = [own(f"l{n}", "2") for n in range(lost)] + [own(f"g{n}", "1") for n in range(gained)]
    alike = [own(f"s{n}", "1") for n in range(same)]
    return [*before, *alike, own("old", "1")], [*after, *alike, own("new", "2")]


@pytest.mark.parametrize(
    ("lost", "gained", "same", "refused"),
    [
        (1, 0, 49, False), (6, 0, 44, False), (7, 0, 43, True), (12, 12, 26, False), (20, 5, 25, True), (20, 5, 975, False),
        (0, 0, 0, False),
    ],
)  # fmt: skip
def test_one_wrong_photo_of_fifty_is_chance_and_a_real_loss_is_seen(lost: int, gained: int, same: int, refused: bool) -> None:
    before, after = recognised(lost, gained, same)
    found = pairs(before, after, OWN)
    assert (found.asked, len(found.lost), found.gained) == (lost + gained + same, lost, gained)
    assert gates(None, numbered(5), recognition={"v": [found]}) == (["forgotten"] if refused else [])


def test_the_sign_test_is_exact() -> None:
    assert Pairs(OWN, 10, (), 0).probability == 1.0
    assert Pairs(OWN, 10, tuple(recognised(5, 0, 0)[1][:5]), 0).probability == pytest.approx(1 / 32)
    assert Pairs(OWN, 10, tuple(recognised(2, 0, 0)[1][:2]), 1).probability == pytest.approx(4 / 8)


def query(sha: str, answer: str, *, matched: bool = True) -> Asked:
    said = Answer(first=answer, picture=f"{answer}.jpg", confidence=0.97, matched=matched)
    return Asked(Photo(kind=QUERY, sha256=sha, name=f"{sha}.jpg"), said)


def test_answers_that_change_are_named_with_both_pictures_and_the_limit_counts_those_of_products_in_both() -> None:
    before = [query(str(n), "p") for n in range(20)] + [query("none", "p", matched=False), query("unknown", "p")]
    after = [query(str(n), "q" if n < 3 else "p") for n in range(20)] + [query("none", "new"), query("fresh", "q")]
    found = churn(before, after, {"new"}, {})
    assert (found.asked, len(found.changes), found.unexplained) == (21, 4, 3)
    table = rows(changed_answers(found))
    assert [(row["query"], row["from"], row["to"], row["explained"]) for row in table[2:]] == [
        ("2.jpg", "p", "q", ""), ("none.jpg", "", "new", "came or went"),
    ]  # fmt: skip
    assert (table[0]["from_picture"], table[0]["to_picture"], table[0]["to_confidence"]) == ("p.jpg", "q.jpg", 0.97)
    assert gates(None, numbered(5), churn=found) == ["other answers"]
    fewer = churn(before[1:], after[1:], {"new"}, {})
    assert gates(None, numbered(5), churn=fewer) == []


def test_answers_that_become_what_people_said_hold_no_version_up_and_others_do() -> None:
    before = [query(str(n), "p", matched=False) for n in range(6)] + [query("gone", "p")]
    after = [query(str(n), "p") for n in range(6)] + [query("gone", "q", matched=False)]
    shas = [one.photo.sha256 for one in after]
    assert gates(None, numbered(5), churn=churn(before, after, set(), {})) == ["other answers"]
    as_said = churn(before, after, set(), {**dict.fromkeys(shas, "p"), shas[-1]: ""})
    assert (len(as_said.changes), as_said.unexplained) == (7, 0)
    assert {row["explained"] for row in rows(changed_answers(as_said))} == {"as reviewed"}
    assert gates(None, numbered(5), churn=as_said) == []
    assert "0 of them since a product came or went, 7 as people said" in as_said.told("1")[0]
    others = churn(before, after, set(), dict.fromkeys(shas, "q"))
    assert others.unexplained == 7 and gates(None, numbered(5), churn=others) == ["other answers"]


@pytest.mark.parametrize("matched", [False, True])
def test_answers_that_are_withheld_now_point_to_verdicts(matched: bool) -> None:
    found = churn([query(str(n), "p") for n in range(6)], [query(str(n), "q", matched=matched) for n in range(6)], set(), {})
    (refusal,) = refusals(Findings(own=numbered(5).levels, churn=found), Catalog(), GATE)
    assert ("verdicts of people may have raised the thresholds" in refusal.text) is not matched


def test_what_a_shop_may_want_to_see_to_is_named() -> None:
    made = tables(
        [product("1", "Soap"), product("2", "Soap"), product("3"), product("4"), product("5", "")],
        {"1": ["a"], "2": ["b", "none"], "3": ["none", "c"]},
    )
    assert [row["id"] for row in rows(one_photo(made))] == ["1"]
    assert [row["id"] for row in rows(no_photo(made))] == ["4", "5"]
    assert rows(shared_pictures(made)) == [{"sha256": "none", "source": "none.jpg", "products": 2, "first": "2, 3"}]
    asked = [own("c", "1", "3"), own("a", "1", "1")]
    assert [(row["id"], row["like"], row["other"], row["why"]) for row in rows(twins(made, asked, GATE))] == [
        ("2", "1", "Soap", "same name"),
        ("3", "1", "Soap", "its photo is taken for the other's"),
    ]


def known(photos: Mapping[str, Sequence[Features]]) -> dict[str, Features]:
    return {one.sha256: one for group in photos.values() for one in group}


def test_a_version_is_asked_about_its_photos_of_lowest_hash_each_left_out(tmp_path: Path, tiny_shop: Shop) -> None:
    snapshot, photos = tiny_shop
    features = known(photos)
    asked = list(ask_own(snapshot, features, 8))
    assert {one.photo.sha256 for one in asked} == set(sorted(features)[:8])
    assert all(one.right and one.photo.kind == OWN for one in asked)
    without = {owner: group for owner, group in photos.items() if owner != asked[0].photo.product}
    products = [row for row in snapshot.products if row.id in without]
    again = list(ask_own(build(tmp_path / "v2", products, without), known(without), 8))
    assert len({one.photo.sha256 for one in asked} & {one.photo.sha256 for one in again}) >= 5
    assert list(ask_own(snapshot, {}, 8)) == []
    assert list(ask_own(snapshot, features, 0)) == []


def test_made_photos_and_queries_are_asked_as_they_are(tmp_path: Path, tiny_shop: Shop) -> None:
    _, photos = tiny_shop
    single = {owner: group[:1] for owner, group in photos.items()}
    snapshot = build(tmp_path / "v2", [matching_catalog.product(n, *names) for n, names in enumerate(NAMES)], single)
    made = {single["p3"][0].sha256: photos["p3"][1]}
    assert [(one.photo.sha256, one.photo.product, one.right) for one in ask_made(snapshot, made)] == [
        (photos["p3"][1].sha256, "p3", True)
    ]
    assert list(ask_own(snapshot, known(photos), 8)) == []
    asked = list(ask_queries(snapshot, {photos["p4"][2].sha256: "4.jpg", "unseen": "5.jpg"}, known(photos)))
    assert [(one.photo.name, one.answer.first) for one in asked] == [("4.jpg", "p4")]
    assert asked[0].answer.picture == f"p4/{single['p4'][0].sha256[:6]}"


def test_products_without_a_word_in_the_alphabet_of_their_name_are_named(tmp_path: Path, tiny_shop: Shop) -> None:
    snapshot, _ = tiny_shop
    assert unread(Tables.open(snapshot.folder), snapshot).num_rows == 0
    products = [ProductRow(id=f"p{n}", name=f"Крем ночной номер {n}") for n in range(3)] + [
        ProductRow(id="bare", name="Маска"), ProductRow(id="latin", name="NIVEA Body"), ProductRow(id="mute", name="NIVEA Soft"),
    ]  # fmt: skip
    words = {"p0": ["NIVEA", "50 мл"], "p1": ["КРЕМ", "NIVEA"], "p2": ["ночной"], "latin": ["NIVEA"], "mute": ["75"]}
    made = {owner: [matching_catalog.photo(owner, lines, number)] for number, (owner, lines) in enumerate(words.items())}
    other = build(tmp_path / "v2", products, made)
    assert [row["id"] for row in rows(unread(Tables.open(other.folder), other))] == ["p0", "mute"]


def test_products_whose_names_are_not_on_their_packs_are_named_with_what_is(tmp_path: Path, tiny_shop: Shop) -> None:
    snapshot, _ = tiny_shop
    assert rows(contradicted(Tables.open(snapshot.folder), snapshot, GATE)) == []
    names = {"right": "Rose Soap", "wrong": "Mint Balm", "half": "Night Cream Plus", "brand": "Lotion", "bare": "Powder Puff"}
    names["right"] = f"Крем {names['right']}"  # in letters that are on no pack, which says nothing
    products = [ProductRow(id=one, name=name, vendor="Arvelo") for one, name in names.items()]
    words = {
        "right": ["ARVELO ROSE SOAP"], "wrong": ["ARVELO", "BEARD OIL"], "half": ["ARVELO NIGHT CREAM"],
        "brand": ["ARVELO", "FACE MASK"], "bare": ["ARVELO"],
    }  # fmt: skip
    photos = {owner: [matching_catalog.photo(owner, lines, n)] for n, (owner, lines) in enumerate(words.items())}
    other = build(tmp_path / "v2", products, photos)
    found = rows(contradicted(Tables.open(other.folder), other, GATE))
    assert [(row["id"], row["read_share"]) for row in found] == [("wrong", 0.0), ("brand", 0.0)]
    assert set(found[0]["not_read"].split()) == {"Mint", "Balm"} and set(found[0]["read"].split()) == {"BEARD", "OIL"}
