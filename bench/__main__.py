"""`python -m bench`: measure this machine; see docs/capacity.md."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from bench import children as children_mode
from bench import entry
from bench import latency as latency_mode
from bench import roofline as roofline_mode
from bench import soak as soak_mode
from bench.photos import PhotoSet, demo, few
from bench.run import QUICK, Sizes, run
from bench.table import show
from packsight.producer.evaluation.doubled import once
from packsight.shared.contract.errors import UserError
from packsight.shared.tables.labels import read_labels

console = Console()


def main(
    quick: Annotated[bool, typer.Option("--quick", help="A smoke run of a minute or two; its figures mean little.")] = False,
    soak: Annotated[int, typer.Option(help="Only: a steady run over so many photos; memory and load over time.")] = 0,
    latency: Annotated[bool, typer.Option("--latency", help="Only: single photos, idle and beside a job.")] = False,
    children: Annotated[bool, typer.Option("--children", help="Only: throughput by number of children.")] = False,
    roofline: Annotated[bool, typer.Option("--roofline", help="Only: the networks' arithmetic beside a product's.")] = False,
    photos: Annotated[Path | None, typer.Option(help="Folder of labelled photos; by default the demo's.")] = None,
    labels: Annotated[Path | None, typer.Option(help="Their labels, as `packsight evaluate` takes them.")] = None,
    feed: Annotated[Path | None, typer.Option(help="Feed of the catalog that they belong to.")] = None,
    catalog_photos: Annotated[str, typer.Option(help="Extra photos of that catalog, as `catalog sync --photos`.")] = "",
    out: Annotated[Path, typer.Option(help="Folder for the figures and the cache of compiled networks.")] = Path("bench-out"),
) -> None:
    """Measure throughput, stages and accuracy in one run; writes last.json, or a file named after what is measured alone."""
    out.mkdir(parents=True, exist_ok=True)
    models = (out / "models").resolve()
    with _folder() as folder:
        chosen = _photo_set(folder, photos, labels, feed, catalog_photos, quick=quick)
        if soak:
            soaked = soak_mode.run(folder, models, chosen, soak, console)
            _save(out / "soak.json", soaked)
            if soaked["wrong"]:
                raise UserError(f"The soak found: {'; '.join(soaked['wrong'])}.")
        elif latency:
            sizes = latency_mode.QUICK if quick else latency_mode.Sizes()
            _save(out / "latency.json", latency_mode.run(folder, models, chosen, sizes, console))
        elif children:
            _save(out / "children.json", children_mode.run(folder, models, chosen, 32 if quick else 160, console))
        elif roofline:
            _save(out / "roofline.json", roofline_mode.run(folder, models, chosen, 4 if quick else 48, console))
        else:
            document = run(folder, models, chosen, QUICK if quick else Sizes(), console)
            _save(out / ("quick.json" if quick else "last.json"), document)
            show(document, console)


def _photo_set(
    folder: Path, photos: Path | None, labels: Path | None, feed: Path | None, catalog_photos: str, *, quick: bool
) -> PhotoSet:
    if photos is None and labels is None and feed is None:
        console.rule("Drawing the demo's shop")
        return few(folder / "shop") if quick else demo(folder / "shop")
    if photos is None or labels is None or feed is None:
        raise UserError("Real photos need --photos, --labels and --feed together.")
    return PhotoSet(photos.name, photos, feed, catalog_photos, once(read_labels(labels), photos)[0])


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder for this run; kept when it fails, since the logs are in it."""
    folder = Path(tempfile.mkdtemp(prefix="packsight-bench-"))
    try:
        yield folder
    except BaseException:
        console.print(f"Logs are in {folder}", highlight=False)
        raise
    shutil.rmtree(folder, ignore_errors=True)


def _save(path: Path, document: dict[str, Any]) -> None:
    entry.save(path, document)
    console.print(f"Wrote {path}", highlight=False)


if __name__ == "__main__":
    entry.run(main)
