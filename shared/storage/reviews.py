"""Verdicts in object storage: small objects that are never changed, put together into files by the indexer.

    reviews/<catalog>/new/<time>-<id>.json           one verdict
    reviews/<catalog>/packs/<time>-<id>.jsonl.gz     many, a line each
    reviews/<catalog>/removed/<job>                  that a job was removed of late

Several people may write at a time: each verdict has a key of its own. A pack is written before the objects that it holds are
removed, and readers look at packs last, so that none is missed; one that is met twice is one. Whoever removes those of a job says
so first: what others write of it meanwhile, or write again since they had read it, nobody reads, and it goes when verdicts are
next put together.
"""

from __future__ import annotations

import gzip
import json
import secrets
import zlib
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Lock

from pydantic import ValidationError

from packsight.shared.contract.errors import ErrorCode, ObjectMissing, StorageError
from packsight.shared.storage import layout
from packsight.shared.storage.objects import Listed, ObjectStore
from packsight.shared.storage.verdicts import Reviewed, Verdict, reviewed

LOOSE = 200
"""Verdicts in objects of their own from which they are put together: reading as many takes a second."""
ALONE = 8
"""Verdicts written at a time from which they are a pack at once."""
_THREADS = 8
_TRIES = 5
"""Times that something is begun anew, since what was listed has been put together meanwhile."""
_REMEMBERED = timedelta(days=1)
"""For which it is known that a job was removed: far longer than anybody takes to write what he had read before."""

