"""What the producer's commands do: submit, recognize, results, jobs."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import typer
from rich.markup import escape
from rich.table import Table

from packsight.producer.client import Client
from packsight.producer.display import Bar, Tally, console, interruptible, page, progress
from packsight.producer.export import Exports, open_export
from packsight.producer.report import Report
from packsight.producer.rows import Row
from packsight.producer.thumbnails import Thumbnails
from packsight.shared.catalog.versions import catalog_names, is_published
from packsight.shared.contract.errors import UserError, parse_code
from packsight.shared.contract.messages import RecognizeOptions
from packsight.shared.contract.outcomes import Status
from packsight.shared.contract.references import shown
from packsight.shared.storage import layout
from packsight.shared.storage.fetch import Fetcher
from packsight.shared.storage.jobs import Job, task_ids


def submit(
    sources: Sequence[str],
    options: RecognizeOptions,
    *,
    batch_size: int,
    wait: bool,
    out: Sequence[Path],
    report: Path | None,
    column: str | None,
    resume: str | None,
    max_in_flight: int,
) -> None:
    """Queue the photos of `sources`, or what is left of the job `resume`."""
    if bool(sources) == bool(resume):
        raise UserError("Name the photos to submit, or a job with --resume JOB: one of the two.")
    resumed = resume is not None
    with Client() as client, _exports(client, out, report) as exports:
        job = client.load(resume) if resume else _create(client, sources, options, batch_size=batch_size, column=column)
        with _interruptible(job):
            if wait or out or report:
                _run(client, job, exports, resumed=resumed, max_in_flight=max_in_flight)
                return
            with progress("Queueing", len(job.batches)) as bar:
                for _ in client.enqueue(job, max_in_flight=max_in_flight, resumed=resumed, idle=bar.idle):
                    bar.advance()
            console.print(f"Queued. Read the results with [bold]packsight results {job.id} --follow[/]")


def recognize(image: str, options: RecognizeOptions, *, timeout: float) -> None:
    """Recognise one photo and print its outcome as JSON."""
    with Client() as client:
        outcome = client.recognize(image, options, timeout=timeout)
    typer.echo(outcome.model_dump_json(indent=2 if sys.stdout.isatty() else None))
    raise typer.Exit(1 if outcome.status is Status.FAILED else 0)


def results(job_id: str, *, follow: bool, out: Sequence[Path], report: Path | None) -> None:
    """Read a job's outcomes: counts, files of results, a report."""
    with Client() as client, _exports(client, out, report) as exports:
        job = client.load(job_id)
        expired = client.is_expired(job)
        with _interruptible(job), progress("Reading", job.photos) as bar:
            tally = _collect(client.outcomes(job, wait=follow and not expired, idle=bar.idle), exports, bar)
        tally.show(page)
        if (missing := job.photos - tally.statuses.total()) and expired:
            console.print(
                f"[yellow]The outcomes of {missing:,} of {job.photos:,} photos have expired[/]: they are kept for "
                f"{client.settings.queue.result_expires / 86400:.0f} days. packsight submit --resume {job.id} asks again."
            )
        elif missing := job.photos - tally.statuses.total():
            console.print(
                f"[yellow]{missing:,} of {job.photos:,} photos have no outcome yet.[/] --follow waits; "
                f"packsight submit --resume {job.id} queues what never was. Outcomes are kept for "
                f"{client.settings.queue.result_expires / 86400:.0f} days."
            )


def retry(job_id: str, *, codes: Sequence[str]) -> None:
    """Queue a job's failed photos again."""
    wanted = [parse_code(code) for code in codes]
    with Client() as client:
        job = client.load(job_id)
        failures = Counter(row.outcome.failure.code for rows in client.again(job, wanted) for row in rows if row.outcome.failure)
    if not failures:
        page.print("No photo of this job has failed so that it could be asked about again.")
        return
    told = ", ".join(f"{count:,} {code}" for code, count in failures.most_common())
    page.print(f"{failures.total():,} photos are asked about again: {told}. packsight results {job.id} --follow waits for them.")


