"""`python -m bench.barcodes`: how many drawn barcodes each reader reads, what it reads wrongly, and its processor time.

`--photos FOLDER` has it look at your own photos too: whatever it reads on them is listed, to be compared with what they show.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer
import zxingcpp
from rich.console import Console
from rich.table import Table

from bench import entry
from bench.barcode_photos import MANNERS, barcode_photo
from bench.barcode_print import Code, Kind, random_code
from packsight.shared.catalog.gtin import gtin, upc_a_of_upc_e
from packsight.shared.contract.errors import ImageError
from packsight.shared.settings import Decode
from packsight.shared.vision.suffixes import IMAGE_SUFFIXES
from packsight.worker.pipeline.barcodes import SYMBOLS, read_barcodes
from packsight.worker.pipeline.decode import Pixels, decode

MODULES = (1.0, 1.3, 1.7, 2.5)
"""Pixels of the narrowest bar: an EAN-13 of usual size on a box that fills a photo of 2048 pixels has 2.5, on a shelf 1."""
NEIGHBOURS = 10_000
"""Numbers of one maker that differ in their last three digits and the check digit alone."""


def zxing(pixels: Pixels) -> set[int]:
    """zxing-cpp as it comes, for these symbols."""
    found = zxingcpp.read_barcodes(pixels, formats=SYMBOLS)
    return {number for symbol in found if (number := gtin(symbol.text)) is not None}


def opencv(pixels: Pixels) -> set[int]:
    """OpenCV's own reader as it comes."""
    _, texts, kinds, _ = cv2.barcode.BarcodeDetector().detectAndDecodeWithType(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY))
    whole = [upc_a_of_upc_e(text) if kind == "UPC_E" else text for text, kind in zip(texts, kinds or (), strict=True) if text]
    return {number for text in whole if (number := gtin(text)) is not None}


def reduced(reader: Callable[[Pixels], Iterable[int]], side: int) -> Callable[[Pixels], Iterable[int]]:
    """The reader on a smaller copy."""

    def read(pixels: Pixels) -> Iterable[int]:
        scale = min(1.0, side / max(pixels.shape[:2]))
        return reader(cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))  # type: ignore[arg-type]

    return read


READERS: dict[str, Callable[[Pixels], Iterable[int]]] = {
    "packsight": read_barcodes,
    "packsight, 1448 pixels": reduced(read_barcodes, 1448),
    "packsight, 1024 pixels": reduced(read_barcodes, 1024),
    "zxing-cpp": zxing,
    "zxing-cpp, 1024 pixels": reduced(zxing, 1024),
    "OpenCV": opencv,
    "OpenCV, 1024 pixels": reduced(opencv, 1024),
}


@dataclass(frozen=True, slots=True)
class Sight:
    """A photo to be drawn: with a code or without."""

    seed: tuple[int, ...]
    manner: str
    module: float
    code: Code | None

    def draw(self) -> bytes:
        return barcode_photo(self.code, MANNERS[self.manner], self.module, np.random.default_rng(self.seed))


@dataclass(frozen=True, slots=True)
class Seen:
    """What each reader read on a photo, and the milliseconds of processor time that it took."""

    name: str
    sight: Sight | None
    read: dict[str, set[int]]
    took: dict[str, float]


def sights(each: int, bare: int) -> list[Sight]:
    """`each` photos for every manner and size, all kinds of codes in turn, and some without a code."""
    kinds = list(Kind)
    drawn = []
    for place, (manner, module, number) in enumerate(product(MANNERS, MODULES, range(each))):
        code = random_code(kinds[number % len(kinds)], np.random.default_rng([1, place]))
        drawn.append(Sight((2, place), manner, module, code))
    manners = list(MANNERS)
    return drawn + [Sight((3, place), manners[place % len(manners)], 1.7, None) for place in range(bare)]


def look(sight: Sight) -> Seen:
    """Draw a photo and let every reader read it."""
    return _look("", sight, sight.draw())


def look_at(path: Path) -> Seen | None:
    """Let every reader read a photo; None when it cannot be decoded."""
    try:
        return _look(str(path), None, path.read_bytes())
    except ImageError:
        return None


def _look(name: str, sight: Sight | None, data: bytes) -> Seen:
    cv2.setNumThreads(1)
    pixels = decode(data, Decode()).pixels
    read, took = {}, {}
    for reader, function in READERS.items():
        begun = time.process_time()
        read[reader] = set(function(pixels))
        took[reader] = 1000 * (time.process_time() - begun)
    return Seen(name, sight, read, took)


def readers_table(drawn: Sequence[Seen]) -> Table:
    """One row for each reader."""
    table = Table("Reader", "Read", "Misread", "as a neighbour", "Read where none is", "ms with a code", "ms without", box=None)
    coded = [(seen, seen.sight.code.number) for seen in drawn if seen.sight and seen.sight.code]
    without = [seen for seen in drawn if seen.sight and not seen.sight.code]
    for reader in READERS:
        misread = [(other, number) for seen, number in coded for other in seen.read[reader] - {number}]
        table.add_row(
            reader,
            f"{sum(number in seen.read[reader] for seen, number in coded) / len(coded):.3f}",
            f"{len(misread)} of {len(coded)}",
            str(sum(other // NEIGHBOURS == number // NEIGHBOURS for other, number in misread)),
            f"{sum(len(seen.read[reader]) for seen in without)} of {len(without)}",
            f"{np.mean([seen.took[reader] for seen, _ in coded]):.1f}",
            f"{np.mean([seen.took[reader] for seen in without]):.1f}",
        )
    return table


def manners_table(drawn: Sequence[Seen], reader: str) -> Table:
    """What one reader reads, by how the code is seen and by pixels of the narrowest bar."""
    table = Table(f"{reader}: seen", *(f"{module} pixels" for module in MODULES), box=None)
    for manner in MANNERS:
        cells = []
        for module in MODULES:
            codes = [s.sight.code.number in s.read[reader] for s in drawn
                     if s.sight and s.sight.code and (s.sight.manner, s.sight.module) == (manner, module)]  # fmt: skip
            cells.append(f"{np.mean(codes):.2f}")
        table.add_row(manner, *cells)
    return table


def main(
    each: Annotated[int, typer.Option(min=1, help="Photos for each manner and size.")] = 12,
    bare: Annotated[int, typer.Option(min=1, help="Drawn photos without a barcode.")] = 256,
    photos: Annotated[Path | None, typer.Option(help="Folder of photos to look for barcodes on.")] = None,
) -> None:
    """Draw, read and print the tables."""
    console = Console()
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
        drawn = list(pool.map(look, sights(each, bare), chunksize=8))
        console.print(readers_table(drawn))
        for reader in ("packsight", "zxing-cpp", "OpenCV"):
            console.print(manners_table(drawn, reader))
        if photos is not None:
            paths = sorted(path for path in photos.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
            real = [seen for seen in pool.map(look_at, paths, chunksize=8) if seen is not None]
            for seen in real:
                for reader, numbers in seen.read.items():
                    for number in sorted(numbers):
                        console.print(f"{seen.name}: {reader} reads {number:013}", highlight=False)
            times = ", ".join(f"{reader} {np.mean([seen.took[reader] for seen in real]):.1f} ms" for reader in READERS)
            console.print(f"{len(real)} photos of {photos}: {times}", highlight=False)


if __name__ == "__main__":
    entry.run(main)
