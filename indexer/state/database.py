"""The file of SQLite that holds an indexer's memory of one catalog, open in one process at a time.

It may be lost, stale or damaged at any time: all of it follows from the feed, the published versions and the pictures' sources.
"""

from __future__ import annotations

import json
import sqlite3
import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from packsight.shared.contract.errors import UserError

FORMAT = 2
"""Raised with every change of the schema or of what is in it; a file of another format is made anew."""
CACHE_KB = 64_000
"""Pages held in memory: enough for the inner nodes of all indexes of a million pictures, and a tenth of what a sync may take."""

_SCHEMA = """
-- What is known by name: the feed's validator and notes, what was settled, when the copy was made. Values are JSON.
CREATE TABLE meta(name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
-- Every item of the feed (an offer, a row of a table) by the digest of what it says, with the offer that was read from it, and
-- what was wrong with it: JSON, empty for nothing.
CREATE TABLE items(
  number INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, product INTEGER NOT NULL, offer TEXT NOT NULL,
  faults TEXT NOT NULL DEFAULT '');
CREATE INDEX items_faulty ON items(number) WHERE faults != '';
-- The feed as it was read last: its items in their order.
CREATE TABLE offered(position INTEGER PRIMARY KEY, item INTEGER NOT NULL, product INTEGER NOT NULL);
CREATE INDEX offered_product ON offered(product);
-- Products by id; those that are not live are only published. content: digest of the whole row.
CREATE TABLE products(
  number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, content BLOB, code TEXT NOT NULL DEFAULT '',
  named INTEGER NOT NULL DEFAULT 0, live INTEGER NOT NULL DEFAULT 0);
CREATE INDEX products_code ON products(code);
-- Pictures by their address in the feed or below the folder of extra photos, and what was last seen there.
-- failure: JSON, empty when the last look went well; of_bytes: it is that these bytes cannot be described.
-- changed: when other bytes were first seen. due: when to ask next, 0 for at once. tries: failures in a row.
CREATE TABLE pictures(
  number INTEGER PRIMARY KEY, source TEXT NOT NULL, extra INTEGER NOT NULL, host TEXT NOT NULL,
  validator TEXT NOT NULL DEFAULT '', sha256 TEXT NOT NULL DEFAULT '', failure TEXT NOT NULL DEFAULT '',
  of_bytes INTEGER NOT NULL DEFAULT 0, changed REAL NOT NULL DEFAULT 0, due REAL NOT NULL DEFAULT 0,
  tries INTEGER NOT NULL DEFAULT 0, UNIQUE(source, extra));
CREATE INDEX pictures_due ON pictures(host, due);
CREATE INDEX pictures_failing ON pictures(number) WHERE failure != '';
-- Pictures of a product as its offers name them, after them those that people confirmed; and those of folders of extra photos
-- by their vendor code.
CREATE TABLE shown(product INTEGER, place INTEGER, picture INTEGER NOT NULL, PRIMARY KEY(product, place)) WITHOUT ROWID;
CREATE INDEX shown_picture ON shown(picture);
CREATE TABLE extras(code TEXT, place INTEGER, picture INTEGER NOT NULL, PRIMARY KEY(code, place)) WITHOUT ROWID;
CREATE INDEX extras_picture ON extras(picture);
-- Bytes that cannot be described and why; those that are not lasting are tried again by the next sync.
CREATE TABLE refused(sha256 TEXT PRIMARY KEY, failure TEXT NOT NULL, lasting INTEGER NOT NULL) WITHOUT ROWID;
-- Hosts that failed in the last syncs in a row, and until when they are left alone.
CREATE TABLE hosts(host TEXT PRIMARY KEY, failures INTEGER NOT NULL, until REAL NOT NULL) WITHOUT ROWID;
-- The rows of published versions.
CREATE TABLE versions(number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE published_products(version INTEGER, product INTEGER, content BLOB NOT NULL, PRIMARY KEY(version, product))
  WITHOUT ROWID;
CREATE TABLE published_photos(
  version INTEGER, product INTEGER, picture INTEGER, sha256 TEXT NOT NULL, etag TEXT NOT NULL,
  PRIMARY KEY(version, product, picture)) WITHOUT ROWID;
-- Products whose rows may differ from those of the versions that are published, since anything that they follow from changed.
CREATE TABLE touched(product INTEGER PRIMARY KEY);
-- Photos of the coming version.
CREATE TABLE resolved(
  product INTEGER, place INTEGER, picture INTEGER NOT NULL, sha256 TEXT NOT NULL, etag TEXT NOT NULL,
  PRIMARY KEY(product, place)) WITHOUT ROWID;
"""

