"""What an indexer remembers of a catalog: feeds taken in, pictures' turns, the rows that follow, and what damage does to it."""

from __future__ import annotations

import hashlib
import io
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packsight.indexer.feed import source
from packsight.indexer.feed.offers import Faults, FeedError
from packsight.indexer.feed.source import Feed, open_feed
from packsight.indexer.plan import Plan, plan, without_useless
from packsight.indexer.state import resolution, schedule
from packsight.indexer.state.database import DamagedStateError, State, discard, opened
from packsight.indexer.state.intake import take_in, take_in_extras
from packsight.indexer.state.published import adopt, forget, touch_all
from packsight.indexer.state.resolution import NO_VERSION, PhotoRows, ProductRows
from packsight.shared.contract.errors import ErrorCode, UserError
from packsight.shared.contract.outcomes import Failure
from packsight.shared.settings import Catalog, Settings
from packsight.shared.storage.objects import ObjectStore
from tests.feeds import taken_in

GONE = Failure(code=ErrorCode.OBJECT_MISSING, message="it is not there", remedy="Put it there.", retryable=False)
BROKEN = Failure(code=ErrorCode.IMAGE_BROKEN, message="it is broken", remedy="Mend it.", retryable=False)
Shop = dict[str, tuple[str, tuple[str, ...]]]
"""By id the name of an offer and its pictures."""


@pytest.fixture
def state() -> Iterator[State]:
    with opened() as made:
        yield made


def feed_of(shop: Shop, *, joins: bool = False, location: str = "/srv/feed.xml") -> Feed:
    offers = "".join(
        f'<offer id="{identity}"><name>{name}</name><vendorCode>code{identity}</vendorCode>'
        + "".join(f"<picture>{picture}</picture>" for picture in pictures)
        + "</offer>"
        for identity, (name, pictures) in shop.items()
    )
    return feed_from(f"<yml_catalog><shop><offers>{offers}</offers></shop></yml_catalog>", joins=joins, location=location)


def feed_from(text: str, *, joins: bool = False, location: str = "/srv/feed.xml") -> Feed:
    stream = io.BufferedReader(io.BytesIO(text.encode()))
    return Feed(location, "reader", "", Faults(), joins=joins, _stream=stream, _rules=Catalog())


def offer(shop_state: State, shop: Shop) -> None:
    with shop_state.transaction():
        take_in(shop_state, feed_of(shop))


def touched(state: State) -> set[str]:
    return {name for (name,) in state.rows("SELECT id FROM touched JOIN products ON number = product")}


def settle(state: State) -> None:
    state.run("DELETE FROM touched")


CREAM: Shop = {"1": ("Cream", ("1.jpg",)), "2": ("Soap", ("2.jpg", "3.jpg")), "3": ("Balm", ())}


# --- feeds


def test_an_unchanged_feed_touches_nothing_and_parses_no_offer(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(state, CREAM)
    settle(state)
    monkeypatch.setattr("packsight.indexer.feed.yml.offer_of", lambda *_, **__: pytest.fail("an offer was parsed again"))
    before = state.value("SELECT total_changes()")
    offer(state, CREAM)
    assert touched(state) == set()
    assert state.value("SELECT total_changes()") - before < 20, "rows were written though nothing changed"


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({**CREAM, "2": ("Soap of roses", ("2.jpg", "3.jpg"))}, {"2"}),
        ({**CREAM, "2": ("Soap", ("3.jpg", "2.jpg"))}, {"2"}),
        ({"1": CREAM["1"], "3": CREAM["3"]}, {"2"}),
        ({"0": ("New", ()), **CREAM}, {"0"}),
        (dict(reversed(CREAM.items())), set()),
    ],
    ids=["renamed", "other main picture", "gone", "new in front", "in another order"],
)
def test_only_what_changed_is_touched(state: State, changed: Shop, expected: set[str]) -> None:
    offer(state, CREAM)
    settle(state)
    offer(state, changed)
    assert touched(state) == expected
    with state.transaction():
        touch_all(state)
        resolution.resolve(state, NO_VERSION)
        resolution.put_in_order(state)
    assert [product.id for product in ProductRows(state)] == list(changed)


