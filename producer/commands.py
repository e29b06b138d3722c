"""What the producer's commands do: submit, recognize, results, jobs."""

from __future__ import annotations

import json
import shlex
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import typer
from rich.console import Console
from rich.markup import escape

from packsight.producer.client import Client
from packsight.producer.display import Tally, interruptible, job_lines, page
from packsight.producer.excluded import Excluded
from packsight.producer.export import STANDARD_OUTPUT, Exports, open_export, say_json
from packsight.producer.jobs import NothingToAsk, parse_about
from packsight.producer.report import Report
from packsight.producer.rows import Row
from packsight.producer.summary import State, Summary
from packsight.producer.thumbnails import fetched
from packsight.shared.catalog.versions import is_published, published_names
from packsight.shared.contract.errors import NO_ROOM, SOME_FAILED, UserError, parse_code
from packsight.shared.contract.messages import Priority, RecognizeOptions
from packsight.shared.contract.outcomes import Status
from packsight.shared.contract.references import shown
from packsight.shared.progress import Bar, console, progress
from packsight.shared.storage.jobs import BATCH_SIZE, Job, JobManifest


@dataclass(frozen=True)
class Submission:
    """How photos are submitted: what `packsight submit` was asked beside how they are answered.

    out, report: files to write, which implies waiting. resume: the job to go on with, in the place of sources.
    """

    batch_size: int = BATCH_SIZE
    wait: bool = False
    out: Sequence[Path] = ()
    report: Path | None = None
    column: str | None = None
    exclude: Sequence[str] = ()
    resume: str | None = None
    max_in_flight: int = 64
    name: str = ""
    priority: Priority = Priority.NORMAL
    as_json: bool = False

    @property
    def stays(self) -> bool:
        """Whether the command stays until all is done."""
        return bool(self.wait or self.out or self.report)


def submit(sources: Sequence[str], options: RecognizeOptions, how: Submission) -> None:
    """Queue the photos of `sources`, or what is left of a job; exit code SOME_FAILED where it stays and photos have failed."""
    if bool(sources) == bool(how.resume):
        raise UserError("Name the photos to submit, or a job with --resume JOB: one of the two.")
    if how.exclude and how.resume:
        raise UserError("A job that is resumed has the photos that it was made with. Leave --exclude out.")
    if how.resume and (how.name or how.column or how.priority is not Priority.NORMAL):
        raise UserError("A job that is resumed is the one that it was made as. Leave --name, --column and --priority out.")
    if how.as_json and STANDARD_OUTPUT in how.out:
        raise UserError("--json and --out - both write to standard output. Leave one of them out.")
    with Client() as client:
        begun: list[Job] = []
        with _told_where_the_results_are(begun), _exports(client, how.out, how.report) as exports:
            job = client.load(how.resume) if how.resume else _create(client, sources, options, how)
            begun.append(job)
            with _interruptible(job, how.out, how.report):
                tally = _run(client, job, exports, how) if how.stays else _enqueue(client, job, how)
        if how.as_json:
            _print_json(job.manifest, client.summary(job.manifest))
    _end(tally)


def recognize(image: str, options: RecognizeOptions, *, timeout: float) -> None:
    """Recognise one photo and print its outcome as JSON."""
    with Client() as client:
        outcome = client.recognize(image, options, timeout=timeout)
    say_json(outcome.model_dump_json(indent=2 if sys.stdout.isatty() else None, exclude_none=True))
    raise typer.Exit(1 if outcome.status is Status.FAILED else 0)


def results(job_id: str, *, follow: bool, out: Sequence[Path], report: Path | None) -> None:
    """Read a job's outcomes: counts, files of results, a report; exit code SOME_FAILED where photos have failed."""
    begun: list[Job] = []
    with Client() as client, _told_where_the_results_are(begun), _exports(client, out, report) as exports:
        job = client.load(job_id)
        begun.append(job)
        summary = client.summary(job.manifest)
        expired = summary.state is State.EXPIRED
        with _interruptible(job, out, report), progress("Reading", job.photos, summary.answered) as bar:
            tally = _collect(client.outcomes(job, wait=follow and not expired, idle=bar.idle), exports, bar)
        tally.show(console if STANDARD_OUTPUT in out else page)
        days = client.settings.queue.result_expires / 86400
        if (missing := job.photos - tally.statuses.total()) and expired:
            console.print(
                f"[yellow]The outcomes of {missing:,} of {job.photos:,} photos are gone[/]: they are kept for {days:.0f} days, "
                "and are in no backup. Ask again:"
            )
            _command(f"packsight submit --resume {job.id}")
        elif missing:
            console.print(
                f"[yellow]{missing:,} of {job.photos:,} photos have no outcome yet.[/] Outcomes are kept for {days:.0f} days. "
                "Wait, or queue what never was:"
            )
            _command(f"packsight results {job.id} --follow")
            _command(f"packsight submit --resume {job.id}")
    _end(tally)


