"""A feed taken in: what it says anew becomes offers and products, what it said before costs a comparison of digests."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import urlsplit

from packsight.indexer.feed.offers import Faults, FeedError, Item, Offer
from packsight.indexer.feed.source import Feed, reference_of
from packsight.indexer.state.database import State
from packsight.shared.catalog.manifest import ProductRow

CONFIRMED = 2_000_000
"""Place of a product's first photo that people confirmed: after those of its offers and of folders of extra photos."""
_BATCH = 1000
"""Rows written at a time."""
_CONFIRMED_OF = "confirmed_of"
"""Name under which the products are noted that have confirmed photos, so that nobody need look for them."""


def take_in(state: State, feed: Feed) -> None:
    """Bring the products of the state in step with a feed that has changed; the caller holds the transaction.

    Raises FeedError when it cannot be read to its end or has no offer at all: an empty feed is a mistake, not a wish to sell
    nothing.
    """
    if (former := state.get("feed")) not in (None, feed.location):
        _move(state, former, feed.location)
    intake = _Intake(state, feed.faults)
    for item in feed.items(intake.knows):
        if item.offer is not None:
            intake.add(item, item.offer)
    if not intake.count:
        why = "".join(f" ({note})" for note in feed.faults.notes())
        raise FeedError(f"{feed.location} has no offers{why}, so nothing was changed. Correct the feed and sync again.")
    state.set("joined", feed.joins)
    if intake.end():
        _update_products(state, feed.location)
    if not feed.joins:
        _count_again(state, feed)
    _count_known(state, feed.faults)
    state.set("feed", feed.location)
    state.set("feed_reader", feed.reader)
    state.set("feed_validator", feed.validator)
    state.set("feed_notes", feed.faults.notes())


def offer_of(state: State, product: int) -> Offer:
    """What the feed says of a product in all its items."""
    sql = "SELECT i.offer FROM offered o JOIN items i ON i.number = o.item WHERE o.product = ? ORDER BY o.position"
    offers = [Offer.parse(text) for (text,) in state.rows(sql, product)]
    if not state.get("joined"):
        return offers[-1]
    first, *others = offers
    for other in others:
        first = first.joined(other)
    return first


def content_of(product: ProductRow) -> bytes:
    """Digest of all that a product's row says."""
    return hashlib.blake2b(product.model_dump_json().encode(), digest_size=16).digest()


def host_of(source: str, location: str) -> str:
    """Who is asked for a picture of a feed; empty for a file."""
    reference = reference_of(source, location)
    if reference.startswith("s3://"):
        return "s3://" + reference.removeprefix("s3://").partition("/")[0]
    try:
        return urlsplit(reference).netloc.rpartition("@")[2].lower()
    except ValueError:
        return reference


def picture_number(state: State, source: str, *, extra: bool, host: str) -> int:
    """A picture's number, a new one for an address that is not known."""
    sql = (
        "INSERT INTO pictures(source, extra, host) VALUES(?, ?, ?) "
        "ON CONFLICT(source, extra) DO UPDATE SET host = excluded.host RETURNING number"
    )
    return int(state.value(sql, source, extra, host))


def product_number(state: State, identity: str) -> int:
    """A product's number, a new one for an id that is not known."""
    sql = "INSERT INTO products(id) VALUES(?) ON CONFLICT(id) DO UPDATE SET id = excluded.id RETURNING number"
    return int(state.value(sql, identity))