def test_another_name_of_a_category_is_read_in_all_its_offers(state: State) -> None:
    text = (
        '<yml_catalog><shop><category id="1">{}</category>'
        '<offer id="7"><name>a</name><categoryId>1</categoryId></offer></shop></yml_catalog>'
    )
    for name in ("Creams", "Lotions"):
        assert taken_in(state, feed_from(text.format(name))).by_id["7"].product.category == name


def test_of_offers_with_one_id_the_last_stands_also_when_it_goes_again(state: State) -> None:
    both = '<yml_catalog><shop><offer id="1"><name>a</name></offer><offer id="1"><name>b</name></offer>{}</shop></yml_catalog>'
    first = taken_in(state, feed_from(both.format("")))
    assert first.by_id["1"].product.name == "b"
    assert first.notes == ("offers whose id came before, the last one stands: 1 (first: id 1)",)
    assert taken_in(state, feed_from(both.format(""))).notes == first.notes
    alone = '<yml_catalog><shop><offer id="1"><name>a</name></offer></shop></yml_catalog>'
    assert taken_in(state, feed_from(alone)).by_id["1"].product.name == "a"
    assert state.value("SELECT count(*) FROM items") == 1, "what no offer says any longer is forgotten"


def test_what_was_spoilt_in_offers_is_told_as_long_as_they_are_there_though_they_are_not_read_again(state: State) -> None:
    text = '<yml_catalog><shop><offer id="1"><name>{}</name></offer>{}<offer><name>none</name></offer></shop></yml_catalog>'
    nameless, lost = '<offer id="2"/><offer id="3"/>', '<offer id="4"><name>a ??? b</name></offer>'
    told = [
        "offers without a name: 2 (first: id 2)",
        "offers without an id, left out: 1 (first: line 1)",
        "texts whose letters were lost when they were written; export them as UTF-8: 1 (first: “a ??? b”)",
    ]
    for name in ("Cream", "Cream", "Soap"):
        assert sorted(taken_in(state, feed_from(text.format(name, nameless + lost))).notes) == told, name
    assert sorted(taken_in(state, feed_from(text.format("Soap", lost))).notes) == told[1:]


def test_offers_with_one_id_are_joined_where_rows_are_pictures(state: State) -> None:
    rows = (
        '<yml_catalog><shop><offer id="1"><picture>a.jpg</picture></offer>'
        '<offer id="1"><name>Cream</name><picture>b.jpg</picture></offer></shop></yml_catalog>'
    )
    found = taken_in(state, feed_from(rows, joins=True)).by_id["1"]
    assert (found.product.name, found.pictures) == ("Cream", ("a.jpg", "b.jpg"))


def test_a_feed_that_breaks_off_changes_nothing(state: State) -> None:
    offer(state, CREAM)
    text = '<yml_catalog><shop><offer id="9"><name>new</name></offer><offer id="10"'
    with pytest.raises(FeedError), state.transaction():
        take_in(state, feed_from(text))
    assert {name for (name,) in state.rows("SELECT id FROM products")} == set(CREAM)


def test_a_local_feed_is_opened_again_only_when_it_may_have_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(_env_file=None)
    store, file = ObjectStore(settings.s3), tmp_path / "feed.xml"
    file.write_text("<yml_catalog/>")

    def mark(validator: str = "") -> str | None:
        with open_feed(str(file), settings, store, validator=validator) as feed:
            return None if feed is None else feed.validator

    assert mark() == "", "it may still be written to within the same tick of the clock"
    monkeypatch.setattr(source, "_SURE_SECONDS", 0.0)
    validator = mark()
    assert validator
    assert mark(validator) is None
    file.write_text("<yml_cataloG/>")
    assert mark(validator) not in (None, validator)


@pytest.mark.parametrize(
    ("mark", "sure"), [('etag:"1"', True), ("modified:Mon, 01 Jan 2024 00:00:00 GMT", True), ("modified:?", False)]
)
def test_a_date_is_believed_only_when_its_second_is_over(mark: str, sure: bool) -> None:
    assert source._is_sure(mark) == sure


