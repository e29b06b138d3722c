"""`python -m bench.details [FOLDER]`: key points of a hundred thousand photos: memory, time of the votes, and who gets most.

A set's own photos among made-up ones (bench/crowd.py), in an index built and mapped as a version's is. FOLDER is a set as for
bench.sets; by default it is the demo's shop.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import cv2
import faiss
import numpy as np
import numpy.typing as npt
import psutil
import typer
from rich.console import Console
from rich.table import Table

from bench import entry, machine
from bench.crowd import Crowd
from bench.photos import PhotoSet, demo, few
from bench.sets import set_in
from bench.spawned import ask
from packsight.indexer.build.detail_index import learned, write_points
from packsight.indexer.build.kept import encode, kept_points
from packsight.indexer.build.parameters import FIT, DetailIndexParameters
from packsight.shared.catalog.arrays import Ragged
from packsight.shared.catalog.descriptor_codes import decode as decode_points
from packsight.shared.catalog.detail_index import DETAILS_INDEX, DetailIndex, IntArray
from packsight.shared.catalog.placement import Placement
from packsight.shared.catalog.segmented_index import SegmentedIndex, write_trained
from packsight.shared.matching.votes import vote
from packsight.shared.parameters import MATCHING, MatchingParameters
from packsight.shared.settings import Decode
from packsight.shared.vision.features import ByteArray, LocalFeatures, as_packed
from packsight.worker.pipeline.decode import Photo, decode
from packsight.worker.pipeline.local_features import catalog_features, query_features

SIZES = (1_000, 10_000, 100_000)
BEST = 5
_PART = "s0000.details"


@dataclass(frozen=True)
class Described:
    """Key points of a set: its catalog's photos product by product, photos asked, and their products.

    products: number of each catalog photo's product; right: of each photo asked.
    """

    name: str
    catalog: Sequence[LocalFeatures]
    products: npt.NDArray[np.int32]
    asked: Sequence[LocalFeatures]
    right: npt.NDArray[np.int32]


@dataclass(frozen=True)
class Stock:
    """Descriptors of the set's photos and of the crowd's after them."""

    real: Ragged
    crowd: Crowd | None

    @property
    def shape(self) -> tuple[int, int]:
        """Points, and values of a descriptor."""
        real, dimension = self.real.values.shape
        return real + (self.crowd.shape[0] if self.crowd else 0), dimension

    @property
    def starts(self) -> IntArray:
        """[photos + 1] first point of each photo."""
        if self.crowd is None:
            return self.real.starts
        return np.append(self.real.starts, self.real.starts[-1] + self.crowd.each * np.arange(1, self.crowd.photos + 1))

    def __getitem__(self, rows: slice | IntArray) -> ByteArray:
        number = np.arange(*rows.indices(self.shape[0])) if isinstance(rows, slice) else rows
        own = len(self.real.values)
        there = self.real.values[number[number < own]]
        return there if self.crowd is None else np.concatenate([there, self.crowd[number[number >= own] - own]])


@dataclass(frozen=True)
class Hall:
    """What votes are cast on: an index, whose photo is whose, and how it is asked."""

    details: DetailIndex
    photo_product: npt.NDArray[np.int32]
    parameters: MatchingParameters = MATCHING


def main(
    folder: Annotated[Path | None, typer.Argument(help="A set with feed.xml, photos/ and labels.csv.")] = None,
    photos: Annotated[list[int] | None, typer.Option(help="Photos in the index; several give a line each.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A corner of the demo's shop; the figures mean little.")] = False,
    out: Annotated[Path, typer.Option(help="Folder for details.json.")] = Path("bench-out"),
) -> None:
    """Measure the votes among the key points of ever more photos; writes details.json."""
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    sizes = photos or ([100] if quick else list(SIZES))
    with tempfile.TemporaryDirectory(prefix="packsight-details-") as drawn:
        chosen = set_in(folder) if folder else (few if quick else demo)(Path(drawn))
        document = ask(measure, chosen, sizes)  # numerical libraries read these once, when they are loaded
    entry.save(out / "details.json", document)
    show(document, Console())


def measure(photos: PhotoSet, sizes: Sequence[int]) -> dict[str, Any]:
    """Ask a set's photos among so many of the catalog, for each size that holds all of its own."""
    cv2.setNumThreads(1)  # as in a worker's child
    faiss.omp_set_num_threads(1)
    described = describe(photos)
    return {
        **machine.conditions(),
        "set": described.name,
        "own": len(described.catalog),
        "asked": len(described.asked),
        "sizes": [among(described, size) for size in sizes if size >= len(described.catalog)],
    }