_THE_DISKS = frozenset(
    (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM)
)

_RIGHTS = "Free space or correct the rights in the folder of PACKSIGHT_HOME."


class DamagedStateError(Exception):
    """The file is broken, or says what cannot be; it is to be made anew."""


class State:
    """One catalog's memory; see `opened`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._asked: weakref.WeakSet[sqlite3.Cursor] = weakref.WeakSet()

    def close(self) -> None:
        """Let the file go, whoever still holds rows that were not read to their end: SQLite keeps it until those are closed."""
        for cursor in list(self._asked):
            cursor.close()
        self._connection.close()

    def run(self, sql: str, *values: Any) -> int:
        """Run a statement and return how many rows it changed."""
        return self._connection.execute(sql, values).rowcount

    def many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run a statement for each row of values."""
        self._connection.executemany(sql, rows)

    def rows(self, sql: str, *values: Any) -> sqlite3.Cursor:
        """Rows of a query, as they are asked for."""
        cursor = self._connection.execute(sql, values)
        self._asked.add(cursor)
        return cursor

    def one(self, sql: str, *values: Any) -> Any:
        """The first row of a query; None when there is none."""
        return self._connection.execute(sql, values).fetchone()

    def value(self, sql: str, *values: Any) -> Any:
        """The first value of the first row; None when there is none."""
        row = self.one(sql, *values)
        return None if row is None else row[0]

    def get(self, name: str) -> Any:
        """What was noted under a name; None when nothing was."""
        text = self.value("SELECT value FROM meta WHERE name = ?", name)
        return None if text is None else json.loads(text)

    def set(self, name: str, value: Any) -> None:
        """Note a value under a name."""
        self.run("INSERT OR REPLACE INTO meta VALUES(?, ?)", name, json.dumps(value, ensure_ascii=False))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing of what is written within, whatever ends the process."""
        self.run("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.rollback()
            raise
        self._connection.commit()


@contextmanager
def opened(path: Path | None = None) -> Iterator[State]:
    """The memory in a file, new where there is none or one of another format; None: in this process alone.

    Raises DamagedStateError when the file is broken, UserError when another process has it open or the disk fails: these also for
    what is done with the state within.
    """
    if path is not None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"{path.parent} cannot be made: {error.strerror}. {_RIGHTS}") from None
    try:
        connection = sqlite3.connect(path or ":memory:", timeout=1.0, isolation_level=None)
        with closing(State(connection)) as state:
            _prepare(connection)
            yield state
    except sqlite3.Error as error:
        raise _typed(error, path) from error


def discard(path: Path) -> None:
    """Remove a file of state, with what SQLite keeps beside it."""
    for suffix in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _prepare(connection: sqlite3.Connection) -> None:
    # Exclusive: the lock is held until the file is closed, so that a second process hears at once that there is a first one.
    for pragma in ("locking_mode = EXCLUSIVE", "journal_mode = WAL", "synchronous = NORMAL", f"cache_size = -{CACHE_KB}"):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute("BEGIN IMMEDIATE")
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    if found != FORMAT:
        for kind, name in connection.execute("SELECT type, name FROM sqlite_master WHERE sql NOT NULL").fetchall():
            if kind == "table":
                connection.execute(f'DROP TABLE "{name}"')
        for statement in _statements():
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {FORMAT}")
    connection.commit()


def _statements() -> Iterator[str]:
    """Apart, since `executescript` would end the transaction."""
    lines = [line for line in _SCHEMA.splitlines() if not line.startswith("--")]
    return (statement for statement in "\n".join(lines).split(";") if statement.strip())


def _typed(error: sqlite3.Error, path: Path | None) -> Exception:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return UserError(
            f"{path} is in use by another indexer with the same home. Wait for its end, or give each indexer a PACKSIGHT_HOME of "
            "its own."
        )
    if code in _THE_DISKS:
        return UserError(f"{path} cannot be written: {error}. {_RIGHTS}")
    return DamagedStateError(f"{path}: {error}")