# --- pictures' turns

RULES = Catalog(picture_budget=2)
DAY = 86400.0


def pictures(state: State, *rows: tuple[str, str, float]) -> None:
    """Pictures that one product shows: address, hash and when they are due."""
    state.run("INSERT INTO products(number, id, live) VALUES(1, 'p', 1)")
    for number, (address, sha256, due) in enumerate(rows, 1):
        host = address.split("/")[2] if "//" in address else ""
        sql = "INSERT INTO pictures(number, source, extra, host, sha256, due) VALUES(?, ?, 0, ?, ?, ?)"
        state.run(sql, number, address, host, sha256, due)
        state.run("INSERT INTO shown VALUES(1, ?, ?)", number, number)


def chosen(state: State) -> list[str]:
    return [asked.source for step in schedule.agenda(state, 2) for asked in step]


def test_new_pictures_come_first_whatever_the_budget_then_those_due_longest(state: State) -> None:
    dues = {"a/due1": 30.0, "a/due2": 10.0, "a/due3": 20.0, "a/later": 1e5, "b/due": 40.0}
    new = [f"http://a/new{number}" for number in range(4)]
    rows = [(f"http://{name}", "x", due) for name, due in dues.items()]
    pictures(state, *rows, *((address, "", 0.0) for address in new), ("file.jpg", "x", 1e9))
    agenda = schedule.draw_up(state, RULES, 1000.0, everything=False)
    assert chosen(state) == ["file.jpg", *new, "http://a/due2", "http://a/due3", "http://b/due"]
    assert agenda == schedule.Agenda(asked=8, not_due=1, put_off=1)
    assert schedule.draw_up(state, RULES, 1000.0, everything=True) == schedule.Agenda(10, 0, 0)


def test_a_picture_that_no_offer_shows_is_not_asked_for(state: State) -> None:
    pictures(state, ("http://a/1", "x", 1.0))
    state.run("DELETE FROM shown")
    assert schedule.draw_up(state, RULES, 1000.0, everything=True).asked == 0
    assert schedule.draw_up(state, RULES, 1000.0, everything=False) == schedule.Agenda(0, 1, 0), "nor is it put off"


def test_pauses_grow_with_age_and_failures_within_their_bounds() -> None:
    random.seed(7)
    ages = [schedule.after_success(RULES, 0.0, age * DAY) - age * DAY for age in (0, 10, 10_000)]
    for pause, middle in zip(ages, (3600.0, DAY, 7 * DAY), strict=True):
        assert 0.75 * middle <= pause <= 1.25 * middle
    tries = [schedule.after_failure(RULES, count, 0.0) for count in (1, 3, 500)]
    for pause, middle in zip(tries, (900.0, 3600.0, 7 * DAY), strict=True):
        assert 0.75 * middle <= pause <= 1.25 * middle


def test_a_host_that_fails_is_left_alone_longer_each_time_until_it_answers(state: State) -> None:
    pictures(state, ("http://a/1", "x", 1.0), ("http://b/1", "x", 1.0))

    def fail(now: float) -> float:
        hosts = schedule.Hosts()
        for _ in range(schedule.HOST_FAILURES):
            assert not hosts.is_down("a")
            hosts.note("a", failed=True)
        assert hosts.is_down("a")
        hosts.keep(state, RULES, now)
        return float(state.value("SELECT until FROM hosts WHERE host = 'a'")) - now

    pauses = [fail(now) for now in (0.0, 10_000.0, 20_000.0)]
    assert pauses[0] < pauses[1] < pauses[2]
    assert schedule.draw_up(state, RULES, 20_001.0, everything=False) == schedule.Agenda(asked=1, not_due=0, put_off=1)
    assert chosen(state) == ["http://b/1"]
    answers = schedule.Hosts()
    answers.note("a", failed=False)
    answers.keep(state, RULES, 30_000.0)
    assert schedule.draw_up(state, RULES, 30_000.0, everything=False).asked == 2


