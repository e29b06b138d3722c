"""A copy of what was seen at the pictures' sources in object storage, so that an indexer on another host goes on from there.

Products are not in it: the feed tells them at once. What the copy says of a picture is corrected by the published version.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from packsight.indexer.state.database import State
from packsight.indexer.state.intake import host_of
from packsight.indexer.state.schedule import WANTED
from packsight.shared.contract.errors import ErrorCode, StorageError
from packsight.shared.storage import layout
from packsight.shared.storage.objects import ObjectStore

COPY_SECONDS = 3600.0
"""Between two copies: a million pictures take some seconds and 60 MB, and what a lost host has seen since is seen again."""
_LINE = 100_000
"""Bytes of a line; an address has some hundreds."""
_REFUSED, _SHA256 = 2, 3
"""Values in a line of refused bytes, and the place of the hash in one of a picture."""
_COLUMNS = "source, extra, validator, sha256, failure, of_bytes, changed, due, tries"


def keep(state: State, store: ObjectStore, catalog: str, now: float) -> bool:
    """Write the copy anew, unless it is young; tell whether it was written."""
    if 0 <= now - (state.get("copied") or 0.0) < COPY_SECONDS:  # later than now: the clock was set back meanwhile
        return False
    with TemporaryDirectory() as folder:
        path = Path(folder) / "pictures"
        with gzip.open(path, "wt", compresslevel=1, encoding="utf-8") as file:
            for row in state.rows("SELECT sha256, failure FROM refused WHERE lasting"):
                file.write(json.dumps(row) + "\n")
            for row in state.rows(f"SELECT {_COLUMNS} FROM pictures p WHERE (sha256 != '' OR failure != '') AND {WANTED}"):
                file.write(json.dumps(row) + "\n")
        store.upload(layout.pictures(catalog), str(path))
    state.set("copied", now)
    return True


def copied(store: ObjectStore, catalog: str) -> Iterator[str]:
    """Hashes of the bytes that the copy names: fetched for a version to come, or known to be of no use."""
    with TemporaryDirectory() as folder, suppress(OSError, EOFError, ValueError, zlib.error):
        for row in _lines(store, catalog, Path(folder)):
            sha256 = row[0] if len(row) == _REFUSED else row[_SHA256]
            if isinstance(sha256, str) and sha256:
                yield sha256


def restore(state: State, store: ObjectStore, catalog: str, feed: str) -> None:
    """Fill a new state from the copy; one that is not there, or not readable, is none. The caller holds no transaction."""
    for key in list(store.list(layout.former_sources(catalog))):
        store.remove(key)
    with TemporaryDirectory() as folder, suppress(OSError, EOFError, ValueError, TypeError, zlib.error), state.transaction():
        for row in _lines(store, catalog, Path(folder)):
            _take(state, row, feed)


def _lines(store: ObjectStore, catalog: str, folder: Path) -> Iterator[list[object]]:
    path = folder / "pictures"
    try:
        store.download(layout.pictures(catalog), path)
    except StorageError as error:
        if error.code not in {ErrorCode.OBJECT_MISSING, ErrorCode.BUCKET_MISSING}:
            raise
        return
    with gzip.open(path) as file:
        while line := file.readline(_LINE):
            yield json.loads(line)


def _take(state: State, row: list[object], feed: str) -> None:
    match row:
        case [str(sha256), str(failure)]:
            state.run("INSERT OR REPLACE INTO refused VALUES(?, ?, 1)", sha256, failure)
        case [str(source), int(extra), str(), str(), str(), int(), int() | float(), int() | float(), int()]:
            host = "" if extra and not source.startswith("s3://") else host_of(source, feed)
            state.run(f"INSERT OR REPLACE INTO pictures({_COLUMNS}, host) VALUES({'?, ' * 9}?)", *row, host)
        case _:
            raise ValueError("a line of another kind")
