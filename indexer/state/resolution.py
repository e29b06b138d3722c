"""Which photo of which source a product has in the coming version, worked out where anything that it follows from has changed.

A source that failed keeps the photo which the parent has of it. The same bytes count once for a product. A product without photos
stays if it has a name: it can still be found by its words.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import overload

from packsight.indexer.feed.offers import Offer
from packsight.indexer.state.database import State
from packsight.indexer.state.intake import CONFIRMED, offer_of
from packsight.shared.catalog.manifest import PhotoRow, ProductRow
from packsight.shared.contract.outcomes import Failure

NO_VERSION = -1
"""Number of the version before the first."""

_USABLE = "(named OR EXISTS (SELECT 1 FROM resolved r WHERE r.product = products.number))"
USELESS = "p.live AND NOT p.named AND NOT EXISTS (SELECT 1 FROM resolved r WHERE r.product = p.number)"
"""Whether an offered product p has neither a name nor a usable photo; it is left out."""
_TOUCHED = "product IN (SELECT product FROM touched)"


def resolve(state: State, parent: int) -> None:
    """Work out the photos of all products that are touched; the caller holds the transaction.

    parent: number of the version before.
    """
    state.run("CREATE TEMP TABLE IF NOT EXISTS part(product INTEGER, place INTEGER, picture INTEGER)")
    state.run("DELETE FROM part")
    state.run("INSERT INTO part SELECT s.product, s.place, s.picture FROM touched t JOIN shown s ON s.product = t.product")
    state.run(
        "INSERT INTO part SELECT p.number, 1000000 + e.place, e.picture FROM touched t "
        "JOIN products p ON p.number = t.product JOIN extras e ON e.code = p.code WHERE p.live"
    )
    state.run(f"DELETE FROM resolved WHERE {_TOUCHED}")
    state.run(
        "INSERT INTO resolved SELECT product, min(place), picture, sha256, etag FROM ("
        " SELECT o.product, o.place, o.picture, p.sha256, p.validator AS etag FROM part o JOIN pictures p ON p.number = o.picture"
        " WHERE p.failure = '' AND p.sha256 != ''"
        " UNION ALL"
        " SELECT o.product, o.place, o.picture, f.sha256, f.etag FROM part o JOIN pictures p ON p.number = o.picture"
        " JOIN published_photos f ON f.version = ? AND f.product = o.product AND f.picture = o.picture"
        " WHERE p.failure != '' AND f.sha256 NOT IN (SELECT sha256 FROM refused)"
        ") GROUP BY product, sha256",
        parent,
    )


def same_rows(state: State, version: int) -> bool:
    """Whether a version names the same products and photos, whatever their order and validators, as far as they are touched."""
    products = (
        "SELECT 1 FROM touched t LEFT JOIN published_products f ON f.version = ? AND f.product = t.product "
        f"LEFT JOIN (SELECT number, content FROM products WHERE live AND {_USABLE}) p ON p.number = t.product "
        "WHERE p.content IS NOT f.content LIMIT 1"
    )
    return state.one(products, version) is None and same_photos(state, version)


def same_photos(state: State, version: int) -> bool:
    """Whether a version has the same photos of its products, as far as they are touched."""
    ours = f"SELECT product, picture, sha256 FROM resolved WHERE {_TOUCHED}"
    theirs = f"SELECT product, picture, sha256 FROM published_photos WHERE version = ? AND {_TOUCHED}"
    if state.one(f"SELECT 1 FROM ({ours} EXCEPT {theirs}) LIMIT 1", version) is not None:
        return False
    return state.one(f"SELECT 1 FROM ({theirs} EXCEPT {ours}) LIMIT 1", version) is None


@dataclass(frozen=True, slots=True)
class Summary:
    """How many products and photos the coming version has, and what became of those that cannot be used."""

    products: int
    photos: int
    kept_old: int
    notes: tuple[str, ...]


def summary(state: State, parent: int) -> Summary:
    """Count what is resolved; taken from the notes of the last sync when nothing is touched since."""
    if state.one("SELECT 1 FROM touched") is None and (noted := state.get("summary")) is not None:
        products, photos, kept, notes = noted
        return Summary(products, photos, kept, tuple(notes))
    kept = state.value(
        "SELECT count(*) FROM pictures p JOIN (SELECT product, picture FROM shown UNION ALL "
        "SELECT r.number, e.picture FROM extras e JOIN products r ON r.code = e.code AND r.live) o ON o.picture = p.number "
        "JOIN published_photos f ON f.version = ? AND f.product = o.product AND f.picture = p.number "
        "WHERE p.failure != '' AND f.sha256 NOT IN (SELECT sha256 FROM refused)",
        parent,
    )
    notes = []
    without = (
        "FROM products p WHERE live AND {} AND NOT EXISTS (SELECT 1 FROM resolved r WHERE r.product = p.number)"
    )
    for kind, text in (
        ("named", "products without a usable photo, found by their words alone"),
        ("NOT named", "products with neither photo nor name, left out"),
    ):
        if count := state.value(f"SELECT count(*) {without.format(kind)}"):
            first = "ORDER BY (SELECT min(position) FROM offered o WHERE o.product = p.number) LIMIT 1"
            notes.append(f"{text}: {count} (first: {state.value(f'SELECT id {without.format(kind)} {first}')})")
    return Summary(
        int(state.value(f"SELECT count(*) FROM products WHERE live AND {_USABLE}")),
        int(state.value("SELECT count(*) FROM resolved")), int(kept), tuple(notes),
    )  # fmt: skip


def failures(state: State) -> Iterator[tuple[str, Failure]]:
    """Every wanted picture that could not be used, in the order in which the feed named them first."""
    for source, text in state.rows(
        "SELECT source, failure FROM pictures p WHERE failure != '' AND (EXISTS (SELECT 1 FROM shown WHERE picture = p.number) "
        "OR EXISTS (SELECT 1 FROM extras e JOIN products r ON r.code = e.code AND r.live WHERE e.picture = p.number)) "
        "ORDER BY number"
    ):
        yield source, Failure.model_validate_json(text)


def refused(state: State) -> int:
    """How many bytes cannot be described."""
    return int(state.value("SELECT count(*) FROM refused"))


def refuse(state: State, failed: Mapping[str, Failure], lasting: Sequence[str]) -> None:
    """Note bytes, by sha256, that could not be described; the caller holds the transaction.

    lasting: those that are not described again until they change.
    """
    state.run("CREATE TEMP TABLE IF NOT EXISTS failed(sha256 TEXT PRIMARY KEY)")
    state.run("DELETE FROM failed")
    state.many("INSERT INTO failed VALUES(?)", ((sha,) for sha in failed))
    kept = set(lasting)
    rows = ((sha, failure.model_dump_json(), sha in kept) for sha, failure in failed.items())
    state.many("INSERT OR REPLACE INTO refused VALUES(?, ?, ?)", rows)
    state.run(
        "UPDATE pictures SET failure = r.failure, of_bytes = 1 FROM refused r "
        "WHERE r.sha256 = pictures.sha256 AND pictures.sha256 IN (SELECT sha256 FROM failed) AND pictures.failure = ''"
    )
    _touch_showing(state, "p.sha256 IN (SELECT sha256 FROM failed)")
    state.run("INSERT OR IGNORE INTO touched SELECT product FROM resolved WHERE sha256 IN (SELECT sha256 FROM failed)")


def take_back_refusals(state: State, *, all_of_them: bool) -> None:
    """Let bytes be described again that failed for a passing reason, or all; the caller holds the transaction."""
    which = "1" if all_of_them else "NOT lasting"
    if state.one(f"SELECT 1 FROM refused WHERE {which}") is None:
        return
    again = f"p.of_bytes AND p.failure != '' AND p.sha256 IN (SELECT sha256 FROM refused WHERE {which})"
    _touch_showing(state, again)
    state.run(f"UPDATE pictures AS p SET failure = '', of_bytes = 0 WHERE {again}")
    state.run(f"DELETE FROM refused WHERE {which}")


def touch(state: State, pictures: Sequence[int]) -> None:
    """Have the products worked out anew that show any of these pictures; the caller holds the transaction."""
    if pictures:
        _touch_showing(state, "p.number IN (SELECT value FROM json_each(?))", json.dumps(pictures))


def _touch_showing(state: State, which: str, *values: object) -> None:
    state.run(
        f"INSERT OR IGNORE INTO touched SELECT s.product FROM pictures p JOIN shown s ON s.picture = p.number WHERE {which}",
        *values,
    )
    state.run(
        "INSERT OR IGNORE INTO touched SELECT r.number FROM pictures p JOIN extras e ON e.picture = p.number "
        f"JOIN products r ON r.code = e.code AND r.live WHERE {which}",
        *values,
    )


def changed_products(state: State, version: int) -> list[str] | None:
    """Ids of products that say something else than in a version; None where some came or went."""
    sql = (
        "SELECT x.id, p.content IS NULL OR f.content IS NULL FROM touched t JOIN products x ON x.number = t.product "
        "LEFT JOIN published_products f ON f.version = ? AND f.product = t.product "
        f"LEFT JOIN (SELECT number, content FROM products WHERE live AND {_USABLE}) p ON p.number = t.product "
        "WHERE p.content IS NOT f.content"
    )
    found = state.rows(sql, version).fetchall()
    return None if any(moved for _, moved in found) else [identity for identity, _ in found]


def touched(state: State, ids: Iterable[str]) -> set[str]:
    """Those of these ids whose products may stand otherwise than when a sync last ended."""
    sql = "SELECT id FROM products p JOIN touched t ON t.product = p.number WHERE id IN (SELECT value FROM json_each(?))"
    return {identity for (identity,) in state.rows(sql, json.dumps(list(ids)))}


def touched_rows(state: State) -> Iterator[ProductRow]:
    """Products that may stand otherwise than when a sync last ended, as they are offered now."""
    found = state.rows("SELECT number FROM products p JOIN touched t ON t.product = p.number WHERE live").fetchall()
    return (offer_of(state, number).product for (number,) in found)


def live(state: State, ids: Iterable[str]) -> set[str]:
    """Those of these ids under which something is offered."""
    sql = "SELECT id FROM products WHERE live AND id IN (SELECT value FROM json_each(?))"
    return {identity for (identity,) in state.rows(sql, json.dumps(list(ids)))}


def live_rows(state: State, ids: Sequence[str]) -> list[ProductRow]:
    """Products of these ids, as they are offered now."""
    sql = "SELECT number FROM products WHERE live AND id IN (SELECT value FROM json_each(?))"
    return [offer_of(state, number).product for (number,) in state.rows(sql, json.dumps(ids)).fetchall()]


def pictures(state: State, version: int) -> tuple[int, int]:
    """How many pictures the feed and the extra photos name, and how many of them no photo of a version is of."""
    named = (
        f"SELECT picture FROM shown s JOIN products p ON p.number = s.product AND p.live WHERE s.place < {CONFIRMED} UNION "
        "SELECT e.picture FROM extras e JOIN products r ON r.code = e.code AND r.live"
    )
    new = f"SELECT count(*) FROM ({named}) WHERE picture NOT IN (SELECT picture FROM published_photos WHERE version = ?)"
    return int(state.value(f"SELECT count(*) FROM ({named})")), int(state.value(new, version))


def pictured(state: State) -> list[str]:
    """Ids of the products that a picture is named for, whether or not it can be had."""
    sql = (
        "SELECT id FROM products p WHERE live AND (EXISTS (SELECT 1 FROM shown WHERE product = p.number) "
        "OR EXISTS (SELECT 1 FROM extras WHERE code = p.code))"
    )
    return [identity for (identity,) in state.rows(sql)]


@dataclass(frozen=True, slots=True)
class ReviewedRow:
    """A photo that people confirmed, among those of the coming version.

    product: id; others: hashes of the product's photos before it; elsewhere: id of another product that has it from its feed,
    of a new one alone; new: whether the version before does not have it.
    """

    product: str
    sha256: str
    others: tuple[str, ...]
    elsewhere: str
    new: bool


def reviewed_rows(state: State, products: Sequence[str], parent: int = NO_VERSION) -> list[ReviewedRow]:
    """The photos of these products that people confirmed, by id and place; parent: number of the version before."""
    sql = (
        "SELECT p.id, r.sha256, r.place >= ?, r.place >= ? AND NOT EXISTS (SELECT 1 FROM published_photos f WHERE f.version = ? "
        "AND f.product = r.product AND f.sha256 = r.sha256) FROM products p JOIN resolved r ON r.product = p.number "
        "WHERE p.id IN (SELECT value FROM json_each(?)) AND p.live ORDER BY p.id, r.place"
    )
    rows = state.rows(sql, CONFIRMED, CONFIRMED, parent, json.dumps(products)).fetchall()
    owners = _owners(state, [sha for _, sha, _, new in rows if new])
    found, before = list[ReviewedRow](), dict[str, list[str]]()
    for product, sha, confirmed, new in rows:
        others = before.setdefault(product, [])
        if confirmed:
            elsewhere = next((one for one in owners.get(sha, ()) if one != product), "") if new else ""
            found.append(ReviewedRow(product, sha, tuple(others), elsewhere, bool(new)))
        others.append(sha)
    return found


def _owners(state: State, hashes: Sequence[str]) -> dict[str, list[str]]:
    """Ids of the products that have these photos from elsewhere than a review."""
    if not hashes:
        return {}
    sql = (
        "SELECT r.sha256, p.id FROM resolved r JOIN products p ON p.number = r.product AND p.live "
        "WHERE r.place < ? AND r.sha256 IN (SELECT value FROM json_each(?)) ORDER BY p.id"
    )
    found: dict[str, list[str]] = {}
    for sha, product in state.rows(sql, CONFIRMED, json.dumps(hashes)):
        found.setdefault(sha, []).append(product)
    return found


def put_in_order(state: State, *, usable: bool = True) -> None:
    """Number the usable products, or all, in the order of the feed, in the table `ordered`; the caller holds the transaction."""
    state.run("CREATE TEMP TABLE IF NOT EXISTS ordered(rank INTEGER PRIMARY KEY, product INTEGER, items INTEGER, item INTEGER)")
    state.run("DELETE FROM ordered")
    state.run(
        "INSERT INTO ordered SELECT row_number() OVER (ORDER BY at) - 1, product, items, item FROM "
        "(SELECT o.product, min(o.position) AS at, count(*) AS items, o.item FROM offered o GROUP BY o.product) f "
        f"WHERE EXISTS (SELECT 1 FROM products WHERE number = f.product AND live AND {_USABLE if usable else '1'})"
    )


def hashes(state: State) -> Iterator[str]:
    """Photos of the coming version, once each, in the order of the products."""
    sql = (
        "SELECT sha256 FROM (SELECT r.sha256, min(o.rank * 10000000 + r.place) AS at FROM ordered o "
        "JOIN resolved r ON r.product = o.product GROUP BY r.sha256) ORDER BY at"
    )
    return (sha for (sha,) in state.rows(sql))


class ProductRows(Sequence[ProductRow]):
    """Products of the coming version in the order of the feed, read as they are asked for; see `put_in_order`."""

    def __init__(self, state: State) -> None:
        self._state = state

    def __len__(self) -> int:
        return int(self._state.value("SELECT count(*) FROM ordered"))

    def named(self, ids: Sequence[str]) -> Iterator[ProductRow]:
        """Those with these ids."""
        which = "JOIN products p ON p.number = o.product WHERE p.id IN (SELECT value FROM json_each(?))"
        for product, items, text in self._state.rows(f"{self._QUERY} {which}", json.dumps(ids)):
            yield self._row(product, items, text)

    def __iter__(self) -> Iterator[ProductRow]:
        for product, items, text in self._state.rows(f"{self._QUERY} ORDER BY o.rank"):
            yield self._row(product, items, text)

    _QUERY = "SELECT o.product, o.items, i.offer FROM ordered o JOIN items i ON i.number = o.item"

    def _row(self, product: int, items: int, text: str) -> ProductRow:
        return Offer.parse(text).product if items == 1 else offer_of(self._state, product).product

    @overload
    def __getitem__(self, index: int) -> ProductRow: ...
    @overload
    def __getitem__(self, index: slice) -> list[ProductRow]: ...
    def __getitem__(self, index: int | slice) -> ProductRow | list[ProductRow]:
        if isinstance(index, slice):
            return [self[one] for one in range(*index.indices(len(self)))]
        found = self._state.one(f"{self._QUERY} WHERE o.rank = ?", index if index >= 0 else index + len(self))
        if found is None:
            raise IndexError(index)
        return self._row(*found)


def offered(state: State) -> ProductRows:
    """All that is offered, whether or not it can be used; the caller holds the transaction."""
    put_in_order(state, usable=False)
    return ProductRows(state)


class PhotoRows(Sequence[PhotoRow]):
    """Photos of the coming version, those of a product together; see `put_in_order`."""

    def __init__(self, state: State) -> None:
        self._state = state

    _QUERY = (
        "SELECT p.id, r.sha256, c.source, c.extra, r.etag FROM ordered o JOIN resolved r ON r.product = o.product "
        "JOIN products p ON p.number = o.product JOIN pictures c ON c.number = r.picture ORDER BY o.rank, r.place"
    )

    def __len__(self) -> int:
        return int(self._state.value("SELECT count(*) FROM ordered o JOIN resolved r ON r.product = o.product"))

    def __iter__(self) -> Iterator[PhotoRow]:
        for row in self._state.rows(self._QUERY):
            yield _photo(row)

    @overload
    def __getitem__(self, index: int) -> PhotoRow: ...
    @overload
    def __getitem__(self, index: slice) -> list[PhotoRow]: ...
    def __getitem__(self, index: int | slice) -> PhotoRow | list[PhotoRow]:
        if isinstance(index, slice):
            return [self[one] for one in range(*index.indices(len(self)))]
        found = self._state.one(f"{self._QUERY} LIMIT 1 OFFSET ?", index if index >= 0 else index + len(self))
        if found is None:
            raise IndexError(index)
        return _photo(found)


def _photo(row: tuple[str, str, str, int, str]) -> PhotoRow:
    identity, sha256, source, extra, etag = row
    return PhotoRow(product_id=identity, sha256=sha256, source=source, extra=bool(extra), etag=etag)
