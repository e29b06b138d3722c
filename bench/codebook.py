"""`python -m bench.codebook DATA`: learn the quadruples that stand for all others in the codes of key points.

DATA is a folder of sets as for bench.sets; the drawn shop joins them. Each set's error is told with quadruples that were learned
without it, beside that with its own among them: they serve catalogs that nothing was learned of.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import cv2
import faiss
import numpy as np
import numpy.typing as npt
import typer
from rich.console import Console
from rich.table import Table

from bench import entry
from bench.described import Described, described
from bench.photos import demo
from bench.sets import sets_in
from packsight.shared.catalog.codebook import CODEBOOK_FILE
from packsight.shared.catalog.descriptor_codes import CODE_BYTES, CODEBOOK, DESCRIPTOR
from packsight.shared.settings import Settings
from packsight.shared.vision.features import ByteArray
from packsight.worker.networks.load import load_embedder, load_spotter

Codebook = npt.NDArray[np.uint8]

POINTS = 60_000
"""Of a set, drawn by lot: Faiss uses 256 for each of its 256 quadruples, and no set decides alone."""


def main(
    data: Annotated[Path, typer.Argument(help="Folder of sets, each a folder with feed.xml, photos/ and labels.csv.")],
    out: Annotated[Path, typer.Option(help="File to write.")] = CODEBOOK_FILE,
    keep: Annotated[Path, typer.Option(help="Folder for what the networks saw.")] = Path("bench-out/described"),
) -> None:
    """Learn from all sets together; print how far codes are from what they stand for."""
    cv2.setNumThreads(1)
    faiss.omp_set_num_threads(1)
    models = Settings().models
    with tempfile.TemporaryDirectory(prefix="packsight-codebook-") as folder:
        given = [*sets_in(data), demo(Path(folder))]
        sets = described(given, load_embedder(models, 1), load_spotter(models, 1), keep)
    points = {one.name: descriptors(one) for one in sets}
    book = learn(list(points.values()))
    table = Table("", "root of the mean squared error of a descriptor", "learned without the set", "its own length")
    for name, own in points.items():
        without = learn([other for set_name, other in points.items() if set_name != name])
        table.add_row(name, *(f"{value:.1f}" for value in (error(own, book), error(own, without), length(own))))
    np.save(out, book)
    Console(width=120).print(table)


def descriptors(one: Described) -> ByteArray:
    """Some of the descriptors of a set's photos, asked ones among them."""
    every = np.concatenate([features.local.descriptors for features in one.features.values()])
    return np.asarray(every[np.random.default_rng(0).permutation(len(every))[:POINTS]])


def learn(parts: Sequence[ByteArray]) -> Codebook:
    """Quadruples [32, 256, 4] by k-means in each part of the descriptors of some sets, each [points, 128]."""
    quantiser = _quantiser()
    quantiser.train(np.concatenate(parts).astype(np.float32))
    found = faiss.vector_to_array(quantiser.centroids).reshape(CODEBOOK.shape)
    return np.asarray(np.rint(found).clip(0, 255), np.uint8)


def error(points: ByteArray, book: Codebook) -> float:
    """Root of the mean squared distance of descriptors from what their codes stand for."""
    quantiser = _quantiser()
    faiss.copy_array_to_vector(book.astype(np.float32).ravel(), quantiser.centroids)
    whole = points.astype(np.float32)
    return length(whole - quantiser.decode(quantiser.compute_codes(whole)))


def length(points: npt.NDArray[np.generic]) -> float:
    """Root of the mean squared length."""
    return float(np.sqrt((points.astype(np.float64) ** 2).sum(axis=1).mean()))


def _quantiser() -> Any:  # Faiss says less of its own than it takes
    return faiss.ProductQuantizer(DESCRIPTOR, CODE_BYTES, 8)


if __name__ == "__main__":
    entry.run(main)