def retry(job_id: str, *, codes: Sequence[str]) -> None:
    """Queue a job's failed photos again."""
    wanted = [parse_code(code) for code in codes]
    failures: Counter[str] = Counter()
    with Client() as client, progress("Queueing", None) as bar:
        job = client.load(job_id)
        for rows in client.again(job, wanted, idle=bar.idle):
            failures.update(row.outcome.failure.code.value for row in rows if row.outcome.failure)
            bar.advance(len(rows))
    if not failures:
        page.print("No photo of this job has failed so that it could be asked about again.")
        return
    told = ", ".join(f"{count:,} × {code}" for code, count in failures.most_common())
    page.print(f"{failures.total():,} photos are asked about again: {told}. Wait for them:")
    _command(f"packsight results {job.id} --follow", page)


def cancel(job_id: str) -> None:
    """Have no more of a job's photos worked on."""
    with Client() as client:
        job = client.load(job_id)
        summary = client.cancel(job)
    left = summary.photos - summary.answered
    page.print(
        f"Job {job.id} is cancelled: {left:,} photos are in work and come to their end, no other is begun. What was not begun "
        "has failed with the code cancelled. Take it up again:"
    )
    _command(f"packsight submit --resume {job.id} --wait", page)


def delete(job_id: str, *, yes: bool) -> None:
    """Remove a job and all that is known of it, once somebody has agreed."""
    with Client() as client:
        job = client.load(job_id)
        if not yes:
            called = f" ({job.manifest.name})" if job.manifest.name else ""
            what = f"job {job.id}{called}, its {job.photos:,} photos and their results"
            typer.confirm(f"Remove {what} for good?", abort=True, err=True)
        removed = client.remove(job)
    shared = f"; {removed.shared:,} are other jobs' too and stay" if removed.shared else ""
    page.print(f"Removed job {job.id} with its results and {removed.uploads:,} uploaded photos{shared}.")


def jobs(limit: int, *, as_json: bool) -> None:
    """List submitted jobs, newest first, with how their photos have ended."""
    with Client() as client:
        lines = [(manifest, client.summary(manifest)) for manifest in client.newest(limit)]
    if as_json:
        for manifest, summary in lines:
            _print_json(manifest, summary)
    elif lines:
        job_lines(page, lines)
    else:
        page.print("There are no jobs. Make one:")
        _command("packsight submit FOLDER", page)


def _print_json(manifest: JobManifest, summary: Summary) -> None:
    about = {"batches": manifest.batches, "ended": summary.batches_ended, "photos": summary.photos, "state": summary.state.value}
    ends = {status.value: summary.ends[status] for status in Status}
    typer.echo(json.dumps({**manifest.model_dump(mode="json"), **about, "ends": ends}))


def _command(command: str, to: Console = console) -> None:
    """A command on a line of its own, never broken, so that it can be pasted."""
    to.print(f"  [bold]{escape(command)}[/]", soft_wrap=True)


def _end(tally: Tally) -> None:
    """Say by the exit code where photos have failed."""
    if tally.statuses[Status.FAILED]:
        raise typer.Exit(SOME_FAILED)


@contextmanager
def _exports(client: Client, out: Sequence[Path], report: Path | None) -> Iterator[Exports]:
    """Open the files of results before anything is queued, so that a wrong name is told at once."""
    with ExitStack() as stack:
        exports = stack.enter_context(Exports())
        for path in out:
            exports.take(open_export(path))
        if report == STANDARD_OUTPUT:
            raise UserError("A report is a page for a browser. Name a file for it, say --report report.html.")
        if report:
            pictures = stack.enter_context(fetched(client.settings, client.store))
            exports.take(Report(report, pictures, manifests=client.manifest))
        yield exports
        with console.status("Writing the results"):
            exports.finish()
    for path in [*out, *([report] if report else [])]:
        if path != STANDARD_OUTPUT:
            console.print(f"Wrote [bold]{escape(str(path))}[/]", soft_wrap=True)


