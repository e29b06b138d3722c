"""What a sync has to do, as pure functions of offers, photos and the parent version."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packsight.indexer.feed.extra_photos import ExtraPhoto
from packsight.indexer.feed.offers import Offer, Offers
from packsight.indexer.plan import (
    PhotoKey,
    Plan,
    ResolvedRows,
    Rows,
    SourceState,
    known_states,
    plan,
    resolve,
)
from packsight.shared.catalog.manifest import PhotoRow, ProductRow
from packsight.shared.contract.errors import ErrorCode
from packsight.shared.contract.outcomes import Failure

GONE = Failure(code=ErrorCode.OBJECT_MISSING, message="it is not there", remedy="Put it there.", retryable=False)
BROKEN = Failure(code=ErrorCode.IMAGE_BROKEN, message="it is broken", remedy="Mend it.", retryable=False)


def product(identity: str, name: str = "Cream") -> ProductRow:
    return ProductRow(id=identity, name=name, vendor_code=f"code{identity}")


def row(identity: str, source: str, sha256: str, *, extra: bool = False) -> PhotoRow:
    return PhotoRow(product_id=identity, sha256=sha256, source=source, extra=extra, etag=f"v-{sha256}")


def offers(*pairs: tuple[ProductRow, tuple[str, ...]]) -> Offers:
    return Offers({made.id: Offer(made, pictures) for made, pictures in pairs})


def extra(code: str, name: str) -> ExtraPhoto:
    return ExtraPhoto(code, f"{code}/{name}", f"{code}/{name}")


PARENT = Rows([product("1"), product("2")], [row("1", "1.jpg", "a"), row("2", "2.jpg", "b")])


def made(*pairs: tuple[ProductRow, tuple[str, ...]], parent: Rows = PARENT) -> Plan:
    return plan(offers(*pairs), {}, parent, feed="/srv/feed.xml")


def resolved(made: Plan, refused: dict[str, Failure] | None = None, **seen: SourceState) -> ResolvedRows:
    return resolve(made, {(f"{name.removeprefix('p')}.jpg", False): s for name, s in seen.items()}, refused or {})


def test_added_removed_and_changed_products_are_counted() -> None:
    result = made((product("2", "New name"), ("2.jpg",)), (product("3"), ("3.jpg",)))
    assert (result.added, result.removed, result.changed) == (1, 1, 1)


def test_a_picture_shared_by_products_is_looked_at_once() -> None:
    result = made((product("1"), ("x.jpg",)), (product("2"), ("x.jpg", "y.jpg")))
    assert {key: photo.product_ids for key, photo in result.photos.items()} == {
        ("x.jpg", False): ("1", "2"),
        ("y.jpg", False): ("2",),
    }


def test_extra_photos_follow_the_pictures_of_every_product_with_their_vendor_code() -> None:
    extras = {"code1": [extra("code1", "1.heic")], "stranger": [extra("stranger", "1.jpg")]}
    result = plan(offers((product("1"), ("1.jpg",))), extras, Rows(), feed="/srv/feed.xml")
    assert result.keys_of["1"] == (("1.jpg", False), ("code1/1.heic", True))
    assert result.notes == ("folders of extra photos that belong to no offer: 1 (first: stranger)",)


def test_unchanged_rows_have_the_same_content_whatever_their_order_and_validators() -> None:
    result = resolved(
        made((product("2"), ("2.jpg",)), (product("1"), ("1.jpg",))), p1=SourceState("a", "other"), p2=SourceState("b")
    )
    assert result.rows.same_content(PARENT)


@pytest.mark.parametrize("seen", [SourceState("c"), SourceState("a", failure=None)])
def test_another_photo_at_the_same_source_is_another_content(seen: SourceState) -> None:
    result = resolved(made((product("1"), ("1.jpg",)), (product("2"), ("2.jpg",))), p1=seen, p2=SourceState("b"))
    assert result.rows.same_content(PARENT) == (seen.sha256 == "a")


def test_a_failed_source_keeps_the_parents_photo_and_its_validator() -> None:
    result = resolved(made((product("1"), ("1.jpg",))), p1=SourceState(failure=GONE))
    assert list(result.rows.photos) == [row("1", "1.jpg", "a")]
    assert (result.kept_old, result.failures) == (1, {("1.jpg", False): GONE})


def test_bytes_that_cannot_be_described_give_way_to_the_parents_photo() -> None:
    result = resolved(made((product("1"), ("1.jpg",))), {"new": BROKEN}, p1=SourceState("new", "v-new"))
    assert [photo.sha256 for photo in result.rows.photos] == ["a"]


def test_a_parents_photo_that_itself_cannot_be_described_is_not_kept() -> None:
    result = resolved(made((product("1"), ("1.jpg",))), {"a": BROKEN}, p1=SourceState("a", "v-a"))
    assert list(result.rows.photos) == []
    assert (result.kept_old, result.without_photos) == (0, frozenset({"1"}))


def test_a_failed_source_that_the_parent_does_not_know_has_nothing_to_keep() -> None:
    result = resolved(made((product("1"), ("other.jpg",))), pother=SourceState(failure=GONE))
    assert list(result.rows.photos) == []


def test_a_product_without_photos_stays_only_with_a_name() -> None:
    result = resolved(made((product("1"), ()), (product("3", ""), ("3.jpg",))), p3=SourceState(failure=GONE))
    assert [kept.id for kept in result.rows.products] == ["1"]
    assert result.without_photos == {"1", "3"}
    assert len(result.notes) == 2


def test_the_same_bytes_count_once_for_a_product_and_the_main_picture_wins() -> None:
    result = resolved(made((product("1"), ("1.jpg", "5.jpg"))), p1=SourceState("a"), p5=SourceState("a"))
    assert [(photo.source, photo.sha256) for photo in result.rows.photos] == [("1.jpg", "a")]


def test_what_the_rows_tell_of_their_sources_is_known() -> None:
    assert known_states(PARENT)["1.jpg", False] == SourceState("a", "v-a")


IDS = st.sampled_from(["1", "2", "3", "4"])
PICTURES = st.sampled_from(["a.jpg", "b.jpg", "c.jpg", "d.jpg"])
BYTES = st.sampled_from(["x", "y", "z"])
STATES = st.one_of(
    st.builds(SourceState, BYTES, st.text("0123456789", max_size=2)), st.just(SourceState(failure=GONE))
)
SHOPS = st.dictionaries(IDS, st.lists(PICTURES, max_size=3, unique=True).map(tuple), max_size=4).map(
    lambda shop: offers(*((product(identity), pictures) for identity, pictures in shop.items()))
)


@st.composite
def rounds(draw: st.DrawFn) -> tuple[Plan, dict[PhotoKey, SourceState], dict[str, Failure]]:
    """Any plan after any version before it, what is at the sources now, and bytes that cannot be described."""
    before = plan(draw(SHOPS), {}, Rows(), feed="/srv/feed.xml")
    parent = resolve(before, {key: draw(STATES) for key in before.photos}, {}).rows
    wanted = plan(draw(SHOPS), {}, parent, feed="/srv/feed.xml")
    refused = dict.fromkeys(draw(st.sets(BYTES)), BROKEN)
    return wanted, {key: draw(STATES) for key in wanted.photos}, refused


@given(rounds())
def test_rows_hold_wanted_products_and_photos_that_can_be_used(
    made: tuple[Plan, dict[PhotoKey, SourceState], dict[str, Failure]],
) -> None:
    wanted, states, refused = made
    result = resolve(wanted, states, refused)
    assert [kept.id for kept in result.rows.products] == [offered.id for offered in wanted.products]
    pairs = [(photo.product_id, photo.sha256) for photo in result.rows.photos]
    assert len(set(pairs)) == len(pairs)
    assert not {sha256 for _, sha256 in pairs} & refused.keys()
    known = {s.sha256 for s in states.values()} | {photo.sha256 for photo in wanted.parent.photos}
    for photo in result.rows.photos:
        assert (photo.source, photo.extra) in wanted.keys_of[photo.product_id]
        assert photo.sha256 in known
    assert result.without_photos == {kept.id for kept in wanted.products} - {identity for identity, _ in pairs}


@given(rounds())
def test_a_source_is_used_or_a_failure_says_why_not(
    made: tuple[Plan, dict[PhotoKey, SourceState], dict[str, Failure]],
) -> None:
    wanted, states, refused = made
    result = resolve(wanted, states, refused)
    usable = {key for key, state in states.items() if state.failure is None and state.sha256 not in refused}
    assert result.failures.keys() == states.keys() - usable
    assert {states[key].sha256 for key in usable} <= {photo.sha256 for photo in result.rows.photos}


@given(rounds())
def test_a_second_sync_of_the_same_shop_finds_nothing_to_do(
    made: tuple[Plan, dict[PhotoKey, SourceState], dict[str, Failure]],
) -> None:
    wanted, states, refused = made
    published = resolve(wanted, states, refused).rows
    again = Offers({each.id: Offer(each, tuple(s for s, _ in wanted.keys_of[each.id])) for each in wanted.products})
    second = plan(again, {}, published, feed="/srv/feed.xml")
    assert (second.added, second.removed, second.changed) == (0, 0, 0)
    assert resolve(second, states, refused).rows.same_content(published)
