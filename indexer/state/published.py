"""The rows of published versions, as far as the next one follows from them, in the state."""

from __future__ import annotations

from collections.abc import Collection

from packsight.indexer.state.database import State
from packsight.indexer.state.intake import content_of, host_of, picture_number, product_number
from packsight.indexer.state.schedule import AT_ONCE
from packsight.shared.catalog.tables import open_published
from packsight.shared.catalog.versions import CatalogStore


def mirror(state: State, catalogs: CatalogStore, version: str, feed: str) -> int:
    """The number of a published version, whose rows are read when the state does not know them; holds the transaction itself.

    A picture of which the version says something else than the state is asked for at once: one of the two is out of date.
    Raises CatalogError when the version is damaged or not there.
    """
    number = state.value("SELECT number FROM versions WHERE name = ?", version)
    if number is not None:
        return int(number)
    with open_published(catalogs, version) as (products, photos), state.transaction():
        number = int(state.value("INSERT INTO versions(name) VALUES(?) RETURNING number", version))
        for product in products:
            state.run(
                "INSERT INTO published_products VALUES(?, ?, ?)", number, product_number(state, product.id), content_of(product)
            )
        for photo in photos:
            host = "" if photo.extra and not photo.source.startswith("s3://") else host_of(photo.source, feed)
            picture = picture_number(state, photo.source, extra=photo.extra, host=host)
            state.run(
                "INSERT OR REPLACE INTO published_photos VALUES(?, ?, ?, ?, ?)",
                number, product_number(state, photo.product_id), picture, photo.sha256, photo.etag,
            )  # fmt: skip
        state.run(
            "UPDATE pictures SET sha256 = f.sha256, validator = f.etag, failure = '', of_bytes = 0, "
            "due = CASE WHEN pictures.sha256 = '' THEN 1 ELSE ? END FROM published_photos f "
            "WHERE f.version = ? AND f.picture = pictures.number AND f.sha256 != pictures.sha256",
            AT_ONCE, number,
        )  # fmt: skip
        touch_all(state)
    return number


def touch_all(state: State) -> None:
    """Have every row worked out anew, in the state that nothing is known of."""
    state.run("INSERT OR IGNORE INTO touched SELECT number FROM products")


def adopt(state: State, number: int | None, version: str, *, alone: bool) -> None:
    """Note the rows that were built as those of a version that is published; the caller holds the transaction.

    number: of the version before, whose rows become it where they differ, if nobody else needs them (`alone`).
    """
    if number is not None and alone:
        state.run("UPDATE versions SET name = ? WHERE number = ?", version, number)
        for table in ("published_products", "published_photos"):
            state.run(f"DELETE FROM {table} WHERE version = ? AND product IN (SELECT product FROM touched)", number)
        which = "product IN (SELECT product FROM touched)"
    else:
        state.run("DELETE FROM versions WHERE name = ?", version)
        number = int(state.value("INSERT INTO versions(name) VALUES(?) RETURNING number", version))
        which = "1"
    state.run(
        f"INSERT INTO published_photos SELECT ?, product, picture, sha256, etag FROM resolved WHERE {which}", number
    )
    state.run(
        "INSERT INTO published_products SELECT ?, number, content FROM "
        f"(SELECT number, content, number AS product FROM products WHERE live AND content IS NOT NULL AND (named OR EXISTS "
        f"(SELECT 1 FROM resolved r WHERE r.product = products.number))) WHERE {which}",
        number,
    )


def forget(state: State, kept: Collection[str]) -> None:
    """Drop what no version that is served and no offer needs; the caller holds the transaction."""
    for number, name in state.rows("SELECT number, name FROM versions").fetchall():
        if name not in kept:
            for table in ("published_products", "published_photos"):
                state.run(f"DELETE FROM {table} WHERE version = ?", number)
            state.run("DELETE FROM versions WHERE number = ?", number)
    state.run(
        "DELETE FROM pictures WHERE number NOT IN (SELECT picture FROM shown UNION ALL SELECT picture FROM extras "
        "UNION ALL SELECT picture FROM published_photos)"
    )
    state.run(
        "DELETE FROM products WHERE NOT live AND number NOT IN (SELECT product FROM published_products "
        "UNION ALL SELECT product FROM published_photos)"
    )
    state.run(
        "DELETE FROM refused WHERE sha256 NOT IN (SELECT sha256 FROM pictures UNION ALL SELECT sha256 FROM published_photos)"
    )
