"""What jobs ask for, kept by a server between requests: a manifest is never changed, and a list of jobs would read each anew."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress

from packsight.producer.client import Client
from packsight.producer.jobs import NoSuchJob
from packsight.shared.storage.jobs import JobManifest

_KNOWN_SECONDS = 10.0
"""For which it is not asked again whether a job that was seen is still there."""
_MANIFESTS = 20_000
"""Some 2 kB each; beyond them the oldest are read anew. Whoever sees few catalogs has all jobs looked through for theirs."""
_AT_ONCE = 1000
"""So many are forgotten at a time, since what is to go is looked for among all."""


class Manifests:
    """Of the jobs that one server was asked about; several threads may ask."""

    def __init__(self, client: Client) -> None:
        self._client, self._lock = client, threading.Lock()
        self._kept: dict[str, tuple[float, JobManifest]] = {}

    def of(self, job: str) -> JobManifest:
        """What a job asks for, where it was there a few seconds ago; raises NoSuchJob."""
        at, found = self._kept.get(job, (0.0, None))
        if found is None or time.monotonic() - at > _KNOWN_SECONDS:
            found = self._read(job)
        return found

    def newest_of(self, jobs: Iterable[str]) -> Iterator[JobManifest]:
        """Those of jobs that were listed now, the newest first; each is read when it is come to, and once."""
        for job in sorted(jobs, reverse=True):
            _, found = self._kept.get(job, (0.0, None))
            if found is None:
                with suppress(NoSuchJob):  # it was removed meanwhile
                    found = self._read(job)
            if found is not None:
                yield found

    def _read(self, job: str) -> JobManifest:
        try:
            found = self._client.manifest(job)
        except NoSuchJob:
            with self._lock:
                self._kept.pop(job, None)
            raise
        with self._lock:
            self._kept[job] = (time.monotonic(), found)
            if len(self._kept) > _MANIFESTS:
                for oldest in sorted(self._kept)[:_AT_ONCE]:
                    del self._kept[oldest]
        return found
