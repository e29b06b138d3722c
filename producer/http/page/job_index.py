"""What of a job's outcomes is searched, filtered and sorted by: a small SQLite file for each job, kept between visits.

    HOME/http/jobs/<job>-<format>.sqlite

It is made when somebody first looks at the job, and brought up to date at each visit: a batch is read when it has ended, and
again when its counts are others than those that were read. Outcomes themselves stay in the result database. Whatever is lost
here is made again.
"""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from packsight.producer.client import Client
from packsight.producer.collect import chunks, rows_of, unopened_rows
from packsight.producer.rows import Row
from packsight.shared.catalog.words.normalise import tokens
from packsight.shared.contract.errors import ErrorCode
from packsight.shared.contract.outcomes import Candidate, Evidence, Outcome, Product, Status
from packsight.shared.queue.ledger import NEVER_BEGUN
from packsight.shared.queue.results import TaskEnd
from packsight.shared.storage.jobs import JOB_NAME, Batch, JobImage, JobManifest, task_ids

_FORMAT = 2
_BYTES = 1_000_000_000
"""Of all files together: some 700,000 photos. What was looked at longest ago goes first."""
PATIENCE = 0.4
"""Seconds that a visit waits for the index: 10,000 photos take some seconds, and the page says how far it is."""
PATIENT = 15.0
"""The same where one photo is asked for, and there is nothing to show without."""
_PART = 4
"""Batches that are read at a time. Parsing holds the interpreter, and who looks at pages meanwhile would wait at every turn of
theirs; so after each part it is left to them for as long as the part took."""

_TABLES = """
CREATE TABLE batches (number INTEGER PRIMARY KEY, counts TEXT NOT NULL);
CREATE TABLE photos (
    place INTEGER PRIMARY KEY, name TEXT NOT NULL, image TEXT NOT NULL, sha256 TEXT, extra TEXT NOT NULL, status TEXT NOT NULL,
    product TEXT NOT NULL, product_name TEXT NOT NULL, confidence REAL NOT NULL, doubt REAL NOT NULL, code TEXT NOT NULL,
    retryable INTEGER NOT NULL, lacking TEXT NOT NULL, folded TEXT NOT NULL, words TEXT NOT NULL
);
"""
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
            unopened = [(row.index, _image(row), _Told.of(row.outcome)) for row in unopened_rows(job)]
            self._write({_UNOPENED: (unopened, "")})
        self._remove(gone, size)
        for part in chunks(changed, _PART):
            began = time.monotonic()
            ends = client.ledger.results.read([ids[number] for number in part if now[number] != _CANCELLED])
            batches = [job.batches[number] for number in part]
            self._write({one.index: (_told(one, ends.get(one.task_id, NEVER_BEGUN)), now[one.index]) for one in batches})
            if stop.wait(time.monotonic() - began):
                return

    def row(self, client: Client, place: int) -> Row | None:
        """The outcome of a photo in full; None while there is none. Raises as `refresh` does."""
        if place >= self.manifest.images:
            return next((row for row in unopened_rows(client.load(self.manifest.job)) if row.index == place), None)
        number, size = place // self.manifest.batch_size, self.manifest.batch_size
        first = number * size
        images = [self.image(one) for one in range(first, min(first + size, self.manifest.images))]
        name = task_ids(self.manifest)[number]
        end = client.ledger.ends(self.manifest.job, [name]).get(name)
        if end is None or None in images:
            return None
        batch = Batch(name, number, first, [image for image in images if image is not None])
        row = rows_of(batch, end)[place - first]
        sha256 = row.outcome.sha256 or batch.images[place - first].sha256
        return replace(row, outcome=row.outcome.model_copy(update={"sha256": sha256}))

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

    def _write(self, batches: dict[int, tuple[list[_Photo], str]]) -> None:
        values = [_values(*photo) for photos, _ in batches.values() for photo in photos]
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
                database.execute("PRAGMA journal_mode = WAL")
                with database:
                    database.executescript(_TABLES)
            yield database


class _Some(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, from_attributes=True)


class _Named(_Some):
    id: str
    name: str
    vendor: str = ""


class _Offered(_Some):
    product: _Named


class _Read(_Some):
    text: str


class _Coded(_Some):
    code: ErrorCode
    retryable: bool


