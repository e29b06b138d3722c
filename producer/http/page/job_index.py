"""What of a job's outcomes is searched, filtered and sorted by: a small SQLite file for each job, kept between visits.

    HOME/http/jobs/<job>-<format>.sqlite

It is made when somebody first looks at the job, and brought up to date at each visit: a batch is read when it has ended, and
again when its counts are others than those that were read. Outcomes themselves stay in the result database. Whatever is lost
here is made again.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from packsight.producer.client import Client
from packsight.producer.collect import rows_of, unopened_rows
from packsight.producer.http.page.told import Photo, photo_of, told_of, values_of
from packsight.producer.rows import Row
from packsight.shared.catalog.words.normalise import tokens
from packsight.shared.contract.outcomes import Candidate, Evidence, Outcome, Product, Status
from packsight.shared.pieces import pieces
from packsight.shared.queue.ledger import NEVER_BEGUN
from packsight.shared.storage.jobs import Batch, JobImage, JobManifest, task_ids

FORMAT = 2
"""Of the file: others are made anew."""
_PART = 4
"""Batches that are read at a time. Parsing holds the interpreter, and who looks at pages meanwhile would wait at every turn of
theirs; so after each part it is left to them for as long as the part took."""

_TABLES = """
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS batches (number INTEGER PRIMARY KEY, counts TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS photos (
    place INTEGER PRIMARY KEY, name TEXT NOT NULL, image TEXT NOT NULL, sha256 TEXT, extra TEXT NOT NULL, status TEXT NOT NULL,
    product TEXT NOT NULL, product_name TEXT NOT NULL, confidence REAL NOT NULL, doubt REAL NOT NULL, code TEXT NOT NULL,
    retryable INTEGER NOT NULL, lacking TEXT NOT NULL, folded TEXT NOT NULL, words TEXT NOT NULL
);
COMMIT;
"""
"""At once, and as often as it is asked: several requests may open a new file together."""
_UNOPENED = -1
"""Number under which photos are noted that no worker is asked about."""
_CANCELLED = "cancelled"
"""Stands for the counts of a batch that nobody had begun when its job was cancelled."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A photo of a job as lists show it. confidence: of the first candidate; product: its id."""

    place: int
    name: str
    status: Status
    product: str
    product_name: str
    confidence: float
    code: str


SORTS = {
    "": "place",
    "unsure": "status = 'failed', status != 'ambiguous', doubt DESC, place",
    "sure": "status = 'failed', doubt, place",
    "name": "name, place",
}
"""Orders of photos; the least sure are those whose answers are as good as a coin's toss."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which photos of a job, and in which order (of SORTS). least, most: confidence from 0 to 1."""

    text: str = ""
    status: Status | None = None
    code: str = ""
    product: str = ""
    least: float | None = None
    most: float | None = None
    sort: str = ""

    def where(self) -> tuple[str, list[Any]]:
        """As SQL with its parameters."""
        parts: list[str] = ["1"]
        values: list[Any] = []
        for piece in self.text.split():
            keys = [token.key for token in tokens(piece)]
            words = " AND ".join(["instr(words, ?)"] * len(keys))
            parts.append(f"(instr(folded, ?){f' OR ({words})' if keys else ''})")
            values += [piece.casefold(), *(f" {key}" for key in keys)]
        equal = {"status": self.status, "code": self.code, "product": self.product}
        for column, value in equal.items():
            if value:
                parts.append(f"{column} = ?")
                values.append(str(value))
        for comparison, bound in (("confidence >= ?", self.least), ("confidence <= ?", self.most)):
            if bound is not None:
                parts.append(f"{comparison} AND status != 'failed'")
                values.append(bound)
        return " AND ".join(parts), values


@dataclass(frozen=True, slots=True)
class Found:
    """A page of photos; total: how many there are of this kind, known: how many of the job are in the index."""

    entries: list[Entry]
    total: int
    known: int
    codes: Counter[str]
    """Failures of the whole job by code."""
    retryable: int
    """Those of them that a retry can help."""


class JobIndex:
    """The index of one job. Methods raise sqlite3.DatabaseError when its file is damaged."""

    def __init__(self, path: Path, manifest: JobManifest) -> None:
        self.path, self.manifest = path, manifest

    def find(self, wanted: Wanted, first: int, count: int) -> Found:
        """Photos in order from the `first` on, at most `count`."""
        condition, values = wanted.where()
        with self._open() as database:
            # Conditions and orders are texts of ours; what was asked for goes in as values.
            total = database.execute(f"SELECT count(*) FROM photos WHERE {condition}", values).fetchone()[0]  # noqa: S608
            order = SORTS.get(wanted.sort, SORTS[""])
            rows = database.execute(
                "SELECT place, name, status, product, product_name, confidence, code FROM photos "  # noqa: S608
                f"WHERE {condition} ORDER BY {order} LIMIT ? OFFSET ?", [*values, count, first],
            ).fetchall()  # fmt: skip
            known = database.execute("SELECT count(*) FROM photos").fetchone()[0]
            codes = Counter(dict(database.execute("SELECT code, count(*) FROM photos WHERE code != '' GROUP BY code")))
            retryable = database.execute("SELECT count(*) FROM photos WHERE retryable").fetchone()[0]
        return Found([Entry(row[0], row[1], Status(row[2]), *row[3:]) for row in rows], total, known, codes, retryable)

    def places(self, wanted: Wanted) -> list[int]:
        """Where all such photos are in the job, in order."""
        condition, values = wanted.where()
        order = SORTS.get(wanted.sort, SORTS[""])
        with self._open() as database:
            rows = database.execute(f"SELECT place FROM photos WHERE {condition} ORDER BY {order}", values)  # noqa: S608
            return [place for (place,) in rows]

    def image(self, place: int) -> JobImage | None:
        """What was submitted at a place; None while that is not known."""
        with self._open() as database:
            row = database.execute("SELECT image, name, sha256, extra FROM photos WHERE place = ?", [place]).fetchone()
        return row and JobImage(reference=row[0] or "?", name=row[1], sha256=row[2], extra=json.loads(row[3]))

    def light(self) -> Iterator[Row]:
        """Every photo with as much of its outcome as says whether a person should look at it."""
        with self._open() as database:
            rows = database.execute(
                "SELECT place, name, image, sha256, status, product, product_name, confidence, lacking FROM photos"
            ).fetchall()
        for place, name, image, sha256, status, product, product_name, confidence, lacking in rows:
            # Not validated again: that would take seconds for a large job.
            named = Product.model_construct(id=product, name=product_name)
            first = Candidate.model_construct(product=named, confidence=confidence, evidence=Evidence())
            outcome = Outcome.model_construct(
                image=image, status=Status(status), sha256=sha256, confidence=confidence, lacking=lacking.split(),
                candidates=[first] if product else [],
            )  # fmt: skip
            yield Row(self.manifest.job, place, name, outcome)

    def refresh(self, client: Client, stop: threading.Event) -> None:
        """Read what has ended or changed since the last time; `stop` ends it early, and what was read by then is kept."""
        ids, size = task_ids(self.manifest), self.manifest.batch_size
        cancelled = client.ledger.jobs.is_cancelled(self.manifest.job)
        counted, never = client.ledger.ended(ids, client.ledger.results.counted, cancelled=cancelled)
        told = {name: json.dumps(counts) for name, counts in counted.items()} | dict.fromkeys(never, _CANCELLED)
        now = {number: told[name] for number, name in enumerate(ids) if name in told}
        with self._open() as database:
            known: dict[int, str] = dict(database.execute("SELECT number, counts FROM batches"))
        gone = [number for number, counts in known.items() if counts == _CANCELLED and number not in now]
        changed = [number for number, counts in now.items() if known.get(number) != counts]
        if not changed and not gone and _UNOPENED in known:
            return
        job = client.load(self.manifest.job)
        if _UNOPENED not in known:
            unopened = [photo_of(row) for row in unopened_rows(job)]
            self._write({_UNOPENED: (unopened, "")})
        self._remove(gone, size)
        for part in pieces(changed, _PART):
            began = time.monotonic()
            ends = client.ledger.results.read([ids[number] for number in part if now[number] != _CANCELLED])
            batches = [job.batches[number] for number in part]
            self._write({one.index: (told_of(one, ends.get(one.task_id, NEVER_BEGUN)), now[one.index]) for one in batches})
            if stop.wait(time.monotonic() - began):
                return

    def row(self, client: Client, place: int) -> Row | None:
        """The outcome of a photo in full; None while there is none. Raises as `refresh` does."""
        if place >= self.manifest.images:
            return next((row for row in unopened_rows(client.load(self.manifest.job)) if row.index == place), None)
        return self.rows(client, [place]).get(place)

    def rows(self, client: Client, places: Iterable[int]) -> dict[int, Row]:
        """The same of several photos that workers were asked about, by place, where there is one: each batch is read once."""
        wanted, size, ids = set(places), self.manifest.batch_size, task_ids(self.manifest)
        found: dict[int, Row] = {}
        for number in sorted({place // size for place in wanted}):
            first, name = number * size, ids[number]
            images = [self.image(one) for one in range(first, min(first + size, self.manifest.images))]
            end = client.ledger.ends(self.manifest.job, [name]).get(name)
            if end is None or None in images:
                continue
            batch = Batch(name, number, first, [image for image in images if image is not None])
            for row, image in zip(rows_of(batch, end), batch.images, strict=True):
                if row.index in wanted:
                    sha256 = row.outcome.sha256 or image.sha256
                    found[row.index] = replace(row, outcome=row.outcome.model_copy(update={"sha256": sha256}))
        return found

    @property
    def revision(self) -> int:
        """Another number after each change."""
        with self._open() as database:
            return int(database.execute("PRAGMA user_version").fetchone()[0])

    def _remove(self, numbers: Collection[int], size: int) -> None:
        with self._changing() as database:
            database.executemany("DELETE FROM batches WHERE number = ?", [[number] for number in numbers])
            spans = [[number * size, (number + 1) * size] for number in numbers]
            database.executemany("DELETE FROM photos WHERE place >= ? AND place < ?", spans)

    def _write(self, batches: dict[int, tuple[list[Photo], str]]) -> None:
        values = [values_of(*photo) for photos, _ in batches.values() for photo in photos]
        with self._changing() as database:
            database.executemany("INSERT OR REPLACE INTO photos VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
            marks = [[number, counts] for number, (_, counts) in batches.items()]
            database.executemany("INSERT OR REPLACE INTO batches VALUES (?, ?)", marks)

    @contextlib.contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        with self._open() as database, database:
            yield database
            database.execute(f"PRAGMA user_version = {database.execute('PRAGMA user_version').fetchone()[0] + 1}")

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.closing(sqlite3.connect(self.path, timeout=30)) as database:
            database.execute("PRAGMA synchronous = OFF")  # whatever is lost is made again
            if database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
                with contextlib.suppress(sqlite3.OperationalError):  # waits for nobody: who else is in the new file does the same
                    database.execute("PRAGMA journal_mode = WAL")
                database.executescript(_TABLES)
            yield database