def test_what_was_put_off_while_the_clock_was_a_year_ahead_is_due_once_it_is_right(state: State) -> None:
    ahead = 365 * DAY
    pictures(state, ("http://a/1", "x", schedule.after_success(RULES, ahead - 60 * DAY, ahead)), ("http://b/1", "x", 5 * DAY))
    hosts = schedule.Hosts()
    for _ in range(schedule.HOST_FAILURES):
        hosts.note("a", failed=True)
    hosts.keep(state, RULES, ahead)
    assert schedule.draw_up(state, RULES, 1000.0, everything=False) == schedule.Agenda(asked=1, not_due=1, put_off=0)
    assert chosen(state) == ["http://a/1"]


# --- rows, compared with the plain function that says what they should be


def seen(state: State, picture: str, sha256: str = "", failure: Failure | None = None) -> None:
    text = failure.model_dump_json() if failure is not None else ""
    state.run("UPDATE pictures SET sha256 = ?, validator = ?, failure = ? WHERE source = ?", sha256, f"v-{sha256}", text, picture)
    number = state.value("SELECT number FROM pictures WHERE source = ?", picture)
    resolution.touch(state, [number] if number is not None else [])


Photo = tuple[str, str, str]
"""Product, source and hash."""


def expected(shop: Shop, sources: dict[str, str], refused: set[str], parent: set[Photo]) -> tuple[list[str], list[Photo]]:
    """Products and photos of the coming version; sources: what is at each picture's, empty where it fails."""
    before = {(product, source): sha for product, source, sha in parent}
    products, photos = [], []
    for identity, (name, wanted) in shop.items():
        own: dict[str, str] = {}
        for picture in dict.fromkeys(wanted):
            sha = sources[picture]
            if not sha or sha in refused:
                sha = before.get((identity, picture), "")
            if sha and sha not in refused:
                own.setdefault(sha, picture)
        if own or name:
            products.append(identity)
            photos += [(identity, picture, sha) for sha, picture in own.items()]
    return products, photos


SHOPS: st.SearchStrategy[Shop] = st.dictionaries(
    st.sampled_from("1234"),
    st.tuples(st.sampled_from(["", "Cream", "Soap"]), st.lists(st.sampled_from("abcd"), max_size=3, unique=True).map(tuple)),
    min_size=1,
    max_size=4,
)
BYTES = st.sampled_from("xyz")
SOURCES = st.fixed_dictionaries(dict.fromkeys("abcd", st.one_of(BYTES, st.just(""))))
ROUNDS = st.lists(st.tuples(SHOPS, SOURCES, st.sets(BYTES)), min_size=1, max_size=4)


@settings(max_examples=50)
@given(ROUNDS)
def test_rows_are_those_of_the_plain_function_whatever_came_before(rounds: list[tuple[Shop, dict[str, str], set[str]]]) -> None:
    with opened() as state:
        parent, number = set[Photo](), NO_VERSION
        for round_number, (shop, sources, refused) in enumerate(rounds):
            with state.transaction():
                resolution.take_back_refusals(state, all_of_them=True)
                take_in(state, feed_of(shop))
                for picture, sha in sources.items():
                    seen(state, picture, sha, None if sha else GONE)
                resolution.refuse(state, dict.fromkeys(refused, BROKEN), list(refused))
                resolution.resolve(state, number)
                resolution.put_in_order(state)
            products, photos = expected(shop, sources, refused, parent)
            found = [(photo.product_id, photo.source, photo.sha256) for photo in PhotoRows(state)]
            assert [product.id for product in ProductRows(state)] == products
            assert found == photos
            summary = resolution.summary(state, number)
            assert (summary.products, summary.photos) == (len(products), len(photos))
            assert list(resolution.hashes(state)) == list(dict.fromkeys(sha for _, _, sha in photos))
            with state.transaction():
                adopt(state, number if number != NO_VERSION else None, f"v{round_number}", alone=True)
                number = state.value("SELECT number FROM versions WHERE name = ?", f"v{round_number}")
                assert resolution.same_rows(state, number)
                forget(state, {f"v{round_number}"})
                settle(state)
            with state.transaction():
                touch_all(state)
                assert resolution.same_rows(state, number), "what was adopted is all of it, not only what was touched"
                settle(state)
            parent = set(photos)


