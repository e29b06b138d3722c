"""`python -m bench.scale`: what a catalog costs by its size: building, searching, matching, holding, and bringing what changed.

Photos are invented as a stream (bench.invented) and never kept; versions are made by the build itself, and everything is asked in
processes of its own. Times are those of the processor.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from operator import itemgetter
from pathlib import Path
from typing import Annotated, Any

import cv2
import faiss
import typer
from rich.console import Console

from bench import entry, machine, scale_page
from bench.asking import Asked, costs
from bench.invented import POINTS, SIBLINGS, Invented
from bench.matching import second_process
from bench.photos import demo, sample
from bench.roofline import run_roofline
from bench.scale_build import brought, build
from bench.scale_search import search
from bench.spawned import ask
from bench.swaps import swaps
from packsight.shared.catalog.arrays import evenly_spread
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.settings import Settings

SIZES = (10_000, 100_000)
ABSENT = 5
"""One photo of so many that are asked about shows a product that is not listed."""
VECTORS = 2_000
"""Photos with which indexes are judged."""
READ = 24
"""Drawn photos of which the networks' price is taken."""


def main(
    photos: Annotated[list[int] | None, typer.Argument(help="Sizes of catalogs, in photos; none beside --join.")] = None,
    asked: Annotated[int, typer.Option(help="Photos that each catalog is asked about.")] = 200,
    points: Annotated[int, typer.Option(help="Key points of a photo.")] = POINTS,
    networks: Annotated[bool, typer.Option(help="Take the networks' price of a photo.")] = True,
    beside: Annotated[bool, typer.Option(help="Search the same vectors with other libraries.")] = True,
    changed: Annotated[bool, typer.Option(help="Build each catalog once more, a hundredth of its products changed.")] = True,
    joined: Annotated[
        list[Path] | None, typer.Option("--join", help="scale.json of another run, whose sizes the page has too.")
    ] = None,
    swapped: Annotated[int, typer.Option(help="Photos of a catalog that is handed to a running worker; 0: none is.")] = 0,
    write: Annotated[Path | None, typer.Option(help="Page that is written.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for scale.json.")] = Path("bench-out"),
) -> None:
    """Measure each size; writes scale.json and, where wanted, the page."""
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    console = Console()
    document: dict[str, Any] = {
        **machine.conditions(), "date": f"{datetime.now(UTC):%Y-%m-%d}", "asked": asked, "points": points,
        "network_ms": round(1000 * _networks(), 1) if networks else None,
        "sizes": [], "swaps": [],
    }  # fmt: skip
    document["sizes"] = [one for path in joined or () for one in sizes_of(path, document)]
    for size in sorted(photos or (() if joined else SIZES)):
        shop = Invented(size, points=points)
        document["sizes"].append(_when(document) | measure(shop, asked, beside=beside, changed=changed))
        document["sizes"].sort(key=itemgetter("photos"))
        entry.save(out / "scale.json", document)
        console.print(scale_page.markdown(document), highlight=False)
    if swapped:
        document["swaps"] = swaps(swapped, (out / "models").resolve())
        entry.save(out / "scale.json", document)
        console.print(scale_page.markdown(document), highlight=False)
    if write:
        write.write_text(scale_page.markdown(document), encoding="utf-8")


def sizes_of(path: Path, document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What another run measured; raises typer.BadParameter where it asked otherwise or on another processor."""
    other = json.loads(path.read_text())
    for what in ("asked", "points"):
        if other[what] != document[what]:
            raise typer.BadParameter(f"{path} was measured with {what} {other[what]}, not {document[what]}: measure it again")
    if other["machine"]["cpu"] != document["machine"]["cpu"]:
        raise typer.BadParameter(f"{path} was measured on another processor, {other['machine']['cpu']}: measure it again")
    return [_when(other) | one for one in other["sizes"]]


def measure(shop: Invented, asked: int, *, beside: bool, changed: bool) -> dict[str, Any]:
    """The figures of one catalog."""
    with tempfile.TemporaryDirectory(prefix="packsight-scale-") as name:
        folder, other = Path(name) / "version", Path(name) / "changed"
        found = {
            **ask(build, shop, folder, None),
            "search": ask(search, shop, folder, min(VECTORS, shop.count), beside),
            **ask(serve, shop, folder, asked),
        }
        if changed:
            ask(build, replace(shop, edition=1), other, folder)
            found["change"] = brought(folder, other)
    return found


def serve(shop: Invented, folder: Path, asked: int) -> dict[str, Any]:
    """Open a version and ask it."""
    cv2.setNumThreads(1)
    faiss.omp_set_num_threads(1)
    begun = time.process_time()
    snapshot = Snapshot.open(folder)
    opened = time.process_time()
    unseen = int(snapshot.names.unseen.sum())
    named = time.process_time()
    photos = questions(shop, asked)
    found = costs(photos, snapshot)
    found.pop("answers")
    return {
        "open_ms": round(1000 * (opened - begun), 1), "names_ms": round(1000 * (named - opened), 1), "unseen": unseen,
        "asking": found, "further_child_mb": second_process(folder, [photo for _, photo in photos[:40]]),
    }  # fmt: skip


def questions(shop: Invented, count: int) -> Asked:
    """Photos that the catalog has not, with the number of the product that each shows: None where it is not listed."""
    strangers = count // ABSENT
    listed = [(number, shop.asked(number)) for number in evenly_spread(shop.count, count - strangers).tolist()]
    return listed + [(None, shop.stranger(one)) for one in evenly_spread(shop.count // SIBLINGS + 1, strangers).tolist()]


def _when(document: Mapping[str, Any]) -> dict[str, Any]:
    return {name: document[name] for name in ("date", "commit")}


def _networks() -> float:
    """Processor seconds of the networks for a drawn photo, of which every line is read."""
    with tempfile.TemporaryDirectory(prefix="packsight-scale-") as name:
        found = run_roofline(Settings(), sample(demo(Path(name)).usable(), READ), 1)
    return float(found["networks"]["all"]["cpu_seconds"])


if __name__ == "__main__":
    entry.run(main)