def jobs(limit: int, *, as_json: bool) -> None:
    """List submitted jobs, newest first."""
    table = Table("Job", "Submitted (UTC)", "Catalog", "Photos", "Batches ended", box=None, pad_edge=False)
    with Client() as client:
        for name in sorted(client.jobs.names(), reverse=True)[:limit]:
            manifest = client.jobs.manifest(name)
            ended = client.ended(task_ids(manifest))
            if as_json:
                typer.echo(
                    json.dumps({**manifest.model_dump(mode="json"), "batches": manifest.batches, "ended": ended})
                )
            when = f"{manifest.created_at:%Y-%m-%d %H:%M}"
            table.add_row(name, when, manifest.catalog, f"{manifest.images:,}", f"{ended:,} of {manifest.batches:,}")
    if not as_json:
        page.print(table if table.rows else "There are no jobs. `packsight submit FOLDER` makes one.")


@contextmanager
def _exports(client: Client, out: Sequence[Path], report: Path | None) -> Iterator[Exports]:
    """Open the files of results before anything is queued, so that a wrong name is told at once."""
    with ExitStack() as stack:
        fetcher = Fetcher(client.settings, client.store)
        stack.callback(fetcher.close)
        exports = stack.enter_context(Exports())
        for path in out:
            exports.take(open_export(path))
        if report:
            limit = client.settings.fetch.max_bytes
            pictures = Thumbnails(
                query=lambda reference: fetcher.fetch(reference, retries=0),
                catalog=lambda sha256: client.store.read(layout.photo(sha256), limit=limit).data,
                limits=client.settings.decode,
            )
            exports.take(Report(report, pictures))
        yield exports
        with console.status("Writing the results"):
            exports.finish()
    for path in [*out, *([report] if report else [])]:
        console.print(f"Wrote [bold]{escape(str(path))}[/]")


def _interruptible(job: Job) -> AbstractContextManager[None]:
    """Let Ctrl-C end the command and say how to go on."""
    return interruptible(
        f"Queue what is left and wait with [bold]packsight submit --resume {job.id} --wait[/]\n"
        f"Read what has ended with [bold]packsight results {job.id}[/]"
    )


def _create(
    client: Client, sources: Sequence[str], options: RecognizeOptions, *, batch_size: int, column: str | None
) -> Job:
    skipped: Counter[str] = Counter()
    try:
        with progress("Uploading", None) as bar:
            job = client.submit(
                sources,
                options,
                batch_size=batch_size,
                column=column,
                skipped=skipped,
                uploaded=lambda _: bar.advance(),
            )
    except KeyboardInterrupt:
        console.print("\nStopped; nothing was queued. Photos that are uploaded already will not be uploaded again.")
        raise typer.Exit(130) from None
    if not sys.stdout.isatty():
        typer.echo(job.id)
    console.print(
        f"Job [bold]{job.id}[/]: {job.manifest.images:,} photos in {len(job.batches):,} batches, catalog {options.catalog}"
    )
    console.print(f"[dim]After an interruption: packsight submit --resume {job.id}[/]")
    if skipped:
        kinds = ", ".join(f"{count} × {suffix}" for suffix, count in skipped.most_common(5))
        console.print(f"[dim]Left out {skipped.total():,} files that are no photos ({escape(kinds)})[/]")
    for one in job.unopened[:10]:
        console.print(f"[yellow]Not opened: {escape(shown(one.name))}:[/] {escape(one.failure.message)}")
    if job.unopened:
        more = f"… and {len(job.unopened) - 10:,} more; " if len(job.unopened) > 10 else ""
        console.print(f"[yellow]{more}each photo that cannot be opened has a failed row among the results[/]")
    if not is_published(client.store, options.catalog):
        known = ", ".join(catalog_names(client.store)) or "none"
        console.print(
            f"[yellow]Catalog {options.catalog} has no published version[/] (there are: {known}); photos fail until it has."
        )
    return job


def _run(client: Client, job: Job, exports: Exports, *, resumed: bool, max_in_flight: int) -> None:
    began = time.monotonic()
    with progress("Recognising", job.photos) as bar:
        tally = _collect(client.run(job, max_in_flight=max_in_flight, resumed=resumed, idle=bar.idle), exports, bar)
    seconds = time.monotonic() - began
    tally.show(console)
    console.print(f"[dim]{job.photos:,} photos in {seconds:.1f} s, {job.photos / seconds:.1f}/s[/]")


def _collect(rows: Iterable[Row], exports: Exports, bar: Bar) -> Tally:
    tally = Tally()
    for row in _counted(rows, bar):
        exports.add(row)
        tally.add(row)
    return tally


def _counted(rows: Iterable[Row], bar: Bar) -> Iterator[Row]:
    for row in rows:
        yield row
        bar.advance()