class _Told(_Some):
    """As much of an outcome as the index has: the whole of it costs ten times as much to read."""

    image: str
    status: Status
    sha256: str | None = None
    product: _Named | None = None
    confidence: float = 0.0
    candidates: list[_Offered] = Field(default_factory=list)
    lacking: list[str] = Field(default_factory=list)
    words: list[_Read] = Field(default_factory=list)
    failure: _Coded | None = None

    @classmethod
    def of(cls, outcome: Outcome) -> _Told:
        return cls.model_validate(outcome)


_Photo = tuple[int, JobImage, _Told]
"""Its place in the job, what was submitted, what was answered."""
_OUTCOMES = TypeAdapter(list[_Told])


def _told(batch: Batch, end: TaskEnd) -> list[_Photo]:
    """What a batch's photos were answered."""
    told: list[_Told] = []
    if end.result is not None:
        with contextlib.suppress(ValidationError):
            told = _OUTCOMES.validate_python(end.result.get("outcomes"))
    if len(told) != len(batch.images):
        told = [_Told.of(row.outcome) for row in rows_of(batch, end)]
    return [(batch.first + at, image, one) for at, (image, one) in enumerate(zip(batch.images, told, strict=True))]


def _image(row: Row) -> JobImage:
    return JobImage(reference=row.outcome.image or "?", name=row.name, extra=dict(row.extra))


def _values(place: int, image: JobImage, told: _Told) -> tuple[Any, ...]:
    first = told.product or (told.candidates[0].product if told.candidates else None)
    own = [image.name, *image.extra.values()]
    words = [*(word.text for word in told.words), *own, *((first.name, first.vendor, first.id) if first else ())]
    keys = dict.fromkeys(token.key for token in tokens("\n".join(words)))
    return (
        place, image.name, told.image, told.sha256 or image.sha256, json.dumps(image.extra), told.status.value,
        first.id if first else "", first.name if first else "", told.confidence, 4 * told.confidence * (1 - told.confidence),
        told.failure.code.value if told.failure else "", bool(told.failure and told.failure.retryable),
        " ".join(told.lacking), " ".join(own).casefold(), f" {' '.join(keys)}",
    )  # fmt: skip


class JobIndexes:
    """The indexes of a folder, brought up to date in the background; safe to use from several threads."""

    def __init__(self, client: Client, folder: Path) -> None:
        self._client, self._folder = client, folder
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="index")
        self._under_way: dict[str, Future[None]] = {}
        self._lock, self._stop = threading.Lock(), threading.Event()

    def of(self, manifest: JobManifest, *, patience: float = PATIENCE) -> JobIndex:
        """A job's index, after at most `patience` seconds: it may not know of all outcomes by then.

        Raises redis.RedisError when the result database does not answer, StorageError when object storage does not.
        """
        index = JobIndex(self._path(manifest.job), manifest)
        with self._lock:
            future = self._under_way.get(manifest.job)
            if future is None or future.done():
                future = self._under_way[manifest.job] = self._pool.submit(self._refresh, index)
        wait([future], timeout=patience)
        if future.done():
            future.result()
        return index

    def is_reading(self, job: str) -> bool:
        """Whether more of a job is being read now."""
        with self._lock:
            future = self._under_way.get(job)
        return future is not None and not future.done()

    def forget(self, job: str) -> None:
        """Remove what is kept of a job; of what has no name of a job nothing is kept."""
        if re.fullmatch(JOB_NAME, job):
            _remove(self._path(job))

    def keep_only(self, jobs: Sequence[str]) -> None:
        """Remove what is kept of all other jobs, and of those looked at longest ago where it is too much."""
        known = {self._path(job) for job in jobs}
        files = sorted(self._folder.glob("*.sqlite"), key=_touched, reverse=True)
        size = 0
        for file in files:
            size += file.stat().st_size if file.exists() else 0
            if file not in known or size > _BYTES:
                _remove(file)

    def close(self) -> None:
        """End what is under way."""
        self._stop.set()
        self._pool.shutdown()

    def _path(self, job: str) -> Path:
        return self._folder / f"{job}-{_FORMAT}.sqlite"

    def _refresh(self, index: JobIndex) -> None:
        try:
            index.refresh(self._client, self._stop)
            index.path.touch()
        except sqlite3.DatabaseError:  # damaged, or of a program that is not ours
            _remove(index.path)
            index.refresh(self._client, self._stop)


def _touched(path: Path) -> float:
    with contextlib.suppress(FileNotFoundError):
        return path.stat().st_mtime
    return 0.0


def _remove(path: Path) -> None:
    for one in chain([path], (path.with_name(f"{path.name}{tail}") for tail in ("-wal", "-shm"))):
        one.unlink(missing_ok=True)
