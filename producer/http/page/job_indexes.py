"""The indexes of the jobs that somebody looks at: brought up to date in the background, the oldest removed for new ones.

They have a job's names, own columns and words, so those of a job that was removed go, wherever it was.
"""

from __future__ import annotations

import contextlib
import logging
import re
import sqlite3
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from itertools import chain
from pathlib import Path

from packsight.producer.client import Client
from packsight.producer.http.page.job_index import FORMAT, JobIndex
from packsight.shared.contract.errors import PacksightError
from packsight.shared.storage.jobs import JOB_NAME, JobManifest

log = logging.getLogger(__name__)

_BYTES = 1_000_000_000
"""Of all files together: some 700,000 photos. What was looked at longest ago goes first."""
PATIENCE = 0.4
"""Seconds that a visit waits for the index: 10,000 photos take some seconds, and the page says how far it is."""
PATIENT = 15.0
"""The same where one photo is asked for, and there is nothing to show without."""
_LOOK = 60.0
"""Seconds between two looks whether jobs are still there: one that was removed at a terminal, or collected, goes within them."""


class JobIndexes:
    """The indexes of a folder, brought up to date in the background; safe to use from several threads."""

    def __init__(self, client: Client, folder: Path) -> None:
        self._client, self._folder = client, folder
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="index")
        self._under_way: dict[str, Future[None]] = {}
        self._lock, self._stop = threading.Lock(), threading.Event()
        self._looking = threading.Thread(target=self._look, name="removed jobs", daemon=True)

    def start(self) -> None:
        """Look from now on for jobs that are removed elsewhere."""
        self._looking.start()

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
        if self._looking.is_alive():
            self._looking.join()

    def _look(self) -> None:
        while not self._stop.wait(_LOOK):
            try:
                self._forget_removed()
            except (PacksightError, OSError) as error:  # tried again at the next look
                log.warning("whether jobs are still there cannot be asked: %s", error)

    def _forget_removed(self) -> None:
        kept = list(self._folder.glob("*.sqlite"))  # before jobs are listed: one that comes meanwhile is no removed one
        there = set(self._client.jobs.names()) if kept else set()
        for file in kept:
            if file.name.rpartition("-")[0] not in there:
                _remove(file)

    def _path(self, job: str) -> Path:
        return self._folder / f"{job}-{FORMAT}.sqlite"

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