def describe(photos: PhotoSet) -> Described:
    """Key points of a set; asked are the photos whose product the catalog holds."""
    catalog = photos.catalog()
    number = {product: i for i, product in enumerate(catalog)}
    labels = [label for label in photos.labels if label.product_id in number]
    return Described(
        photos.name,
        [as_packed(catalog_features(_photo(file))) for files in catalog.values() for file in files],
        np.repeat(np.arange(len(catalog), dtype=np.int32), [len(files) for files in catalog.values()]),
        [as_packed(query_features(_photo(photos.path(label)))) for label in labels],
        np.array([number[label.product_id] for label in labels], np.int32),
    )


def among(described: Described, photos: int, parameters: DetailIndexParameters = FIT.details) -> dict[str, Any]:
    """Build the index of so many photos, the set's own among them, and let each photo asked vote."""
    stock = stocked(described, photos)
    with tempfile.TemporaryDirectory(prefix="packsight-details-") as name:
        folder = Path(name)
        begun, processor = time.perf_counter(), time.process_time()
        index = learned(stock, parameters)
        write_points(index, stock, folder, _PART)
        write_trained(index, folder, DETAILS_INDEX)
        built = {"seconds": time.perf_counter() - begun, "cpu_seconds": time.process_time() - processor}
        products = int(described.products.max()) + 1
        owners = np.append(described.products, np.arange(products, products + photos - len(described.catalog), dtype=np.int32))
        hall = Hall(_opened(folder, stock.starts), owners)
        _ask(hall, described)  # once without the clock: pages are touched for the first time
        first, five, milliseconds = _ask(hall, described)
        memory = ask(_memory, folder, stock.starts, owners, described)
        size = sum(file.stat().st_size for file in folder.iterdir())
    return {
        "photos": photos,
        "points": stock.shape[0],
        "index_mb": size / 1e6,
        "build": built,
        "vote_cpu_ms": {f"p{part}": float(np.percentile(milliseconds, part)) for part in (50, 95)},
        "first": first,
        "in_five": five,
        "second_process_mb": memory,
    }


def _opened(folder: Path, starts: IntArray) -> DetailIndex:
    """The index of photos that stand in one segment; starts: [photos + 1] first point of each."""
    index = SegmentedIndex.open(folder, DETAILS_INDEX, [_PART], [True])
    return DetailIndex(index, [starts], Placement.in_order(len(starts) - 1))


def stocked(described: Described, photos: int) -> Stock:
    """The set's photos with as many key points as a catalog of this size keeps, as their codes say, and made-up ones."""
    real = Ragged.of([decode_points(encode(kept_points(local, photos).descriptors)) for local in described.catalog], np.uint8)
    missing = photos - len(described.catalog)
    return Stock(real, Crowd.of(real, missing, len(real.values) // len(real)) if missing else None)


def _ask(hall: Hall, described: Described) -> tuple[float, float, list[float]]:
    """Shares of photos whose product gets most votes, and is among the five that do; processor milliseconds of each photo."""
    first, five, milliseconds = [], [], []
    for local, product in zip(described.asked, described.right.tolist(), strict=True):
        begun = time.process_time()
        best = vote(local, hall).products[:BEST].tolist()
        milliseconds.append(1000 * (time.process_time() - begun))
        first.append(best[:1] == [product])
        five.append(product in best)
    return float(np.mean(first)), float(np.mean(five)), milliseconds


def _memory(folder: Path, starts: IntArray, owners: npt.NDArray[np.int32], described: Described) -> dict[str, float]:
    """What the index costs one more process beside one that has it mapped: of its own, and with what both share."""
    faiss.omp_set_num_threads(1)
    process = psutil.Process()
    before = process.memory_full_info()
    _ask(Hall(_opened(folder, starts), owners), described)
    after = process.memory_full_info()
    return {"own": (after.uss - before.uss) / 1e6, "resident": (after.rss - before.rss) / 1e6}


def _photo(file: Path) -> Photo:
    return decode(file.read_bytes(), Decode())


def show(document: dict[str, Any], console: Console) -> None:
    """The figures for people."""
    console.print(f"{document['set']}: {document['own']} photos of its own, {document['asked']} asked", highlight=False)
    table = Table("photos", "key points", "index MB", "second process MB: own, resident", "build s: wall, processor",
                  "vote processor ms, 50 % / 95 %", "right first", "among five", box=None)  # fmt: skip
    for one in document["sizes"]:
        memory, built, spent = one["second_process_mb"], one["build"], one["vote_cpu_ms"]
        table.add_row(
            f"{one['photos']:,}", f"{one['points']:,}", f"{one['index_mb']:.1f}",
            f"{memory['own']:.1f}, {memory['resident']:.1f}", f"{built['seconds']:.0f}, {built['cpu_seconds']:.0f}",
            f"{spent['p50']:.1f} / {spent['p95']:.1f}", f"{one['first']:.3f}", f"{one['in_five']:.3f}",
        )  # fmt: skip
    console.print(table)


if __name__ == "__main__":
    entry.run(main)
