"""`packsight explain`: why a photo got its answer, in the terminal and drawn."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.markup import escape

from packsight.producer.client import Client
from packsight.producer.collect import rows_of, unopened_rows
from packsight.producer.display import show_outcome
from packsight.producer.export import Exports
from packsight.producer.report import Report
from packsight.producer.rows import Row
from packsight.producer.thumbnails import fetched
from packsight.shared.contract.errors import UserError
from packsight.shared.contract.messages import RecognizeOptions
from packsight.shared.contract.outcomes import Status
from packsight.shared.contract.references import shown
from packsight.shared.extras import Later
from packsight.shared.progress import console
from packsight.shared.storage.files import must_be_files, written_aside
from packsight.shared.storage.jobs import Job, JobImage

if TYPE_CHECKING:
    from packsight.producer import drawing
else:
    drawing = Later("packsight.producer.drawing", extra="analysis")

SIDE = 900
"""Longer side of the drawn pictures in pixels."""
SUFFIXES = (".html", ".png")


def explain(photo: str, image: str | None, out: Path | None, options: RecognizeOptions, *, timeout: float) -> None:
    """Show and draw why a photo got its answer: recognised now, or as the outcome of the job `photo` tells."""
    if out and out.suffix.lower() not in SUFFIXES:
        raise UserError(f"{out.name} is neither an .html nor a .png file. Give --out one of these suffixes.")
    must_be_files(out)
    with Client() as client:
        if image is None:
            outcome = client.recognize(photo, options, timeout=timeout)
            row = Row("", 0, photo, outcome)
        else:
            row = outcome_of(client, client.load(photo), image)
        show_outcome(row.name, row.outcome)
        file = out or _file(client.settings.home, row.name)
        draw(client, row, file)
    console.print(f"Drew [bold]{escape(str(file))}[/]", soft_wrap=True)
    raise typer.Exit(1 if row.outcome.status is Status.FAILED else 0)


def outcome_of(client: Client, job: Job, text: str) -> Row:
    """The outcome of the one image that `text` names; raises UserError when none or several do, or it has not ended."""
    unopened = list(unopened_rows(job))
    asked = [image for batch in job.batches for image in batch.images]
    place = find([*asked, *(JobImage(reference=row.outcome.image or "?", name=row.name) for row in unopened)], text)
    if place >= len(asked):
        return unopened[place - len(asked)]
    batch = job.batches[place // job.manifest.batch_size]
    end = client.task_end(batch.task_id)
    if end is None:
        raise UserError(f"{text} of job {job.id} has no outcome yet. `packsight results {job.id} --follow` waits for it.")
    return rows_of(batch, end)[place - batch.first]


def find(images: Sequence[JobImage], text: str) -> int:
    """Place of the image with this name or reference, of the only one with this file name, or of the only one with it inside."""
    exact = [place for place, image in enumerate(images) if text in (image.name, image.reference)]
    part = [place for place, image in enumerate(images) if text in image.name or text in image.reference]
    file = [place for place in part if f"/{images[place].name}".endswith(f"/{text}")]
    for found in (exact, file, part):
        if len(found) == 1 or (found and len({images[place].name for place in found}) == 1):
            return found[0]
        if found:
            names = ", ".join(shown(images[place].name) for place in found[:3])
            more = f" and {len(found) - 3} more" if len(found) > 3 else ""
            raise UserError(f"{text} is a part of {len(found)} photos: {names}{more}. Give more of the name.")
    raise UserError(f"No photo of this job has {text} in its name. `packsight results JOB --out FILE` lists them.")


def draw(client: Client, row: Row, file: Path) -> None:
    """Draw an outcome into an .html or .png file; raises UserError when it cannot be written."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with fetched(client.settings, client.store, SIDE) as pictures:
            if file.suffix.lower() == ".png":
                with written_aside(file) as part:
                    drawing.write_png(part, row, pictures)
                return
            with Exports() as exports:
                exports.take(Report(file, pictures, single=True))
                exports.add(row)
                exports.finish()
    except OSError as error:
        raise UserError(f"{file} cannot be written: {error.strerror}. Choose another with --out.") from None


def _file(home: Path, name: str) -> Path:
    """Where a drawing goes by default: named like the photo, and unlike that of another folder's photo."""
    plain = re.sub(r"\W+", "-", Path(name).stem).strip("-")[:60] or "photo"
    return home / "explain" / f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:8]}.html"
