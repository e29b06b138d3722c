"""`packsight evaluate`: which questions are asked, and where the answers go."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from packsight.producer.broker import storing
from packsight.producer.client import Client
from packsight.producer.display import interruptible
from packsight.producer.evaluation import against as comparison
from packsight.producer.evaluation import doubled, names, tables
from packsight.producer.evaluation.document import FITTED, Results, document
from packsight.producer.evaluation.labels import TOP_K, answers
from packsight.producer.evaluation.metrics import Answer
from packsight.producer.evaluation.recognise import submit
from packsight.producer.evaluation.unlisted import Unlisted, missing, part
from packsight.shared.catalog.trust import Trust
from packsight.shared.catalog.versions import CatalogStore, is_published, unpublished
from packsight.shared.contract.errors import PacksightError, UserError
from packsight.shared.contract.messages import RecognizeOptions, parse_options
from packsight.shared.extras import Later
from packsight.shared.progress import console, progress
from packsight.shared.storage.files import must_be_writable, write_whole
from packsight.shared.tables.labels import Label, read_label_table

if TYPE_CHECKING:
    from packsight.producer.evaluation import baseline_2020, describe, local, page
    from packsight.producer.evaluation.baseline_2020 import Baseline
    from packsight.producer.evaluation.local import Catalog, Question
    from packsight.shared.catalog import tables as catalog_tables
else:
    # Not loaded where the queue alone is asked.
    baseline_2020 = Later("packsight.producer.evaluation.baseline_2020", extra="analysis")
    describe = Later("packsight.producer.evaluation.describe", extra="analysis")
    local = Later("packsight.producer.evaluation.local", extra="analysis")
    page = Later("packsight.producer.evaluation.page")
    catalog_tables = Later("packsight.shared.catalog.tables", extra="analysis")

def evaluate(
    labels: Path | None,
    *,
    root: Path | None,
    catalog: str,
    json_file: Path | None,
    html_file: Path | None,
    ablation: bool,
    drop_nearest: bool,
    leave_one_out: bool,
    kind: str,
    precision: float,
    against: Path | None,
) -> None:
    """Measure how well labelled photos, or the catalog's own, are recognised."""
    if labels is None and not leave_one_out:
        raise UserError("Name a table of labels, or ask the catalog's own photos with --leave-one-out.")
    files = [file for file in (json_file, html_file) if file]
    must_be_writable(*files)
    _must_be_apart(files, [file for file in (labels, against) if file])
    folder = root or (labels.parent if labels else Path())
    known = _known(labels, folder, kind) if labels else []
    earlier = _earlier(against, known) if against else None
    with Client() as client, storing(client.settings):
        here = None
        if ablation or drop_nearest or leave_one_out or html_file:
            here = _local(client, catalog)
        if here and (ablation or drop_nearest or not known):
            results = _asked_here(client, here, known, folder, ablation=ablation, drop=drop_nearest, own=leave_one_out)
        else:
            if not is_published(client.store, catalog):
                raise unpublished(client.store, catalog)
            own = _own_by_all(client, here) if here and leave_one_out else {}
            options = parse_options(catalog=catalog, top_k=TOP_K)
            job, answered = _over_queue(client, known, folder, options)
            found, unlisted = _measured(client, catalog, answered)
            results = Results(found, own=own, unlisted=unlisted, job=job)
        compared = comparison.compare(str(against), earlier, results.found) if earlier is not None else None
        results = replace(results, catalog=catalog, at=datetime.now(UTC), precision=precision, against=compared)
        # Files first: whoever reads but the beginning of what is printed ends the command there.
        if json_file:
            _write(json_file, document(results))
        if html_file and here:
            page.write(html_file, results, here, client)
    for file in files:
        console.print(f"Wrote [bold]{escape(str(file))}[/]", soft_wrap=True)
    if results.unlisted and results.unlisted.ids and not (results.found or results.own):
        raise UserError(f"No labelled photo can be measured. {results.unlisted.hint(catalog)}")
    tables.show(results)


def _must_be_apart(written: Sequence[Path], read: Sequence[Path]) -> None:
    """Raise UserError where a file is to be written in the place of what is read, or of the other one that is written."""
    for number, file in enumerate(written):
        if other := next((one for one in (*read, *written[:number]) if one.resolve() == file.resolve()), None):
            what = "is read" if other in read else "is named twice"
            raise UserError(f"{file} {what} by this command, and would be written over. Name another file for the measures.")


def _known(file: Path, folder: Path, kind: str) -> list[Label]:
    """The labels of a table, one for each photo; tells of those that are left out."""
    table = read_label_table(file, kind=kind)
    known, again = doubled.once(table.labels, folder)
    for told in filter(None, (table.hint, doubled.hint(again))):
        console.print(f"[yellow]![/] {escape(told)}", soft_wrap=True)
    return known