def _interruptible(job: Job, out: Sequence[Path], report: Path | None) -> AbstractContextManager[None]:
    """Let Ctrl-C end the command and say how to go on with the files that it was to write."""
    named = [*(("--out", path) for path in out), *([("--report", report)] if report else [])]
    files = escape("".join(f" {option} {shlex.quote(str(path))}" for option, path in named))
    return interruptible(
        "Queue what is left and wait, or read what has ended:\n"
        f"  [bold]packsight submit --resume {job.id} --wait{files}[/]\n  [bold]packsight results {job.id}{files}[/]"
    )


@contextmanager
def _told_where_the_results_are(begun: Sequence[Job]) -> Iterator[None]:
    """Where there is no room for a file of results, say that they are kept, and how to have them. begun: the job, once it is."""
    try:
        yield
    except OSError as error:
        if error.errno in NO_ROOM:
            for job in begun:
                console.print("The files of results are not written; the results are kept. Name a place with room for them:")
                _command(f"packsight results {job.id} --follow --out FILE")
        raise


def _create(client: Client, sources: Sequence[str], options: RecognizeOptions, how: Submission) -> Job:
    skipped: Counter[str] = Counter()
    excluded = Excluded(how.exclude)
    try:
        with progress("Uploading", None) as bar:

            def uploaded(_: int, of: int) -> None:
                bar.expect(of)
                bar.advance()

            job = client.submit(
                sources,
                options,
                batch_size=how.batch_size,
                column=how.column,
                skipped=skipped,
                exclude=excluded,
                uploaded=uploaded,
                about=parse_about(name=how.name, priority=how.priority),
            )
    except NothingToAsk as error:
        if excluded.counts.total():
            raise NothingToAsk(error.found, f"Left out as --exclude says: {excluded}.") from None
        raise
    except KeyboardInterrupt:
        console.print("\nStopped; nothing was queued. Photos that are uploaded already will not be uploaded again.")
        raise typer.Exit(130) from None
    if not sys.stdout.isatty() and not how.as_json and STANDARD_OUTPUT not in how.out:
        typer.echo(job.id)
    console.print(
        f"Job [bold]{job.id}[/]: {_count(job.manifest.images, 'photo')} in {_count(len(job.batches), 'batch', 'batches')}, "
        f"catalog {options.catalog}"
    )
    console.print(f"[dim]After an interruption: packsight submit --resume {job.id}[/]", soft_wrap=True)
    if skipped:
        kinds = ", ".join(f"{count:,} × {suffix}" for suffix, count in skipped.most_common(5))
        what = "one file that is no photo" if skipped.total() == 1 else f"{skipped.total():,} files that are no photos"
        console.print(f"[dim]Left out {what} ({escape(kinds)}{', …' if len(skipped) > 5 else ''})[/]")
    if excluded.counts:
        console.print(f"[dim]Left out as --exclude says: {escape(str(excluded))}[/]", soft_wrap=True)
    for one in job.unopened[:10]:
        console.print(f"[yellow]Not opened: {escape(shown(one.name))}:[/] {escape(one.failure.message)}", soft_wrap=True)
    if job.unopened:
        more = f"… and {len(job.unopened) - 10:,} more; " if len(job.unopened) > 10 else ""
        console.print(f"[yellow]{more}each photo that cannot be opened has a failed row among the results[/]")
    if not is_published(client.store, options.catalog):
        console.print(
            f"[yellow]Catalog {options.catalog} has no published version[/] (there are: {published_names(client.store)}); "
            "photos fail until it has."
        )
    return job


def _enqueue(client: Client, job: Job, how: Submission) -> Tally:
    """Queue a job and say where its results are to be had; nothing of it is known yet."""
    with progress("Queueing", len(job.batches)) as bar:
        for _ in client.enqueue(job, max_in_flight=how.max_in_flight, resumed=how.resume is not None, idle=bar.idle):
            bar.advance()
    console.print("Queued. Wait for the results:")
    _command(f"packsight results {job.id} --follow")
    return Tally()


def _run(client: Client, job: Job, exports: Exports, how: Submission) -> Tally:
    resumed = how.resume is not None
    already = client.summary(job.manifest).answered if resumed else len(job.unopened)
    with progress("Recognising", job.photos, already) as bar:
        rows = client.run(job, max_in_flight=how.max_in_flight, resumed=resumed, idle=bar.idle)
        tally = _collect(rows, exports, bar)
    tally.show(console)
    console.print(f"[dim]{bar.pace.words()}[/]")
    return tally


def _count(number: int, one: str, several: str = "") -> str:
    return f"{number:,} {one if number == 1 else several or one + 's'}"


def _collect(rows: Iterable[Row], exports: Exports, bar: Bar) -> Tally:
    tally = Tally()
    for row in rows:
        exports.add(row)
        tally.add(row)
        bar.advance()
    return tally
