"""`python -m bench.embedders DATA`: how often looks alone find the right product, and what they cost, for several embedders."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import numpy.typing as npt
import typer
from rich.console import Console
from rich.table import Table

from bench import entry
from bench.photos import PhotoSet
from bench.sets import sets_in
from packsight.indexer.build.projection import fit_like, fit_projection
from packsight.shared.settings import Decode, Models, Precision
from packsight.shared.vision.features import FloatArray
from packsight.worker.networks.base import Embedder, Image
from packsight.worker.networks.embedders import BUNDLED
from packsight.worker.networks.load import load_embedder
from packsight.worker.pipeline.decode import decode

CROPS = (1.0, 0.75, 0.6)
"""Shares of a photo's sides that are looked at, around its centre. The first is the whole photo."""


@dataclass(frozen=True)
class Photos:
    """A set: a catalog's photos, and photos asked.

    catalog: files, product by product; products: number of each one's product; asked: files; right: their products.
    """

    name: str
    catalog: Sequence[Path]
    products: npt.NDArray[np.int32]
    asked: Sequence[Path]
    right: npt.NDArray[np.int32]


@dataclass(frozen=True)
class Found:
    """Whether each photo found its product first.

    whole: photos asked, by the whole of each; best_crop: by whichever crop comes closest to a catalog photo; left_out: catalog
    photos whose product has a further one, each asked as if it had never been taken.
    """

    whole: npt.NDArray[np.bool_]
    best_crop: npt.NDArray[np.bool_]
    left_out: npt.NDArray[np.bool_]


def main(
    data: Annotated[Path, typer.Argument(help="Folder of sets, as for bench.sets.")],
    embedder: Annotated[list[str] | None, typer.Option(help="As PACKSIGHT_MODELS__EMBEDDER; the bundled ones if none.")] = None,
    pictures: Annotated[int, typer.Option(help="Catalog photos of each product at most, by name; 0 = all.")] = 0,
    precision: Annotated[Precision, typer.Option(help="As PACKSIGHT_MODELS__PRECISION.")] = Precision.AUTO,
    cache: Annotated[Path, typer.Option(help="Folder for compiled networks.")] = Path("bench-out/models"),
) -> None:
    """Compare embedders by what their vectors alone find, whitened as a catalog's are."""
    sets = sets_in(data)
    cv2.setNumThreads(1)  # as in a worker's child
    settings = [Models(embedder=name, precision=precision, cache_dir=cache) for name in embedder or BUNDLED]
    networks = [load_embedder(models, 1) for models in settings]
    heads = ("set", "embedder", "precision", "whole photo", f"best of {len(CROPS)} crops", "left out", "ms per look")
    table = Table(*heads)
    for asked in [looked_at(given, pictures) for given in sets]:
        for network in networks:
            found, milliseconds = ask(asked, network)
            shares = map(_share, (found.whole, found.best_crop, found.left_out))
            table.add_row(
                asked.name, network.description.name, network.description.precision, *shares, f"{milliseconds:.1f}"
            )
    Console(width=120).print(table)


def looked_at(given: PhotoSet, pictures: int) -> Photos:
    """Find the photos of a set; asked are those whose product, or a sibling of it, the catalog holds."""
    kept = {product: files[: pictures or None] for product, files in given.catalog().items()}
    number = {product: i for i, product in enumerate(kept)}
    labels = [label for label in given.labels if label.nearest_id in number]
    return Photos(
        given.name,
        list(chain.from_iterable(kept.values())),
        np.repeat(np.arange(len(kept), dtype=np.int32), [len(files) for files in kept.values()]),
        [given.path(label) for label in labels],
        np.array([number[label.nearest_id] for label in labels], np.int32),
    )


def ask(photos: Photos, network: Embedder) -> tuple[Found, float]:
    """Ask all photos of a set; also the processor's milliseconds for a look at one, decoding aside."""
    network.warm_up()
    catalog, seconds = _embed(network, _images(photos.catalog))
    looks, further = _embed(network, chain.from_iterable(map(crops, _images(photos.asked))))
    by_crop = looks.reshape(len(photos.asked), len(CROPS), -1)
    milliseconds = 1000 * (seconds + further) / (len(catalog) + len(looks))
    return found(catalog, photos.products, by_crop, photos.right), milliseconds


def found(
    catalog: FloatArray, products: npt.NDArray[np.int32], looks: FloatArray, right: npt.NDArray[np.int32]
) -> Found:
    """Compare raw embeddings.

    catalog: [photos, dimension]; products: [photos] in rising order;
    looks: [asked, crops, dimension], first the whole photo; right: [asked].
    """
    projection = fit_projection(catalog, products)
    similar = np.stack([projection(looks[:, crop]) @ projection(catalog).T for crop in range(looks.shape[1])])
    paired = np.flatnonzero(np.bincount(products)[products] > 1)
    left_out = []
    for photo in paired:
        rest, others = np.delete(catalog, photo, axis=0), np.delete(products, photo)
        without = fit_like(projection, rest)
        nearest = (without(rest) @ without(catalog[photo : photo + 1])[0]).argmax()
        left_out.append(others[nearest] == products[photo])
    return Found(
        whole=products[similar[0].argmax(axis=1)] == right,
        best_crop=products[similar.max(axis=0).argmax(axis=1)] == right,
        left_out=np.array(left_out, np.bool_),
    )


def crops(image: Image) -> Iterator[Image]:
    """Cut the centre out of RGB [height, width, 3], once for each share."""
    height, width = image.shape[:2]
    for share in CROPS:
        rows, columns = round(height * share), round(width * share)
        top, left = (height - rows) // 2, (width - columns) // 2
        yield image[top : top + rows, left : left + columns]


def _embed(network: Embedder, images: Iterable[Image]) -> tuple[FloatArray, float]:
    """Raw embeddings [images, dimension], and the processor's seconds for them."""
    rows, seconds = [], 0.0
    for image in images:
        begun = time.process_time()
        rows.append(network.embed([image]))
        seconds += time.process_time() - begun
    return np.concatenate(rows), seconds


def _images(files: Iterable[Path]) -> Iterator[Image]:
    return (decode(file.read_bytes(), Decode()).pixels for file in files)


def _share(right: npt.NDArray[np.bool_]) -> str:
    return f"{right.mean():.2f} ({right.sum()} of {len(right)})" if len(right) else "–"


if __name__ == "__main__":
    entry.run(main)
