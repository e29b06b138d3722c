"""Build a catalog version whole, from products, photos and their features."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import faiss
import numpy as np
import numpy.typing as npt

from packsight.indexer.build.detail_index import build_detail_index
from packsight.indexer.build.examples import NOTHING
from packsight.indexer.build.fingerprint import fit_fingerprint
from packsight.indexer.build.fit import fit
from packsight.indexer.build.growing import GrowingArray, GrowingRows, blocks, passing
from packsight.indexer.build.index import build_index
from packsight.indexer.build.parameters import FIT, FitParameters
from packsight.indexer.build.prior import PRIOR
from packsight.indexer.build.projection import fit_projection
from packsight.shared.catalog.arrays import open_array
from packsight.shared.catalog.barcodes import list_barcodes
from packsight.shared.catalog.decision_model import Model
from packsight.shared.catalog.detail_index import write_index
from packsight.shared.catalog.manifest import MANIFEST, Manifest, PhotoRow, ProductRow, new_version, seal
from packsight.shared.catalog.recipe import Recipe
from packsight.shared.catalog.snapshot import INDEX, Snapshot
from packsight.shared.catalog.tables import PHOTOS, PRODUCTS, write_photos, write_products
from packsight.shared.catalog.words.word_index import WordIndex
from packsight.shared.catalog.words.word_notes import WordNotes
from packsight.shared.contract.errors import CatalogError, ErrorCode
from packsight.shared.parameters import DETAILS, MATCHING, WORDS, MatchingParameters, WordParameters
from packsight.shared.vision.features import Features, LocalFeatures, joined

_DESCRIPTOR_BYTES = 132
"""128 of the histogram and two half floats of its place."""


_BATCH = 16_384
"""Embeddings projected at a time, which bounds the memory."""

Phase = Callable[[str], AbstractContextManager[object]]


def untimed(_: str) -> AbstractContextManager[object]:
    """What is entered when nobody looks at a clock."""
    return nullcontext()


class Parent(Protocol):
    """The version that the new one follows."""

    @property
    def manifest(self) -> Manifest:
        """What it is."""


def build_version(
    folder: Path,
    *,
    catalog: str,
    parent: Parent | None,
    products: Sequence[ProductRow],
    photos: Sequence[PhotoRow],
    features: Mapping[str, Features],
    recipe: Recipe,
    notes: Sequence[str] = (),
    prior: Model = PRIOR,
    made: Mapping[str, Features] = NOTHING,
    parameters: FitParameters = FIT,
    matching: MatchingParameters = MATCHING,
    words: WordParameters = WORDS,
    phase: Phase = untimed,
) -> Manifest:
    """Write every file of a version and its sealed manifest into `folder`, which must be empty or missing.

    Photos without features, or of products that are not listed, are left out and counted in the notes. `features` is
    keyed by sha256, `made` (features of photos made of products' only ones) by that of what they were made of; a photo's are let
    go before the next one's are asked for. `phase` is entered by name around each part of the work. Raises CatalogError when
    there is no product, or features are of different lengths.
    """
    if not products:
        raise CatalogError(
            ErrorCode.CATALOG_REFUSED, f"Catalog {catalog} would have no product", remedy="Check the feed."
        )
    folder.mkdir(parents=True, exist_ok=True)
    remarks = list(notes)
    number = {product.id: index for index, product in enumerate(products)}
    used = [row for row in photos if row.product_id in number and row.sha256 in features]
    if len(used) < len(photos):
        remarks.append(f"{len(photos) - len(used)} photos have no features or no product and were left out")
    used.sort(key=lambda row: number[row.product_id])
    photo_product = np.array([number[row.product_id] for row in used], np.int32)
    starts = np.zeros(len(products) + 1, np.int64)
    np.cumsum(np.bincount(photo_product, minlength=len(products)), out=starts[1:])
    notes_of_words = WordNotes(products, words)

    write_products(folder / PRODUCTS, products)
    listed = list_barcodes((product.barcodes for product in products), matching.barcodes.most_products)
    listed.table.save(folder)
    remarks += listed.notes
    write_photos(folder / PHOTOS, used)
    np.save(folder / "photo_starts.npy", starts)
    np.save(folder / "photo_product.npy", photo_product)
    with passing(folder / "raw.npy") as raw_file:
        with phase("photos"):
            dimension = _write_photos(folder, raw_file, used, photo_product, features, notes_of_words, catalog, parameters)
        with phase("words"):
            WordIndex.of(notes_of_words, np.diff(starts), words).save(folder)
            del notes_of_words
        with phase("projection"):
            projection = fit_projection(open_array(raw_file), photo_product, parameters.projection)
            projection.save(folder)
        with phase("vectors"), GrowingArray(folder / "vectors.npy", np.float16, projection.dimension) as projected:
            for raw in blocks(raw_file, _BATCH):
                projected.append(projection(raw.astype(np.float32)).astype(np.float16))
    with phase("index"):
        built = build_index(open_array(folder / "vectors.npy"), parameters.index)
        faiss.write_index(built.index, str(folder / INDEX))
    with phase("details"):
        write_index(build_detail_index(open_array(folder / "descriptors.npy"), parameters.details), folder)
    (folder / "model.json").write_text(prior.model_dump_json(indent=1))
    manifest = Manifest(
        catalog=catalog,
        version=new_version(),
        parent=None if parent is None else parent.manifest.version,
        created_at=datetime.now(UTC),
        products=len(products),
        photos=len(used),
        single=int((np.diff(starts) == 1).sum()),
        **recipe.model_dump(),
        fit=fit_fingerprint(parameters, prior),
        dimension=dimension,
        projected=projection.dimension,
        index=built.name,
        recall=round(built.recall, 4),
        faiss=faiss.__version__,
    )
    (folder / MANIFEST).write_text(manifest.model_dump_json())
    with phase("fit"):
        fitted = fit(Snapshot.open(folder, matching, words), features, prior, parameters, made)
    (folder / "model.json").write_text(fitted.model.model_dump_json(indent=1))
    learnt = {"self_check": fitted.left_out, "made_check": fitted.made, "notes": (*remarks, *fitted.notes)}
    with phase("seal"):
        return seal(folder, manifest.model_copy(update=learnt))


def _write_photos(
    folder: Path,
    raw_file: Path,
    used: Sequence[PhotoRow],
    photo_product: npt.NDArray[np.int32],
    features: Mapping[str, Features],
    words: WordNotes,
    catalog: str,
    parameters: FitParameters,
) -> int:
    """Write embeddings, key points and thumbnails of all photos, each asked for once, and note their words.

    Returns the length of an embedding, 1 where there is no photo.
    """
    length = len(features[used[0].sha256].embedding) if used else 1
    with (
        GrowingArray(raw_file, np.float16, length) as raw,
        GrowingArray(folder / "points.npy", np.float16, 2) as points,
        GrowingRows(folder, "descriptors", np.uint8, 128) as descriptors,
        GrowingRows(folder, "thumbnails", np.uint8) as thumbnails,
    ):
        for row, product in zip(used, photo_product.tolist(), strict=True):
            photo = features[row.sha256]
            if len(photo.embedding) != length:
                lengths = sorted((length, len(photo.embedding)))
                raise CatalogError(ErrorCode.CATALOG_REFUSED, f"Catalog {catalog} mixes embeddings of {lengths} values")
            local = kept_points(photo.local, len(used), parameters)
            raw.append(photo.embedding[None])
            points.append(local.points)
            descriptors.append(local.descriptors)
            thumbnails.append(np.frombuffer(photo.thumbnail, np.uint8))
            words.add_photo(product, photo.words, (photo.width, photo.height))
    return length


def kept_points(local: LocalFeatures, photos: int, parameters: FitParameters = FIT) -> LocalFeatures:
    """Key points for which a catalog of so many photos has room: a third of the first scale, the rest of the others."""
    most = max(parameters.local_bytes // (_DESCRIPTOR_BYTES * max(photos, 1)), parameters.min_points)
    if local.leading is None:
        return local[:most]
    own = min(DETAILS.indexed, local.leading, -(-most // 3))
    return joined(local[:own], [local[local.leading : local.leading + most - own]])