def _earlier(file: Path, known: Sequence[Label]) -> list[Answer]:
    """The answers to compare with, under the names that the photos have now."""
    read = comparison.read(file)
    if not known:
        return read
    found = names.met(str(file), read, known)
    if called := next(((old.image, new.image) for old, new in zip(read, found, strict=True) if old.image != new.image), None):
        text = f"{file} names photos otherwise ({called[0]}, now {called[1]}). They are paired by the ends of their paths."
        console.print(f"[yellow]![/] {escape(text)}", soft_wrap=True)
    return found


def _over_queue(client: Client, known: Sequence[Label], root: Path, options: RecognizeOptions) -> tuple[str, list[Answer]]:
    """What a customer of the queue gets for the labelled photos, and of which job."""
    job = submit(client, known, root, options)
    then = f"Read what has ended with [bold]packsight results {job.id}[/]"
    rows = []
    with interruptible(then), progress("Recognising", len(known)) as bar:
        for row in client.run(job, idle=bar.idle):
            rows.append(row)
            bar.advance()
    return job.id, answers(known, [row.outcome for row in sorted(rows, key=lambda row: row.index)])


def _measured(client: Client, catalog: str, found: list[Answer]) -> tuple[list[Answer], Unlisted | None]:
    """Leave out labels whose product the version that answered does not hold; None where that cannot be looked up."""
    versions = {answer.version for answer in found if answer.version}
    if not versions:
        return found, None
    store = CatalogStore(client.store, catalog, Trust.of_reader(client.settings))
    try:
        return part(found, {version: catalog_tables.published_ids(store, version) for version in versions})
    except (UserError, PacksightError) as error:
        text = f"Whether the catalog holds every labelled product was not looked up. {error}"
        console.print(f"[yellow]![/] {escape(text)}")
        return found, None


def _asked_here(
    client: Client, here: Catalog, known: Sequence[Label], root: Path, *, ablation: bool, drop: bool, own: bool
) -> Results:
    """Let the workers look once, and answer all questions here."""
    seen = _look(client, here, known, root) if known else []
    left_out = _own(client, here) if own else []
    listed = set(here.ids)
    asked = [question for question in seen if not missing(question.label, listed)]
    with console.status("Answering"):
        lacking = [question for question in seen if missing(question.label, listed)]
        unlisted = part(local.answers(lacking, here), {here.version: listed})[1]
        baseline = _baseline(client, here)
        variants = local.ablation(asked, here, baseline) if ablation and known else {}
        of_own = local.ablation(left_out, here, baseline) if own else {}
        dropped = local.ablation(local.dropped(asked or left_out, here), here, baseline) if drop else {}
        found = variants.get(FITTED) or (local.answers(asked, here) if known else of_own[FITTED])
    return Results(found, variants, dropped, of_own, unlisted=unlisted)


def _local(client: Client, catalog: str) -> Catalog:
    with console.status("Fetching the catalog's current version"):
        return local.Catalog.current(client, catalog)


def _look(client: Client, here: Catalog, known: Sequence[Label], root: Path) -> list[Question]:
    """Have the labelled photos described over the queue."""
    images = describe.send(client, known, root)
    with interruptible(), progress("Describing", len(images)) as bar:
        seen = describe.describe(client, images, here.snapshot, idle=bar.idle, done=bar.advance)
    return local.labelled(known, [image.reference for image in images], seen, here)


def _own(client: Client, here: Catalog) -> list[Question]:
    """The catalog's own photos, each left out; raises UserError when no product has two."""
    photos = local.own_photos(here)
    if not photos:
        raise UserError("No product of this catalog has two photos, so that none can be left out. Add photos with --photos.")
    with console.status("Reading the features of the catalog's photos"):
        features = describe.stored(client, here.snapshot, [here.snapshot.photo_table.sha256(photo) for photo in photos])
    return local.leave_one_out(photos, features, here, client.store.bucket)


def _own_by_all(client: Client, here: Catalog) -> dict[str, list[Answer]]:
    return local.ablation(_own(client, here), here, _baseline(client, here))


def _baseline(client: Client, here: Catalog) -> Baseline:
    """The formula of 2020 with the embeddings of all the catalog's photos."""
    features = describe.stored(client, here.snapshot, here.snapshot.photo_table.column("sha256"))
    return baseline_2020.Baseline.of(here.snapshot, features)


def _write(file: Path, made: dict[str, Any]) -> None:
    write_whole(file, json.dumps(made, indent=1, ensure_ascii=False))