class ReviewStore:
    """The verdicts on one catalog's answers.

    What was read once is remembered as long as it is there, so that looking again takes a listing. Safe for several threads.
    """

    def __init__(self, store: ObjectStore, catalog: str) -> None:
        self._store, self.catalog = store, catalog
        self._read: dict[str, tuple[Verdict, ...]] = {}
        self._looking = Lock()

    def add(self, verdicts: Sequence[Verdict]) -> None:
        """Write verdicts; those that are there already stay as they are.

        Raises ValueError for one on another catalog's answer, StorageError when storage refuses.
        """
        if any(verdict.catalog != self.catalog for verdict in verdicts):
            raise ValueError(f"a verdict on another catalog than {self.catalog}")
        if len(verdicts) >= ALONE:
            self._write_pack(verdicts)
            return
        for verdict in verdicts:
            name = f"{verdict.at.astimezone(UTC):%Y%m%dT%H%M%S}-{verdict.id}.json"
            self._store.create(layout.reviews(self.catalog, f"{layout.NEW}{name}"), verdict.model_dump_json().encode())

    def all(self) -> list[Verdict]:
        """Every verdict once, oldest first; raises StorageError when they cannot be read."""
        with self._looking:
            return self._all()

    def _all(self) -> list[Verdict]:
        self._look()
        removed = {_job_of(found) for found in self._removed()}
        found: dict[str, Verdict] = {}
        every = (verdict for verdicts in self._read.values() for verdict in verdicts if verdict.job not in removed)
        for verdict in sorted(every, key=lambda one: (one.at, one.id)):
            found.setdefault(verdict.id, verdict)  # whoever takes the id of another one's verdict changes nothing
        return list(found.values())

    def _look(self) -> None:
        """Read what is there. Packs are listed after new ones, and again for those that were put together meanwhile.

        So however often that happens, two looks are enough; only packs of a job that is being removed go away themselves.
        """
        new = list(self._store.list(self._prefix(layout.NEW)))
        for _ in range(_TRIES):
            gone = self._take([*new, *self._store.list(self._prefix(layout.PACKS))])
            if not gone:
                return
            new = [key for key in new if key not in gone]
        raise StorageError(ErrorCode.FETCH_FAILED, f"verdicts on {self.catalog} change faster than they can be read")

    def _files(self) -> list[str]:
        """New ones first: what is put together meanwhile is in a pack by then."""
        return [*self._store.list(self._prefix(layout.NEW)), *self._store.list(self._prefix(layout.PACKS))]

    def _removed(self) -> list[Listed]:
        """Words that jobs were removed."""
        return list(self._store.listed(self._prefix(layout.REMOVED)))

    def reviewed(self) -> Reviewed:
        """What all verdicts come to."""
        return reviewed(self.all())

    def compact(self, least: int = LOOSE) -> int:
        """Put verdicts together that lie by themselves, if there are so many; return how many. One process at a time."""
        with self._looking:
            removed = self._removed()
            self._remove({_job_of(found) for found in removed})
            for found in removed:
                if datetime.now(UTC) - found.modified > _REMEMBERED:
                    self._store.remove(found.key)
            return self._compact(least)

    def _compact(self, least: int) -> int:
        keys = list(self._store.list(self._prefix(layout.NEW)))
        if len(keys) < least:
            return 0
        self._take(keys)
        readable = [key for key in keys if self._read.get(key)]  # one that nobody can read stays, to be looked at
        together = [verdict for key in readable for verdict in self._read[key]]
        if not together:
            return 0
        self._write_pack(together)
        for key in readable:
            self._store.remove(key)
        return len(together)

    def remove_job(self, job: str) -> None:
        """Remove every verdict on photos of a job, at any time. Who calls this needs the right to delete here."""
        self._store.write(self._prefix(f"{layout.REMOVED}{job}"), job.encode())
        self._remove({job})

    def _remove(self, jobs: Collection[str]) -> None:
        """Remove those of jobs, begun anew where what was listed was put together or removed meanwhile."""
        for last in (*[False] * _TRIES, True) if jobs else ():
            try:
                for key in self._files():
                    self._remove_from(key, jobs)
            except ObjectMissing:
                if last:
                    raise
            else:
                return

    def _remove_from(self, key: str, jobs: Collection[str]) -> None:
        lines = self._lines(key)
        left = [line for line in lines if _job_of_line(line) not in jobs]
        if len(left) == len(lines):
            return
        if left:
            self._write_lines(left)
        self._store.remove(key)

    def _write_pack(self, verdicts: Sequence[Verdict]) -> None:
        self._write_lines([verdict.model_dump_json().encode() for verdict in verdicts])

    def _write_lines(self, lines: Sequence[bytes]) -> None:
        name = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(16)}.jsonl.gz"
        data = gzip.compress(b"".join(line + b"\n" for line in lines), mtime=0)
        self._store.write(layout.reviews(self.catalog, f"{layout.PACKS}{name}"), data, content_type="application/gzip")

    def _take(self, keys: Sequence[str]) -> set[str]:
        """Read what is not known of these objects, and forget all others; return those that are no longer there."""
        lacking = [key for key in keys if key not in self._read]
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="reviews") as pool:
            found = {**self._read, **dict(zip(lacking, pool.map(self._verdicts, lacking), strict=True))}
        self._read = {key: verdicts for key in keys if (verdicts := found[key]) is not None}
        return set(keys) - set(self._read)

    def _verdicts(self, key: str) -> tuple[Verdict, ...] | None:
        """None when the object is no longer there."""
        try:
            lines = self._lines(key)
        except ObjectMissing:
            return None
        return tuple(verdict for line in lines if (verdict := _parsed(line)) is not None)

    def _lines(self, key: str) -> list[bytes]:
        data = self._store.read(key).data
        try:
            return (gzip.decompress(data) if key.endswith(".gz") else data).splitlines()
        except (OSError, EOFError, zlib.error):
            return []

    def _prefix(self, part: str) -> str:
        return layout.reviews(self.catalog, part)


def _parsed(line: bytes) -> Verdict | None:
    """None for what a later release wrote otherwise, or is damaged; it stays where it is."""
    try:
        return Verdict.model_validate_json(line)
    except ValidationError:
        return None


def _job_of_line(line: bytes) -> str:
    """The job whose photo a line is of, whatever release wrote it; empty where that is not said."""
    try:
        return str(json.loads(line).get("job", ""))
    except (ValueError, AttributeError):
        return ""


def _job_of(removed: Listed) -> str:
    return removed.key.rpartition("/")[2]
