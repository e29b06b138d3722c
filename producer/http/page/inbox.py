"""What waits for people, handed out so that no two of them look at the same photo at a time."""

from __future__ import annotations

import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from packsight.producer.catalog_view import outcomes_by_product
from packsight.producer.client import Client
from packsight.producer.http.page.job_indexes import PATIENCE, PATIENT, JobIndexes
from packsight.producer.reviews.desk import LOOKED_AT, ReviewDesk, verdict_on
from packsight.producer.reviews.inbox import Waiting, inbox
from packsight.producer.rows import Row
from packsight.shared.contract.outcomes import Status
from packsight.shared.storage.jobs import JobManifest
from packsight.shared.storage.review_figure import Figure, figure
from packsight.shared.storage.verdicts import Kind, Offered, Reviewed, Verdict, last_said

_HELD_SECONDS = 120.0
"""For which a photo that somebody looks at is shown to nobody else: they may have gone."""
_NEW_SECONDS = 5.0
"""After which is looked for outcomes that have come."""


@dataclass(frozen=True, slots=True)
class Next:
    """What one person is shown next. left: how many wait in all; skipped: by this person; elsewhere: shown to others now.

    reading: whether more answers are being read, of which some may wait too.
    """

    one: Waiting | None
    left: int
    skipped: int
    elsewhere: int
    reading: bool
    figure: Figure
    last: Verdict | None
    """What this person said last, and can take back."""


@dataclass(frozen=True, slots=True)
class Said:
    """What somebody says of a photo; product: its id, for a product other than the first; called: its name, empty for one that
    the answer names; chosen: whether they came upon the photo by themselves.
    """

    kind: Kind
    product: str
    called: str = ""
    chosen: bool = False


