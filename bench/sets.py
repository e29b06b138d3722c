"""`python -m bench.sets DATA`: how well the sets of a folder are recognised, over the queue as workers serve it.

A set is a folder with a feed (`feed.xml`), photos of its products (`photos/<vendor code>/`) and labelled photos (`labels.csv`,
paths from the set's folder on). Each becomes a catalog of its own, published by the indexer with the running worker.
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from bench import entry, machine
from bench.accuracy_page import markdown, show
from bench.photos import PhotoSet
from bench.set_run import measure, pooled
from bench.testbed import testbed, worker
from packsight.producer.client import Client
from packsight.producer.evaluation.doubled import once
from packsight.shared.contract.errors import PacksightError, UserError
from packsight.shared.queue.connection import result_database
from packsight.shared.queue.registry import children
from packsight.shared.settings import Settings
from packsight.shared.storage.files import must_be_writable, write_whole
from packsight.shared.tables.labels import read_label_table

console = Console()


def main(
    data: Annotated[Path, typer.Argument(help="Folder of sets, each a folder with feed.xml, photos/ and labels.csv.")],
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all measures and rows here.")] = None,
    write: Annotated[Path | None, typer.Option("--write", help="Write the tables here, as docs/accuracy.md has them.")] = None,
    priors: Annotated[
        Path | None, typer.Option(help="Folder of priors by bench.prior: each set is served by the one that has not seen it.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the cache of compiled networks.")] = Path("bench-out"),
) -> None:
    """Measure every set over the queue and print one table."""
    must_be_writable(json_file, write)
    document = run([ready(photos, priors) for photos in sets_in(data)], (out / "models").resolve(), priors)
    if json_file:
        entry.save(json_file, document)
    if write:
        write_whole(write, markdown(document))
    show(document, console)
    if failed := document["failed"]:
        raise UserError(f"Not measured: {', '.join(failed)}. The others are.")


def sets_in(data: Path) -> list[PhotoSet]:
    """The sets of a folder in order of their names; raises UserError when there is none."""
    folders = sorted(feed.parent for feed in data.glob("*/feed.xml") if (feed.parent / "labels.csv").is_file())
    if not folders and (data / "feed.xml").is_file():
        raise UserError(f"{data} is a set itself. Name the folder that holds it, alone or among others.")
    if not folders:
        raise UserError(f"{data} holds no set. A set is a folder in it with feed.xml, photos/ and labels.csv.")
    return [set_in(folder) for folder in folders]


def set_in(folder: Path) -> PhotoSet:
    """The set of one folder; tells of reviews that are no labels. Raises UserError when it has no labels."""
    table = read_label_table(folder / "labels.csv")
    if table.hint:
        console.print(f"[yellow]![/] {escape(f'{folder.name}: {table.hint}')}", soft_wrap=True, highlight=False)
    return PhotoSet(folder.name, folder, folder / "feed.xml", _extra(folder / "photos"), table.labels)


def ready(photos: PhotoSet, priors: Path | None) -> PhotoSet:
    """The set with one label for each photo.

    Raises UserError for what would be found out only when other sets have been measured: a photo or the set's prior that is not
    there, labels that contradict each other.
    """
    if priors is not None and not (prior := _prior(priors, photos.name)).is_file():
        raise UserError(f"{prior} does not exist. Make it by `python -m bench.prior` with this set among the others.")
    try:
        return replace(photos, labels=once(photos.labels, photos.root)[0])
    except UserError as error:
        raise UserError(f"Set {photos.name}: {error}") from None


def _extra(photos: Path) -> str:
    return str(photos) if photos.is_dir() else ""


def run(sets: list[PhotoSet], models: Path, priors: Path | None = None) -> dict[str, Any]:
    """Measure the sets one after the other with one worker; priors: of each set, by its name.

    A set that cannot be measured is told, and named with the reason under `failed`. Raises UserError when none can be.
    """
    measured: dict[str, Any] = {}
    failed: dict[str, str] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="packsight-sets-")))
        on = stack.enter_context(testbed(folder, models))
        # Every question must cost what it costs a photo that was never seen.
        by = stack.enter_context(worker(on, PACKSIGHT_WORKER__REMEMBER="0"))
        client = stack.enter_context(Client(on.settings))
        with result_database(on.settings) as redis:
            precisions = sorted({child.precision for child in children(redis)})
        for photos in sets:
            console.rule(f"{photos.name}: {len(photos.labels)} labelled photos")
            try:
                measured[photos.name] = measure(on, by, client, photos, indexer=_starting(on.settings, photos.name, priors))
            except (UserError, PacksightError) as error:
                failed[photos.name] = str(error)
                console.print(f"[red]{escape(str(error))}[/]", highlight=False)
    if not measured:
        raise UserError("No set could be measured; why stands above.")
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "commit": machine.commit(),
        "machine": machine.machine(),
        "precision": ", ".join(precisions),
        "left_out": priors is not None,
        "sets": measured,
        "failed": failed,
        "pooled": pooled(list(measured.values())),
    }


def _starting(settings: Settings, name: str, priors: Path | None) -> Settings:
    """Settings that build a catalog from the prior that was fitted without it."""
    if priors is None:
        return settings
    return settings.model_copy(update={"catalog": settings.catalog.model_copy(update={"prior": _prior(priors, name)})})


def _prior(priors: Path, name: str) -> Path:
    return (priors / f"{name}.json").resolve()


if __name__ == "__main__":
    entry.run(main)
