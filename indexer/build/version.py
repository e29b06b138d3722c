"""Build a catalog version whole, from products, photos and their features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import faiss
import numpy as np

from packsight.indexer.build.detail_index import build_detail_index
from packsight.indexer.build.examples import NOTHING
from packsight.indexer.build.fingerprint import fit_fingerprint
from packsight.indexer.build.fit import fit
from packsight.indexer.build.index import build_index
from packsight.indexer.build.parameters import FIT, FitParameters
from packsight.indexer.build.prior import PRIOR
from packsight.indexer.build.projection import fit_projection
from packsight.shared.catalog.arrays import Ragged
from packsight.shared.catalog.barcodes import list_barcodes
from packsight.shared.catalog.decision_model import Model
from packsight.shared.catalog.detail_index import write_index
from packsight.shared.catalog.manifest import MANIFEST, Manifest, PhotoRow, ProductRow, new_version, seal
from packsight.shared.catalog.recipe import Recipe
from packsight.shared.catalog.snapshot import INDEX, LocalStore, Snapshot
from packsight.shared.catalog.tables import PHOTOS, PRODUCTS, write_photos, write_products
from packsight.shared.catalog.words.word_index import WordIndex
from packsight.shared.contract.errors import CatalogError, ErrorCode
from packsight.shared.parameters import DETAILS, MATCHING, WORDS, MatchingParameters, WordParameters
from packsight.shared.vision.features import Features, FloatArray, LocalFeatures, joined

_DESCRIPTOR_BYTES = 132
"""128 of the histogram and two half floats of its place."""


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
) -> Manifest:
    """Write every file of a version and its sealed manifest into `folder`, which must be empty or missing.

    Photos without features, or of products that are not listed, are left out and counted in the notes. `features` is
    keyed by sha256, `made` (features of photos made of products' only ones) by that of what they were made of. Raises
    CatalogError when there is no product, or features are of different lengths.
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
    found = [features[row.sha256] for row in used]
    photo_product = np.array([number[row.product_id] for row in used], np.int32)
    raw = _stack(found, catalog)
    projection = fit_projection(raw.astype(np.float32), photo_product, parameters.projection)
    vectors = projection(raw.astype(np.float32)).astype(np.float16)

    write_products(folder / PRODUCTS, products)
    listed = list_barcodes((product.barcodes for product in products), matching.barcodes.most_products)
    listed.table.save(folder)
    remarks += listed.notes
    write_photos(folder / PHOTOS, used)
    starts = np.zeros(len(products) + 1, np.int64)
    np.cumsum(np.bincount(photo_product, minlength=len(products)), out=starts[1:])
    np.save(folder / "photo_starts.npy", starts)
    np.save(folder / "photo_product.npy", photo_product)
    np.save(folder / "vectors.npy", vectors)
    projection.save(folder)
    read, sizes = [photo.words for photo in found], [(photo.width, photo.height) for photo in found]
    WordIndex.build(products, photo_product.astype(np.int64), read, sizes, words).save(folder)
    local = _local(found, parameters)
    local.save(folder)
    write_index(build_detail_index(local.descriptors.values, parameters.details), folder)
    index, index_name = build_index(vectors, parameters.index)
    faiss.write_index(index, str(folder / INDEX))
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
        dimension=raw.shape[1],
        projected=projection.dimension,
        index=index_name,
        faiss=faiss.__version__,
    )
    (folder / MANIFEST).write_text(manifest.model_dump_json())
    unfitted = Snapshot.open(folder, matching, words)
    fitted = fit(unfitted, features, prior, parameters, made)
    (folder / "model.json").write_text(fitted.model.model_dump_json(indent=1))
    learnt = {"self_check": fitted.left_out, "made_check": fitted.made, "notes": (*remarks, *fitted.notes)}
    return seal(folder, manifest.model_copy(update=learnt))


def _stack(found: Sequence[Features], catalog: str) -> FloatArray:
    """Raw embeddings [photos, dimension] as float16."""
    lengths = sorted({len(photo.embedding) for photo in found}) or [1]
    if len(lengths) > 1:
        raise CatalogError(ErrorCode.CATALOG_REFUSED, f"Catalog {catalog} mixes embeddings of {lengths} values")
    raw = np.zeros((len(found), lengths[0]), np.float16)
    for row, photo in enumerate(found):
        raw[row] = photo.embedding
    return raw  # type: ignore[return-value]


def _local(found: Sequence[Features], parameters: FitParameters) -> LocalStore:
    local = [kept_points(photo.local, len(found), parameters) for photo in found]
    starts = np.zeros(len(found) + 1, np.int64)
    np.cumsum([len(one.points) for one in local], out=starts[1:])
    points = [one.points for one in local] or [np.zeros((0, 2), np.float32)]
    descriptors = [one.descriptors for one in local] or [np.zeros((0, 128), np.uint8)]
    return LocalStore(
        np.concatenate(points).astype(np.float16),
        Ragged(starts, np.concatenate(descriptors)),
        Ragged.of([np.frombuffer(photo.thumbnail, np.uint8) for photo in found], np.uint8),
    )


def kept_points(local: LocalFeatures, photos: int, parameters: FitParameters = FIT) -> LocalFeatures:
    """Key points for which a catalog of so many photos has room: a third of the first scale, the rest of the others."""
    most = max(parameters.local_bytes // (_DESCRIPTOR_BYTES * max(photos, 1)), parameters.min_points)
    if local.leading is None:
        return local[:most]
    own = min(DETAILS.indexed, local.leading, -(-most // 3))
    return joined(local[:own], [local[local.leading : local.leading + most - own]])