def published(state: State, shop: Shop) -> int:
    """Take a shop in, all of whose pictures are there, and publish it."""
    with state.transaction():
        take_in(state, feed_of(shop))
        for _, wanted in shop.values():
            for picture in wanted:
                seen(state, picture, hashlib.sha256(picture.encode()).hexdigest())
        resolution.resolve(state, NO_VERSION)
        adopt(state, None, "v", alone=False)
        settle(state)
    return int(state.value("SELECT number FROM versions"))


def made(state: State, shop: Shop, parent: int) -> Plan:
    offer(state, shop)
    return plan(state, parent)


def test_added_removed_and_changed_products_are_counted(state: State) -> None:
    parent = published(state, CREAM)
    result = made(state, {"2": ("Other", ("2.jpg", "3.jpg")), "3": CREAM["3"], "4": ("New", ())}, parent)
    assert (result.before, result.added, result.removed, result.changed) == (3, 1, 1, 1)


def test_products_of_no_use_are_neither_added_time_and_again_nor_still_there(state: State) -> None:
    parent = published(state, {**CREAM, "4": ("", ("4.jpg",))})
    shop = {"1": CREAM["1"], "2": CREAM["2"], "4": ("", ()), "5": ("", ())}
    result = made(state, shop, parent)
    with state.transaction():
        resolution.resolve(state, parent)
    counted = without_useless(state, result)
    assert (counted.added, counted.removed, counted.changed) == (0, 2, 0)
    named = made(state, {**shop, "5": ("Soap", ())}, parent)
    assert without_useless(state, named).added == 1


def test_another_photo_another_row_and_a_gone_product_are_other_rows(state: State) -> None:
    parent = published(state, CREAM)
    assert resolution.same_rows(state, parent)
    for change in ("photo", "row", "gone"):
        with state.transaction():
            if change == "photo":
                seen(state, "1.jpg", "other")
            elif change == "row":
                take_in(state, feed_of({**CREAM, "3": ("Other", ())}))
            else:
                take_in(state, feed_of({"1": CREAM["1"], "2": CREAM["2"]}))
            resolution.resolve(state, parent)
            assert not resolution.same_rows(state, parent), change
            seen(state, "1.jpg", hashlib.sha256(b"1.jpg").hexdigest())
            take_in(state, feed_of(CREAM))
            resolution.resolve(state, parent)
            assert resolution.same_rows(state, parent), change


def test_extra_photos_follow_the_pictures_of_every_product_with_their_vendor_code(state: State) -> None:
    offer(state, CREAM)
    listing = [("code1", "code1/1.heic"), ("stranger", "stranger/1.jpg")]
    with state.transaction():
        take_in_extras(state, listing, "/srv/photos")
        for picture in ("1.jpg", "code1/1.heic"):
            seen(state, picture, picture)
        resolution.resolve(state, NO_VERSION)
        resolution.put_in_order(state)
    assert [(photo.product_id, photo.source, photo.extra) for photo in PhotoRows(state)] == [
        ("1", "1.jpg", False), ("1", "code1/1.heic", True),
    ]  # fmt: skip
    assert plan(state, NO_VERSION).notes == ("folders of extra photos that belong to no offer: 1 (first: stranger)",)
    settle(state)
    with state.transaction():
        take_in_extras(state, listing, "/srv/photos")
    assert touched(state) == set()
    with state.transaction():
        take_in_extras(state, [], "/srv/photos")
    assert touched(state) == {"1"}


