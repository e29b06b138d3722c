"""`python -m bench.matching`: how right and how fast matching is among thousands of similar products.

The networks describe the drawn photos first, and have no part in what is timed.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import cv2
import faiss
import numpy as np
import psutil
import typer
from rich.console import Console
from rich.table import Table

from bench import entry, machine
from bench.spawned import ask
from bench.stress import Shop, badly_read, by_networks, drawn_shop, published, with_distractors
from packsight.indexer.build.fit import fit
from packsight.indexer.build.version import build_version
from packsight.producer.evaluation.variants import Variant, match
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.contract.outcomes import Status
from packsight.shared.matching.candidates import Query
from packsight.shared.matching.exclusion import Exclusion
from packsight.shared.matching.fingerprint import recipe
from packsight.shared.matching.stages import rank_by_all, rank_by_details
from packsight.shared.matching.stopping import is_confident
from packsight.shared.settings import Settings
from packsight.shared.vision.features import Features
from packsight.worker.networks.load import load_embedder, load_spotter

DISTRACTORS = 20_000
QUICK = 200
ROUNDS = 3
"""Times that every photo is asked while the clock runs, after once without."""


def main(
    quick: Annotated[bool, typer.Option("--quick", help="A tiny shop and a few distractors; the figures mean little.")] = False,
    distractors: Annotated[int, typer.Option(help="Products added to the shop.")] = DISTRACTORS,
    version: Annotated[Path | None, typer.Option(help="Folder of a published version; by default the demo's shop.")] = None,
    features: Annotated[list[Path] | None, typer.Option(help="The shards of its features (.parquet), of every part.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for matching.json.")] = Path("bench-out"),
) -> None:
    """Measure matching with and without distractors; writes matching.json."""
    console = Console()
    if (version is None) != (not features):
        raise typer.BadParameter("--version and --features belong together")
    shop = _drawn(2 if quick else None) if version is None else published(version, features or [])
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    # Numerical libraries read these once, when they are loaded.
    document = ask(measure, shop, QUICK if quick else distractors, 0 if quick else ROUNDS)
    entry.save(out / "matching.json", document)
    show(document, console)
    console.print(f"Wrote {out / 'matching.json'}", highlight=False)


def _drawn(families: int | None) -> Shop:
    models = Settings().models
    return drawn_shop(by_networks(load_embedder(models, 1), load_spotter(models, 1)), families)


def measure(shop: Shop, distractors: int, rounds: int) -> dict[str, Any]:
    """Build the shop twice, alone and among distractors, and ask both about the same photos.

    Without rounds every photo is asked once, the first time included, and the fit is not timed by itself.
    """
    cv2.setNumThreads(1)  # as in a worker's child
    faiss.omp_set_num_threads(1)
    document = machine.conditions()
    for name, stocked in (("alone", shop), ("among_distractors", with_distractors(shop, distractors))):
        with tempfile.TemporaryDirectory(prefix="packsight-matching-") as folder:
            document[name] = _measured(stocked, Path(folder), rounds)
    return document


def _measured(shop: Shop, folder: Path, rounds: int) -> dict[str, Any]:
    begun, processor = time.perf_counter(), time.process_time()
    manifest = build_version(
        folder, catalog="bench", parent=None, products=shop.products, photos=shop.photos, features=shop.features,
        recipe=recipe("drawn", "drawn"),
    )  # fmt: skip
    built = {"seconds": time.perf_counter() - begun, "cpu_seconds": time.process_time() - processor}
    snapshot = Snapshot.open(folder)
    fitted = {}
    if rounds:
        begun, processor = time.perf_counter(), time.process_time()
        fit(snapshot, shop.features)
        fitted = {"seconds": time.perf_counter() - begun, "cpu_seconds": time.process_time() - processor}
    photos = [photo for _, photo in shop.asked]
    return {
        "products": manifest.products,
        "photos": manifest.photos,
        "index": manifest.index,
        "build": _rounded(built),
        "fit": _rounded(fitted),
        "self_check": manifest.self_check.model_dump(),
        "notes": list(manifest.notes),
        "answers": _answers(shop, shop.asked, snapshot),
        "badly_read": _answers(shop, [(product, badly_read(photo)) for product, photo in shop.asked], snapshot),
        "match_ms": {
            "as_served": _latency(photos, snapshot, Variant.FITTED, rounds),
            "details_alone": _latency(photos, snapshot, Variant.DETAILS, rounds),
            "enough_read": _asking(photos, snapshot, rounds),
        },
        "files_mb": round(sum(path.stat().st_size for path in folder.iterdir()) / 1e6, 1),
        "second_process_mb": second_process(folder, photos),
    }


def _answers(shop: Shop, asked: Sequence[tuple[str, Features]], snapshot: Snapshot) -> dict[str, Any]:
    """Shares of photos asked: right first, right among five, matched and right, decided by details.

    absent_rejected: not matched as if the product shown were not listed.
    """
    number = {product.id: index for index, product in enumerate(shop.products)}
    top1, top5, matched, wrong, early, rejected = [], [], [], [], [], []
    for product, photo in asked:
        decision = match(photo, snapshot, top_k=5)
        found = [candidate.product.id for candidate in decision.candidates]
        top1.append(found[:1] == [product])
        top5.append(product in found)
        matched.append(decision.status is Status.MATCHED and top1[-1])
        wrong.append(decision.status is Status.MATCHED and not top1[-1])
        query = Query.of(photo, snapshot)
        early.append(is_confident(rank_by_details(query, snapshot), snapshot))
        again = rank_by_all(query, snapshot, exclusion=Exclusion.of_product(snapshot, number[product]))
        rejected.append(not len(again.order) or again.probability[0] < again.matched)
    shares = {
        "top1": top1, "top5": top5, "matched_right": matched, "matched_wrong": wrong, "by_details": early,
        "absent_rejected": rejected,
    }  # fmt: skip
    return {"photos": len(top1), **{name: round(float(np.mean(values)), 4) for name, values in shares.items()}}


def _latency(photos: Sequence[Features], snapshot: Snapshot, variant: Variant, rounds: int) -> dict[str, float]:
    """Wall and processor milliseconds of one match."""
    return _timed([partial(match, photo, snapshot, top_k=5, variant=variant) for photo in photos], rounds)


def _asking(photos: Sequence[Features], snapshot: Snapshot, rounds: int) -> dict[str, float]:
    """The same of asking whether half the words of a photo are enough, as its reader does after each line."""

    def ask(query: Query, photo: Features) -> None:
        half = photo.words[: len(photo.words) // 2]
        rank_by_all(query.with_words(half, query.frame, snapshot), snapshot)

    return _timed([partial(ask, Query.of(photo, snapshot), photo) for photo in photos], rounds)


def _timed(calls: Sequence[Callable[[], object]], rounds: int) -> dict[str, float]:
    wall, processor = [], []
    for number in range(rounds + 1):
        for call in calls:
            begun, spent = time.perf_counter(), time.process_time()
            call()
            if number or not rounds:
                wall.append(1000 * (time.perf_counter() - begun))
                processor.append(1000 * (time.process_time() - spent))
    values = {"": wall, "cpu_": processor}
    return {f"{name}p{part}": round(float(np.percentile(ms, part)), 2) for name, ms in values.items() for part in (50, 95)}


def second_process(folder: Path, photos: Sequence[Features]) -> float:
    """Memory of its own (MB) that serving the version costs one more process, beside this one that has it mapped."""
    return round(float(ask(_own_memory, folder, list(photos))), 1)


def _own_memory(folder: Path, photos: Sequence[Features]) -> float:
    cv2.setNumThreads(1)
    faiss.omp_set_num_threads(1)
    process = psutil.Process()
    before = process.memory_full_info().uss
    snapshot = Snapshot.open(folder)
    for photo in photos:
        match(photo, snapshot, top_k=5)
    return float(process.memory_full_info().uss - before) / 1e6


def _rounded(values: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 2) for name, value in values.items()}


def show(document: dict[str, Any], console: Console) -> None:
    """The figures for people."""
    table = Table("", "alone", "among distractors", box=None)
    both = [document["alone"], document["among_distractors"]]
    table.add_row("products", *(f"{one['products']}" for one in both))
    for asked, note in (("answers", ""), ("badly_read", ", badly read")):
        for name in both[0][asked]:
            table.add_row(name + note, *(f"{one[asked][name]}" for one in both))
    for name in both[0]["match_ms"]:
        times = [one["match_ms"][name] for one in both]
        table.add_row(f"ms {name}, 50 % / 95 %", *(f"{ms['p50']} / {ms['p95']}" for ms in times))
        table.add_row("  of a processor", *(f"{ms['cpu_p50']} / {ms['cpu_p95']}" for ms in times))
    for name in ("build", "fit"):
        if both[0][name]:
            table.add_row(f"{name} s, wall / cpu", *(f"{one[name]['seconds']} / {one[name]['cpu_seconds']}" for one in both))
    table.add_row("second process, MB", *(f"{one['second_process_mb']} of {one['files_mb']}" for one in both))
    console.print(table)


if __name__ == "__main__":
    entry.run(main)
