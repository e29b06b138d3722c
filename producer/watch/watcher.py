"""Look at a place again and again: submit what has arrived, write what is answered."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from packsight.producer.backoff import UNANSWERED, RetryPolicy
from packsight.producer.broker import answering, storing
from packsight.producer.client import Client
from packsight.producer.collect import Collector, unopened_rows
from packsight.producer.jobs import NothingToAsk
from packsight.producer.rows import Row
from packsight.producer.summary import State
from packsight.producer.watch.arrivals import Arrival, Place, below
from packsight.producer.watch.journal import Journal
from packsight.shared.contract.errors import ErrorCode, ObjectMissing, StorageError, UserError
from packsight.shared.contract.messages import RecognizeOptions
from packsight.shared.contract.outcomes import Status
from packsight.shared.pieces import pieces
from packsight.shared.queue.ledger import JobRemoved
from packsight.shared.storage.files import write_whole
from packsight.shared.storage.jobs import Job, JobAbout, new_job_id

SUFFIX = ".packsight.json"
"""Of the file with a photo's outcome, behind the photo's own name."""
JOURNAL = ".packsight-watch.jsonl"
MOST = 256
"""Photos of one job: what arrives together is answered together, and a job of so many ends within minutes."""
PERIOD = 2.0
"""Seconds between two looks."""
_NO_PATIENCE = RetryPolicy(0.0)
"""The next look is soon."""
_NEVER = frozenset((ErrorCode.ACCESS_DENIED, ErrorCode.BUCKET_MISSING))
"""What no waiting mends: a wrong name, or keys that may not."""

Tell = Callable[[str], None]


@dataclass
class _Open:
    """A job whose photos are not all answered. Its rows are named as photos are below the place."""

    job: Job
    collector: Collector
    ends: Counter[Status] = field(default_factory=Counter)


class Watcher:
    """Watches one place with one client. out: folder of the results and of the journal; tell: hears what happens, in sentences.

    about: what is told of each job.
    """

    def __init__(
        self, client: Client, place: Place, out: Path, options: RecognizeOptions, about: JobAbout, tell: Tell
    ) -> None:
        self._client, self._place, self._out = client, place, out
        self._options, self._about, self._tell = options, about, tell
        self._journal = Journal(out / JOURNAL)
        self._open: dict[str, _Open] = {}
        self._away = ""
        self._left_out = str(place.excluded)
        self.failed = 0
        """Photos that have failed."""

    def close(self) -> None:
        """Let go of the journal; what is with the workers goes on."""
        self._journal.close()

    @property
    def in_work(self) -> int:
        """How many photos are not answered yet."""
        return sum(one.job.photos - one.ends.total() for one in self._open.values())

    def run(self, stop: threading.Event, *, once: bool = False, period: float = PERIOD) -> None:
        """Look until told to stop, or, with `once`, until all that is there is answered.

        Outages of broker and storage are waited for. Raises UserError when the place is not there any more.
        """
        while not stop.is_set():
            new = self._look()
            if once and not (new or self._open or self._place.settling):
                return
            stop.wait(period)

    def _look(self) -> bool:
        """Look once; tell whether anything is new, or could not be asked for."""
        try:
            with storing(self._client.settings):
                self._take_up()
                new = self._new()
                for some in pieces(new, MOST):
                    self._submit(dict(some))
                for one in list(self._open.values()):
                    self._collect(one)
        except JobRemoved as error:
            self._tell(f"{error.job} was removed; its photos are submitted again")
            self._open.pop(error.job, None)
            self._journal.drop(error.job)
            return True
        except (StorageError, UserError) as error:
            if isinstance(error, UserError) and not isinstance(error.__cause__, UNANSWERED):
                raise
            if isinstance(error, StorageError) and error.code in _NEVER:
                raise
            self._is_away(str(error))
            return True
        self._is_away("")
        return bool(new)

    def _is_away(self, why: str) -> None:
        if why and not self._away:
            self._tell(f"{why} It is waited for.")
        elif self._away and not why:
            self._tell("It answers again.")
        self._away = why

    def _new(self) -> list[tuple[str, Arrival]]:
        seen = self._place.look()
        left_out = str(self._place.excluded)
        if left_out != self._left_out:
            self._left_out = left_out
            self._tell(f"Left out as --exclude says: {left_out}")
        return [(name, one) for name, one in seen.items() if self._journal.taken.get(name) != one.state]

    def _submit(self, photos: Mapping[str, Arrival]) -> None:
        states = {name: one.state for name, one in photos.items()}
        job_id = new_job_id()
        self._journal.begin(job_id, states)
        items = [one.item for one in photos.values()]
        try:
            job = self._client.submit(items, self._options, about=self._about, job_id=job_id)
        except NothingToAsk as error:
            self._journal.drop(job_id)
            self._journal.refuse(states)
            self._tell(f"{error} These {len(photos):,} files are left alone until they change.")
            return
        self._tell(f"{job.id}: {job.photos:,} new")
        self._begin(job)

    def _take_up(self) -> None:
        """Go on with jobs that were begun by whoever watched before, or in an outage."""
        for job_id in [one for one in self._journal.open if one not in self._open]:
            try:
                job = self._client.jobs.load(job_id)
            except ObjectMissing:
                self._journal.drop(job_id)
                continue
            state = self._client.summary(job.manifest).state
            if state is State.EXPIRED:
                self._tell(f"{job_id}: its outcomes have expired; its photos are submitted again")
                self._journal.drop(job_id)
            else:
                self._begin(job, resumed=state is not State.CANCELLED)

    def _begin(self, job: Job, *, resumed: bool | None = None) -> None:
        """Queue a job, or what was not queued of it (None: all of it, False: nothing), and wait for it."""
        if resumed is not False:
            deque(self._client.enqueue(job, resumed=bool(resumed)), maxlen=0)
        opened = _Open(job, Collector(self._client.ledger, job.id, job.batches, _NO_PATIENCE))
        self._open[job.id] = opened
        for row in unopened_rows(job):
            self._write(opened, row)

    def _collect(self, one: _Open) -> None:
        """Write what has been answered since the last look."""
        with answering(self._client.settings):
            for row in one.collector.look():
                self._write(one, row)
        if not one.collector:
            self._journal.end(one.job.id)
            del self._open[one.job.id]
            self.failed += one.ends[Status.FAILED]
            self._tell(f"{one.job.id}: " + ", ".join(f"{count:,} {status}" for status, count in one.ends.most_common()))

    def _write(self, one: _Open, row: Row) -> None:
        path = below(self._out, f"{row.name}{SUFFIX}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, f"{row.line}\n")
        except OSError as error:
            raise UserError(f"{path} cannot be written: {error.strerror}. Make room or name another folder by --out.") from None
        one.ends[row.outcome.status] += 1