def test_what_cannot_be_used_is_named_and_counted(state: State) -> None:
    offer(state, {"1": ("", ("1.jpg",)), "2": ("Soap", ("2.jpg",))})
    with state.transaction():
        seen(state, "1.jpg", failure=GONE)
        seen(state, "2.jpg", failure=GONE)
        resolution.resolve(state, NO_VERSION)
    summary = resolution.summary(state, NO_VERSION)
    assert (summary.products, summary.photos) == (1, 0)
    assert summary.notes == (
        "products without a usable photo, found by their words alone: 1 (first: 2)",
        "products with neither photo nor name, left out: 1 (first: 1)",
    )
    assert [name for name, _ in resolution.failures(state)] == ["1.jpg", "2.jpg"]


def test_a_refusal_that_passes_is_taken_back_and_one_that_lasts_is_not(state: State) -> None:
    offer(state, {"1": ("Cream", ("1.jpg",)), "2": ("Soap", ("2.jpg",))})
    with state.transaction():
        seen(state, "1.jpg", "a")
        seen(state, "2.jpg", "b")
        resolution.refuse(state, {"a": BROKEN, "b": GONE}, ["a"])
        settle(state)
        resolution.take_back_refusals(state, all_of_them=False)
    assert [name for name, _ in resolution.failures(state)] == ["1.jpg"]
    assert touched(state) == {"2"}
    with state.transaction():
        resolution.take_back_refusals(state, all_of_them=True)
    assert list(resolution.failures(state)) == []


# --- the file


def test_a_state_is_kept_and_a_broken_transaction_leaves_nothing(tmp_path: Path) -> None:
    file = tmp_path / "home" / "default.db"
    with opened(file) as state:
        state.set("kept", [1, "два"])
        with pytest.raises(KeyboardInterrupt), state.transaction():
            state.set("lost", True)
            raise KeyboardInterrupt
    with opened(file) as state:
        assert (state.get("kept"), state.get("lost")) == ([1, "два"], None)


def test_a_feed_that_breaks_off_lets_the_state_go_whoever_keeps_the_error(tmp_path: Path) -> None:
    file, kept = tmp_path / "state.db", []
    broken = '<yml_catalog><shop><offer id="1"><name>new</name></offer><offer id="10"'
    for feed in (feed_of(CREAM), feed_from(broken), feed_of(CREAM)):
        try:
            with opened(file) as state, state.transaction():
                take_in(state, feed)
        except FeedError as error:
            kept.append(error)  # with all that was being read
    assert len(kept) == 1


def test_a_state_of_another_format_is_made_anew(tmp_path: Path) -> None:
    file = tmp_path / "default.db"
    with opened(file) as state:
        state.set("kept", 1)
        state.run("PRAGMA user_version = 77")
    with opened(file) as state:
        assert state.get("kept") is None


@pytest.mark.parametrize("damage", ["no database", "cut"])
def test_a_damaged_state_is_told_from_other_errors_and_can_be_made_anew(tmp_path: Path, damage: str) -> None:
    file = tmp_path / "default.db"
    with opened(file) as state:
        offer(state, {str(number): ("Cream", (f"{number}.jpg",)) for number in range(2000)})
    data = file.read_bytes()
    file.write_bytes(b"no database " * 1000 if damage == "no database" else data[:8192] + b"\0" * (len(data) - 8192))
    with pytest.raises(DamagedStateError), opened(file) as state:
        offer(state, CREAM)
        list(state.rows("SELECT * FROM products ORDER BY id"))
    discard(file)
    with opened(file) as state:
        offer(state, CREAM)


def test_a_second_indexer_with_the_same_home_hears_what_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "default.db"
    code = "from pathlib import Path; from packsight.indexer.state.database import opened\n"
    code += f"with opened(Path({str(file)!r})): pass"
    with opened(file):
        second = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    told = second.stderr.splitlines()[-1]
    assert told.startswith("packsight.shared.contract.errors.UserError: ")
    assert "another indexer with the same home" in told
    assert "PACKSIGHT_HOME" in told


def test_a_home_that_may_not_be_written_is_told_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file where a folder should be, as rights may be wrong: root would be let in all the same")
    with pytest.raises(UserError, match=r"cannot be made: .*PACKSIGHT_HOME"), opened(tmp_path / "home/indexer/default.db"):
        pass
