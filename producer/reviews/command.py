"""What `packsight review …` does: list, say, undo, show, search, export, import, figures."""

from __future__ import annotations

import getpass
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import typer
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from packsight.producer.broker import storing
from packsight.producer.client import Client
from packsight.producer.display import page
from packsight.producer.export import say_json
from packsight.producer.reviews import files
from packsight.producer.reviews.desk import ReviewDesk, parse_kind
from packsight.producer.reviews.inbox import Waiting
from packsight.producer.reviews.products import Shelf
from packsight.shared.catalog.versions import is_published, unpublished
from packsight.shared.contract.errors import UserError
from packsight.shared.contract.references import shown
from packsight.shared.progress import console
from packsight.shared.storage.files import must_be_files
from packsight.shared.storage.review_figure import Figure, Promise
from packsight.shared.storage.verdicts import Kind, Offered, Reviewed, Verdict

WHY = {Offered.SAMPLE: "drawn by lot", Offered.UNSURE: "unsure", Offered.CHOSEN: "chosen"}


@contextmanager
def _desk(catalog: str) -> Iterator[tuple[Client, ReviewDesk]]:
    with Client() as client, storing(client.settings):
        yield client, ReviewDesk(client, catalog)


def waiting(jobs: Sequence[str], catalog: str, *, limit: int, as_json: bool) -> None:
    """List what waits for a person, the most useful first."""
    with _desk(catalog) as (client, desk):
        found = desk.waiting(jobs)
        if not found and not is_published(client.store, catalog):
            raise unpublished(client.store, catalog)
    if as_json:
        for one in islice(found, limit):
            say_json(json.dumps(files.asked(one), ensure_ascii=False))
        return
    if not found:
        page.print("Nothing waits for a review.")
        return
    for one in islice(found, limit):
        _tell_waiting(one)
    more = f", {len(found) - limit:,} more with --limit" if len(found) > limit else ""
    drawn = sum(one.offered is Offered.SAMPLE for one in found)
    page.print(f"{len(found):,} wait, {drawn:,} of them drawn by lot{more}. packsight review say JOB PHOTO right|other|…",
               soft_wrap=True)  # fmt: skip


def _tell_waiting(one: Waiting) -> None:
    """Two lines, however narrow the screen: what `say` wants and the answer, then what tells of the photo."""
    outcome = one.row.outcome
    first = outcome.candidates[0].product if outcome.candidates else outcome.product
    product = f"{first.id} {first.name}" if first else "none"
    why = "people disagree" if one.review is not None and one.review.disputed else WHY[one.offered]
    _two_lines(
        f"{one.row.job} {one.row.index}", f"{outcome.status} {outcome.confidence:.2f}", f"nearest {product}",
        below=(why, shown(one.row.name)),
    )  # fmt: skip


def _two_lines(*cells: str, below: Sequence[str], style: str = "") -> None:
    page.print(Text("  ".join(cells), style=style), soft_wrap=True)
    page.print(Text(f"  {' · '.join(below)}", style="dim"), soft_wrap=True)


def say(job: str, index: int, verdict: str, catalog: str, *, product: str, by: str, complaint: bool) -> None:
    """Say what a photo of a job shows."""
    kind = parse_kind(verdict)
    with _desk(catalog) as (client, desk):
        row = desk.row(job, index)
        called = Shelf(client.store, client.settings, catalog).products().get(product).name if product else ""
        before = desk.reviewed().photos.get(row.outcome.sha256 or "")
        seen = before.verdict.id if before is not None else None
        why = Offered.CHOSEN if complaint else desk.offered(row)
        given = desk.give(row, kind, by=by or _me(), product=product, called=called, offered=why, after=seen)
    told = f"{shown(row.name)}: {_sentence(given)}. packsight review undo {given.id} takes it back."
    page.print(told, soft_wrap=True, markup=False)


def undo(verdict: str, catalog: str, *, by: str) -> None:
    """Take a verdict back."""
    with _desk(catalog) as (_, desk):
        taken = desk.undo(verdict, by=by or _me())
    page.print(f"Taken back: what was said of {escape(shown(taken.name))}. What it led to goes with the next sync.")


def show(catalog: str, *, limit: int, as_json: bool) -> None:
    """Show what was said, the latest first, and where people disagree."""
    with _desk(catalog) as (_, desk):
        found = desk.reviewed()
    latest = list(found.photos.values())[::-1]
    if as_json:
        for review in islice(latest, limit):
            typer.echo(json.dumps(files.given(review.verdict, counts="disputed" if review.disputed else "yes")))
        return
    if not latest:
        page.print(f"No answer of catalog {catalog} has been reviewed. `packsight review list` shows what waits.")
        return
    for review in islice(latest, limit):
        for verdict in (review.verdict, *review.against):
            answer = f"answered {verdict.answered.status} {verdict.answered.product}".rstrip()
            _two_lines(
                f"{shown(verdict.name)}: {_sentence(verdict)}", style="yellow" if review.disputed else "",
                below=(verdict.id, f"{verdict.at:%Y-%m-%d %H:%M} UTC", verdict.by, answer),
            )  # fmt: skip
    _disputed(found)


