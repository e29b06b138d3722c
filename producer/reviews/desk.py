"""Where people's verdicts on one catalog's answers are given, taken back, and read: for the terminal, the page and programs.

    with Client() as client:
        desk = ReviewDesk(client, "default")
        for one in desk.waiting():
            desk.give(one.row, Kind.RIGHT, by="Ann", offered=one.offered)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from packsight.producer import collect
from packsight.producer.client import Client
from packsight.producer.reviews.inbox import Waiting, first_product, inbox, offered
from packsight.producer.rows import Row
from packsight.shared.contract.errors import UserError
from packsight.shared.contract.references import shown
from packsight.shared.storage.jobs import Job, JobImage
from packsight.shared.storage.review_figure import Figure, current_figure
from packsight.shared.storage.reviews import ReviewStore
from packsight.shared.storage.verdicts import NAME, Answered, Kind, Offered, Reviewed, Verdict, may_be_one, person

LOOKED_AT = 20_000
"""Photos of the newest jobs in which is looked for what waits: their outcomes take a minute to read. Of a larger job, all."""


class NoSuchVerdict(UserError):
    """A verdict is to be taken back that there is not, or that counts no longer."""


class ReviewDesk:
    """Reviews of one catalog's answers.

    Methods raise StorageError when object storage does not answer, UserError when the result database does not.
    """

    def __init__(self, client: Client, catalog: str) -> None:
        self._client, self.catalog = client, catalog
        self.rules = client.settings.review
        self.store = ReviewStore(client.store, catalog)

    def reviewed(self) -> Reviewed:
        """What all verdicts come to."""
        return self.store.reviewed()

    def figure(self) -> Figure:
        """How many of the answers that were `matched` are wrong, held against the promise."""
        return current_figure(self.store, self.rules)

    def waiting(self, jobs: Sequence[str] = ()) -> list[Waiting]:
        """What waits for a person, the most useful first: in these jobs, or else in the newest ones of the catalog."""
        return inbox(self.rows(jobs), self.reviewed(), self.rules.sample)

    def rows(self, jobs: Sequence[str] = ()) -> Iterator[Row]:
        """Outcomes of these jobs, or else of the newest ones of the catalog, older jobs first."""
        chosen = [self._client.load(job) for job in jobs] or list(self._newest())
        for job in chosen:
            if job.manifest.catalog == self.catalog:
                yield from with_hashes(job, self._client.outcomes(job))

    def _newest(self) -> list[Job]:
        found: list[Job] = []
        seen = 0
        for name in sorted(self._client.jobs.names(), reverse=True):
            manifest = self._client.jobs.manifest(name)
            if manifest.catalog != self.catalog:
                continue
            if found and seen + manifest.images > LOOKED_AT:
                break
            seen += manifest.images
            found.insert(0, self._client.load(name))
        return found

    def row(self, job: str, index: int) -> Row:
        """The outcome of a photo of a job; raises UserError where there is none."""
        loaded = self._client.load(job)
        for batch in loaded.batches:
            if batch.first <= index < batch.first + len(batch.images):
                end = self._client.task_end(batch.task_id)
                if end is not None:
                    rows = with_hashes(loaded, collect.rows_of(batch, end))
                    return next(row for row in rows if row.index == index)
        raise UserError(f"Job {job} has no outcome {index}. `packsight results {job}` shows what there is.")

    def offered(self, row: Row) -> Offered:
        """Why a person who goes through what waits is asked about an answer; CHOSEN where nobody would be."""
        return offered(row.outcome, self.rules.sample) or Offered.CHOSEN

    def give(
        self,
        row: Row,
        kind: Kind,
        *,
        by: str,
        product: str = "",
        called: str = "",
        offered: Offered = Offered.CHOSEN,
        after: str | None = None,
        id: str | None = None,
    ) -> Verdict:
        """Say what a photo shows, and keep that.

        product: id of the product that it shows, of OTHER alone. called: its name, by which it is known when its id
        has changed; empty where it is one of the answer's candidates, or nobody knows. offered: why the person was asked (see
        `offered`), never what a caller from outside says. after: the verdict on this photo that the person saw, which this one
        replaces. id: of this verdict; with that of one that is kept, nothing is changed.

        Raises UserError for a photo that nobody can be asked about, or a verdict that says nothing.
        """
        verdict = verdict_on(
            row, self.catalog, kind, by=by, product=product, called=called, offered=offered, after=after, id=id
        )
        self.store.add([verdict])
        return verdict

    def undo(self, verdict: str, *, by: str) -> Verdict:
        """Take a verdict back; raises NoSuchVerdict where there is none of this id that counts."""
        standing = {
            one.id: one for review in self.reviewed().photos.values() for one in (review.verdict, *review.against)
        }
        if verdict not in standing:
            raise NoSuchVerdict(f"There is no verdict {verdict} that counts. `packsight review show` lists those that do.")
        about = standing[verdict].model_dump(exclude={"id", "kind", "product", "by", "at", "after"})
        undone = Verdict(**about, kind=Kind.UNDONE, by=_named(by), after=verdict)
        self.store.add([undone])
        return undone


def parse_kind(text: str) -> Kind:
    """What a person may say of a photo; raises UserError for anything else."""
    known = [kind for kind in Kind if kind is not Kind.UNDONE]
    said = text.strip().lower().replace(" ", "_").replace("-", "_")
    if said not in known:
        raise UserError(f"The verdict `{shown(text)}` is not known. Say one of {', '.join(known)}.")
    return Kind(said)


def verdict_on(
    row: Row,
    catalog: str,
    kind: Kind,
    *,
    by: str,
    product: str = "",
    called: str = "",
    offered: Offered = Offered.CHOSEN,
    after: str | None = None,
    id: str | None = None,
) -> Verdict:
    """A verdict on the answer to a photo; see ReviewDesk.give."""
    outcome = row.outcome
    if outcome.sha256 is None or outcome.failure is not None:
        raise UserError(f"{shown(row.name)} has no answer that could be reviewed. `packsight jobs retry {row.job}` asks again.")
    first = first_product(outcome)
    if kind is Kind.RIGHT and not first:
        raise UserError(f"{shown(row.name)} was answered with no product: say `other` with what it shows, or `not_listed`.")
    if kind is Kind.OTHER and not product:
        raise UserError("A verdict `other` names the id of the product that the photo shows.")
    named = {one.id: one.name for one in [*(one.product for one in outcome.candidates), outcome.product] if one is not None}
    if kind is Kind.OTHER and product == first and (called in {"", named[first]} or may_be_one(called, named[first])):
        kind = Kind.RIGHT
    about = {} if id is None else {"id": id}
    shown_id = first if kind is Kind.RIGHT else product if kind is Kind.OTHER else ""
    return Verdict(
        **about,
        catalog=catalog,
        job=row.job,
        index=row.index,
        image=outcome.image,
        name=row.name[:500],
        sha256=outcome.sha256,
        answered=Answered.of(outcome),
        kind=kind,
        product=shown_id,
        called=(named[first] if kind is Kind.RIGHT else called or named.get(shown_id, ""))[:NAME] if shown_id else "",
        offered=offered,
        by=_named(by),
        after=after,
    )


def with_hashes(job: Job, rows: Iterator[Row] | list[Row]) -> Iterator[Row]:
    """Rows with the hashes of photos that the job knows and the outcome does not say."""
    images: list[JobImage] = [image for batch in job.batches for image in batch.images]
    for row in rows:
        known = images[row.index].sha256 if row.index < len(images) else None
        if row.outcome.sha256 is None and known is not None:
            yield replace(row, outcome=row.outcome.model_copy(update={"sha256": known}))
        else:
            yield row


def _named(by: str) -> str:
    name = person(by)
    if not name:
        raise UserError("A verdict needs the name of who gives it: --by NAME.")
    return name