class Inbox:
    """Of one catalog. Safe to use from several threads, which wait for each other."""

    def __init__(
        self, client: Client, indexes: JobIndexes, manifests: Callable[[], Iterator[JobManifest]], catalog: str
    ) -> None:
        self.desk = ReviewDesk(client, catalog)
        self._indexes, self._manifests = indexes, manifests
        self._lock = threading.RLock()
        self._held: dict[str, tuple[str, float]] = {}
        self._skipped: dict[str, set[str]] = {}
        self._newest: tuple[float, list[JobManifest]] = (float("-inf"), [])
        self._rows: dict[str, tuple[int, list[Row]]] = {}

    def next(self, person: str, job: JobManifest | None = None) -> Next:
        """What a person is shown, of one job or of the newest of the catalog; it is held for them for a while."""
        with self._lock:
            reviewed = self.desk.reviewed()
            waiting, reading = self._waiting(job, reviewed)
            skipped = self._skipped.get(person, set())
            now, chosen, elsewhere = time.monotonic(), None, 0
            for one in waiting:
                sha256 = one.row.outcome.sha256 or ""
                if self._holder(sha256, now) not in {"", person}:
                    elsewhere += 1
                elif chosen is None and sha256 not in skipped:
                    chosen = one
                    self._held = {key: held for key, held in self._held.items() if held[0] != person}
                    self._held[sha256] = (person, now + _HELD_SECONDS)
            theirs = sum((one.row.outcome.sha256 or "") in skipped for one in waiting)
            return Next(chosen, len(waiting), theirs, elsewhere, reading, self._figure(reviewed), _last(reviewed, person))

    def waiting(self, job: JobManifest | None = None) -> tuple[list[Waiting], bool]:
        """What waits, the most useful first, but for what is shown to somebody now; and whether more answers are being read."""
        with self._lock:
            waiting, reading = self._waiting(job, self.desk.reviewed())
            now = time.monotonic()
            return [one for one in waiting if not self._holder(one.row.outcome.sha256 or "", now)], reading

    def _waiting(self, job: JobManifest | None, reviewed: Reviewed) -> tuple[list[Waiting], bool]:
        rows = self._newest_rows(PATIENT) if job is None else self._rows_of(job, PATIENT)
        reading = any(self._indexes.is_reading(one.job) for one in ([job] if job else self._newest[1]))
        return inbox(rows, reviewed, self.desk.rules.sample), reading

    def _holder(self, sha256: str, now: float) -> str:
        """Who looks at a photo; empty for nobody."""
        holder, until = self._held.get(sha256, ("", 0.0))
        return holder if until > now else ""

    def skip(self, person: str, sha256: str) -> None:
        """Show a photo to this person no more, and to others."""
        with self._lock:
            self._skipped.setdefault(person, set()).add(sha256)
            self._held.pop(sha256, None)

    def look_again(self, person: str) -> None:
        """Show what was skipped."""
        with self._lock:
            self._skipped.pop(person, None)

    def give(self, row: Row, said: Said, seen: Collection[str], *, by: str, id: str) -> tuple[Verdict, list[Verdict]]:
        """Keep a verdict under this id; returns it, and those of others on the photo that its giver had not seen.

        seen: ids of the verdicts on this photo that were shown beside it. Sent twice it is one, also when others have said
        something since. Another one under an id that is taken gets an id of its own: a browser that goes back shows the page as
        it was.
        """
        with self._lock:
            before = self.desk.reviewed().photos.get(row.outcome.sha256 or "")
            standing = [] if before is None else [before.verdict, *before.against]
            offered = Offered.CHOSEN if said.chosen else self.desk.offered(row)
            given = verdict_on(
                row, self.desk.catalog, said.kind, by=by, product=said.product, called=said.called, offered=offered, id=id
            )
            every = self.desk.store.all()
            said_last = last_said(every).get((given.sha256, by))
            if said_last is not None and said_last.id == id and said_last.agrees_with(given):
                return given, []
            if any(one.id == id for one in every):
                given = given.model_copy(update={"id": secrets.token_hex(16)})
            known = [one for one in standing if one.id in seen or one.by == given.by]
            # Of several that were seen it replaces one that says something else: whoever agrees need not be replaced.
            replaced = next((one for one in known if not one.agrees_with(given)), next(iter(known), None))
            if replaced is not None:
                given = given.model_copy(update={"after": replaced.id})
            self.desk.store.add([given])
            self._held.pop(given.sha256, None)
        return given, [one for one in standing if one not in known]

    def by_product(self) -> dict[str, Counter[Status]]:
        """How often each product came first in the newest jobs, by status."""
        with self._lock:
            return outcomes_by_product(self._newest_rows(PATIENCE))

    def undo(self, verdict: str, person: str) -> Verdict:
        """Take a verdict back."""
        with self._lock:
            return self.desk.undo(verdict, by=person)

    def all(self) -> list[Verdict]:
        """Every verdict, oldest first."""
        with self._lock:
            return self.desk.store.all()

    def reviewed(self) -> Reviewed:
        """What all verdicts come to."""
        with self._lock:
            return self.desk.reviewed()

    def _figure(self, reviewed: Reviewed) -> Figure:
        rules = self.desk.rules
        return figure(self.desk.catalog, reviewed, promised=rules.precision, days=rules.days, now=datetime.now(UTC))

    def _newest_rows(self, patience: float) -> list[Row]:
        """Photos of the newest jobs of the catalog, in which is looked for what waits; older jobs first."""
        at, newest = self._newest
        if time.monotonic() - at > _NEW_SECONDS:
            newest = list(self._look())[::-1]
            self._rows = {job.job: self._rows[job.job] for job in newest if job.job in self._rows}
            until = time.monotonic() + patience
            rows = [row for job in newest for row in self._rows_of(job, max(0.0, until - time.monotonic()))]
            self._newest = (time.monotonic(), newest)  # not before: what does not answer may come between
            return rows
        return [row for job in newest for row in self._rows[job.job][1]]

    def _look(self) -> Iterator[JobManifest]:
        """The newest jobs first, as many as are looked at."""
        seen = 0
        for manifest in self._manifests():
            if manifest.catalog == self.desk.catalog:
                if seen and seen + manifest.photos > LOOKED_AT:
                    return
                seen += manifest.photos
                yield manifest

    def _rows_of(self, job: JobManifest, patience: float) -> list[Row]:
        """A job's photos, read anew where they have changed."""
        index = self._indexes.of(job, patience=patience)
        revision = index.revision
        known = self._rows.get(job.job)
        if known is None or known[0] != revision:
            known = self._rows[job.job] = (revision, list(index.light()))
        return known[1]


def _last(reviewed: Reviewed, person: str) -> Verdict | None:
    """The latest verdict of a person that counts."""
    theirs: Sequence[Verdict] = [
        one for review in reviewed.photos.values() for one in (review.verdict, *review.against) if one.by == person
    ]
    return max(theirs, key=lambda one: one.at, default=None)