def search(words: Sequence[str], catalog: str, *, limit: int) -> None:
    """Find products by words of their names, brands and codes."""
    with _desk(catalog) as (client, _):
        products = Shelf(client.store, client.settings, catalog).products()
        found = products.search(" ".join(words), limit)
    if not found:
        page.print(f"None of {len(products):,} products has all of these words.")
        return
    table = Table("Id", "Name", "Vendor", "Code", box=SIMPLE_HEAD, pad_edge=False)
    for row in found:
        table.add_row(*map(Text, (row.id, row.name, row.vendor, row.vendor_code)))
    page.print(table)


def export(path: Path, jobs: Sequence[str], catalog: str, *, waiting: bool) -> None:
    """Write all verdicts, or what waits for one, into a file."""
    must_be_files(path)
    with _desk(catalog) as (_, desk):
        if waiting:
            count = files.write(path, map(files.asked, desk.waiting(jobs)), files.ASKED)
        else:
            chosen = [verdict for verdict in desk.store.all() if not jobs or verdict.job in jobs]
            count = files.write(path, files.all_given(chosen, desk.reviewed()), files.GIVEN)
    console.print(f"Wrote [bold]{escape(str(path))}[/]: {count:,} {'answers that wait' if waiting else 'verdicts'}")


def take_in(path: Path, jobs: Sequence[str], catalog: str, *, by: str) -> None:
    """Take verdicts in from a table; exit code 1 when some of its rows are wrong, which are left out."""
    with _desk(catalog) as (client, desk):
        found = files.read(path, list(desk.rows(jobs)), catalog, by=by or _me(), share=desk.rules.sample)
        good = found.verdicts
        if any(verdict.kind is Kind.OTHER for verdict in good):
            products = Shelf(client.store, client.settings, catalog).products()
            strange = [verdict for verdict in good if verdict.kind is Kind.OTHER and verdict.product not in products]
            found.faults += [f"{shown(one.name)}: catalog {catalog} has no product {one.product}" for one in strange]
            # An id that the answer does not name is one of what is served.
            good = [
                verdict if verdict.called or not verdict.product
                else verdict.model_copy(update={"called": products.get(verdict.product).name})
                for verdict in good if verdict not in strange
            ]  # fmt: skip
        new = files.unsaid(good, desk.store.all())
        desk.store.add(new)
        _disputed(desk.reviewed())
    again = f"{len(good) - len(new):,} said before, " if len(new) < len(good) else ""
    page.print(f"{len(new):,} verdicts taken in, {again}{found.empty:,} rows without one, {len(found.faults):,} wrong.")
    for fault in found.faults[:20]:
        console.print(f"[yellow]{escape(str(path))}, {escape(fault)}[/]")
    if found.faults:
        raise typer.Exit(1)


def figures(catalog: str, *, as_json: bool) -> None:
    """Say how many matched answers are wrong; exit code 1 when the promise is surely broken."""
    with _desk(catalog) as (_, desk):
        found = desk.figure()
    if as_json:
        typer.echo(json.dumps(document(found)))
    else:
        colour = {Promise.KEPT: "green", Promise.OPEN: "yellow", Promise.BROKEN: "red"}[found.promise]
        page.print(f"[{colour}]{escape(found.told[:1].upper() + found.told[1:])}.[/]", soft_wrap=True)
        page.print(
            f"Beside them {found.unclear} sampled photos on which nobody could tell, {found.disputed} on which people disagree. "
            f"{found.elsewhere} more were reviewed for other reasons: they say nothing of the sure answers and are not mixed in.",
            soft_wrap=True,
        )
    if found.promise is Promise.BROKEN:
        raise typer.Exit(1)


def document(found: Figure) -> dict[str, object]:
    """The figure for programs: shares from 0 to 1, null where nothing was reviewed."""
    low, high = found.wrong.interval or (None, None)
    return {
        "catalog": found.catalog, "reviewed": found.wrong.n, "wrong": found.wrong.k, "wrong_share": found.wrong.value,
        "wrong_low": low, "wrong_high": high, "promised_precision": found.promised, "promise": found.promise.value,
        "unclear": found.unclear, "disputed": found.disputed, "reviewed_for_other_reasons": found.elsewhere,
    }  # fmt: skip


def _sentence(verdict: Verdict) -> str:
    return {
        Kind.RIGHT: f"shows {verdict.product}, as answered", Kind.OTHER: f"shows {verdict.product}",
        Kind.ABSENT: "not in the catalog", Kind.BAD: "bad photo", Kind.UNDONE: "taken back",
    }[verdict.kind]  # fmt: skip


def _disputed(found: Reviewed) -> None:
    for review in found.disputed[:10]:
        others = ", ".join(f"{one.by}: {_sentence(one)}" for one in review.against)
        console.print(
            f"[yellow]{escape(shown(review.verdict.name))}: {escape(review.verdict.by)} says {_sentence(review.verdict)}, "
            f"{escape(others)}. It is not used until one of them has seen both: packsight review say[/]"
        )


def _me() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        raise UserError("A verdict needs the name of who gives it: --by NAME.") from None