class _Intake:
    """One reading, compared with the one before item by item: an unchanged item in its place leaves no trace at all."""

    def __init__(self, state: State, faults: Faults) -> None:
        self._state, self._faults = state, faults
        self.count = 0
        state.run("CREATE TEMP TABLE IF NOT EXISTS seen(position INTEGER PRIMARY KEY, item INTEGER, product INTEGER)")
        state.run("DELETE FROM seen")
        self._before = state.rows("SELECT i.digest FROM offered o JOIN items i ON i.number = o.item ORDER BY o.position")
        self._expected = next(self._before, None)
        self._seen: list[tuple[int, int, int]] = []

    def knows(self, digest: bytes) -> bool:
        """Whether an item was read before; then it is taken in."""
        if self._expected is not None and self._expected[0] == digest:
            self._step()
            return True
        found = self._state.one("SELECT number, product FROM items WHERE digest = ?", digest)
        if found is None:
            self._faults.begin()
            return False
        self._note(*found)
        return True

    def add(self, item: Item, offer: Offer) -> None:
        """Take in an item that is new."""
        product = product_number(self._state, offer.product.id)
        faults = self._faults.taken()
        sql = "INSERT INTO items(digest, product, offer, faults) VALUES(?, ?, ?, ?) RETURNING number"
        values = (item.digest, product, offer.dump(), json.dumps(faults, ensure_ascii=False) if faults else "")
        self._note(int(self._state.value(sql, *values)), product)

    def _note(self, item: int, product: int) -> None:
        self._seen.append((self.count, item, product))
        if len(self._seen) >= _BATCH:
            self._flush()
        self._step()

    def _step(self) -> None:
        self.count += 1
        self._expected = next(self._before, None)

    def _flush(self) -> None:
        self._state.many("INSERT INTO seen VALUES(?, ?, ?)", self._seen)
        self._seen.clear()

    def end(self) -> bool:
        """Replace what was read before; tells whether any products' items differ, and lists these in the table `changed`."""
        self._flush()
        self._before.close()
        state = self._state
        for name in ("former", "before", "after", "changed"):
            state.run(f"DROP TABLE IF EXISTS temp.{name}")
        state.run(
            "CREATE TEMP TABLE former AS SELECT item, product FROM offered WHERE position IN (SELECT position FROM seen) "
            "UNION ALL SELECT item, product FROM offered WHERE position >= ?",
            self.count,
        )
        suspects = "SELECT product FROM former UNION SELECT product FROM seen"
        lists = (
            "AS SELECT product, group_concat(item) AS items FROM "
            f"(SELECT product, item FROM offered WHERE product IN ({suspects}) ORDER BY product, position) GROUP BY product"
        )
        state.run(f"CREATE TEMP TABLE before {lists}")
        state.run("INSERT OR REPLACE INTO offered SELECT * FROM seen")
        state.run("DELETE FROM offered WHERE position >= ?", self.count)
        state.run(f"CREATE TEMP TABLE after {lists}")
        state.run(
            "CREATE TEMP TABLE changed AS SELECT a.product FROM after a LEFT JOIN before b USING(product) "
            "WHERE a.items IS NOT b.items "
            "UNION SELECT b.product FROM before b LEFT JOIN after a USING(product) WHERE a.items IS NULL"
        )
        state.run(
            "DELETE FROM items WHERE number IN (SELECT f.item FROM former f WHERE NOT EXISTS "
            "(SELECT 1 FROM offered o WHERE o.product = f.product AND o.item = f.item))"
        )
        return state.value("SELECT 1 FROM changed") is not None


def _update_products(state: State, location: str) -> None:
    for (number,) in state.rows("SELECT product FROM changed"):
        before = state.one("SELECT content, live FROM products WHERE number = ?", number)
        pictures = _shown(state, number, 0, CONFIRMED)
        if state.value("SELECT 1 FROM offered WHERE product = ?", number) is None:
            state.run("UPDATE products SET live = 0 WHERE number = ?", number)
            named: list[int] = []
            changed = True
        else:
            offer = offer_of(state, number)
            content = content_of(offer.product)
            named = [picture_number(state, one, extra=False, host=host_of(one, location)) for one in offer.pictures]
            changed = before != (content, 1) or named != pictures
            state.run(
                "UPDATE products SET content = ?, code = ?, named = ?, live = 1 WHERE number = ?",
                content, offer.product.vendor_code, bool(offer.product.name), number,
            )  # fmt: skip
        if named != pictures:
            _show(state, number, named, 0, CONFIRMED)
        if changed:
            state.run("INSERT OR IGNORE INTO touched VALUES(?)", number)


def _shown(state: State, product: int, first: int, end: int) -> list[int]:
    """Pictures of a product at some places."""
    sql = "SELECT picture FROM shown WHERE product = ? AND place >= ? AND place < ? ORDER BY place"
    return [picture for (picture,) in state.rows(sql, product, first, end)]


def _show(state: State, product: int, pictures: Sequence[int], first: int, end: int) -> None:
    """Let these be a product's pictures at some places."""
    state.run("DELETE FROM shown WHERE product = ? AND place >= ? AND place < ?", product, first, end)
    rows = ((product, place, picture) for place, picture in enumerate(pictures, start=first))
    state.many("INSERT INTO shown VALUES(?, ?, ?)", rows)


def take_in_reviewed(state: State, wanted: Mapping[str, Sequence[str]]) -> None:
    """Bring the photos that people confirmed, by product's id, in step with verdicts; the caller holds the transaction."""
    for identity in sorted({*(state.get(_CONFIRMED_OF) or ()), *wanted}):
        found = state.one("SELECT number, live FROM products WHERE id = ?", identity)
        if found is None:
            continue
        number, live = found
        sources = wanted.get(identity, ()) if live else ()
        named = [picture_number(state, one, extra=False, host=host_of(one, "")) for one in sources]
        if named != _shown(state, number, CONFIRMED, 2 * CONFIRMED):
            _show(state, number, named, CONFIRMED, 2 * CONFIRMED)
            state.run("INSERT OR IGNORE INTO touched VALUES(?)", number)
    state.set(_CONFIRMED_OF, sorted(wanted))


def _count_again(state: State, feed: Feed) -> None:
    again = state.value("SELECT count(*) - count(DISTINCT product) FROM offered")
    if again:
        first = state.value(
            "SELECT p.id FROM offered o JOIN products p ON p.number = o.product WHERE EXISTS "
            "(SELECT 1 FROM offered e WHERE e.product = o.product AND e.position < o.position) ORDER BY o.position LIMIT 1"
        )
        feed.faults.count("offers whose id came before, the last one stands", f"id {first}", again)


def _count_known(state: State, faults: Faults) -> None:
    """Count what is wrong with the items, which was found when each was read for the first time."""
    sql = (
        "SELECT i.faults FROM items i JOIN offered o ON o.product = i.product AND o.item = i.number WHERE i.faults != '' "
        "GROUP BY i.number ORDER BY min(o.position)"
    )
    for (text,) in state.rows(sql):
        for kind, (number, place) in json.loads(text).items():
            faults.count(kind, place, number)


def _move(state: State, former: str, location: str) -> None:
    """Have pictures asked for at once that lie elsewhere, since the feed does."""
    state.run("CREATE TEMP TABLE moved(number INTEGER PRIMARY KEY, host TEXT)")
    pictures = state.rows("SELECT number, source FROM pictures WHERE NOT extra")
    state.many(
        "INSERT INTO moved VALUES(?, ?)",
        (
            (number, host_of(source, location))
            for number, source in pictures
            if reference_of(source, location) != reference_of(source, former)
        ),
    )
    state.run("UPDATE pictures SET host = m.host, due = 0 FROM moved m WHERE m.number = pictures.number")
    state.run("DROP TABLE moved")


def take_in_extras(state: State, listing: Iterable[tuple[str, str]], location: str) -> None:
    """Bring extra photos, by vendor code and address, in step with their folder; the caller holds the transaction."""
    host = "s3://" + location.removeprefix("s3://").partition("/")[0] if location.startswith("s3://") else ""
    state.run("CREATE TEMP TABLE IF NOT EXISTS listed(code TEXT, place INTEGER, source TEXT)")
    state.run("DELETE FROM listed")
    places: dict[str, int] = {}
    for code, source in listing:
        place = places[code] = places.get(code, -1) + 1
        state.run("INSERT INTO listed VALUES(?, ?, ?)", code, place, source)
    state.run("CREATE TEMP TABLE IF NOT EXISTS listed_codes(code TEXT PRIMARY KEY)")
    state.run("DELETE FROM listed_codes")
    before = "SELECT e.code, e.place, p.source FROM extras e JOIN pictures p ON p.number = e.picture"
    for first, second in ((before, "SELECT * FROM listed"), ("SELECT * FROM listed", before)):
        state.run(f"INSERT OR IGNORE INTO listed_codes SELECT code FROM ({first} EXCEPT {second})")
    if state.value("SELECT 1 FROM listed_codes") is None:
        return
    state.run("DELETE FROM extras WHERE code IN (SELECT code FROM listed_codes)")
    for code, place, source in state.rows("SELECT * FROM listed WHERE code IN (SELECT code FROM listed_codes)"):
        state.run("INSERT INTO extras VALUES(?, ?, ?)", code, place, picture_number(state, source, extra=True, host=host))
    state.run(
        "INSERT OR IGNORE INTO touched SELECT number FROM products WHERE live AND code IN (SELECT code FROM listed_codes)"
    )
