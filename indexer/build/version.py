"""Build a catalog version from products, photos and their features, upon the rows of the version before where it can."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

import faiss
import numpy as np
import numpy.typing as npt

from packsight.indexer.build.epoch import rules_of
from packsight.indexer.build.examples import NOTHING
from packsight.indexer.build.fingerprint import fit_fingerprint
from packsight.indexer.build.fit import fit
from packsight.indexer.build.growing import GrowingArray, GrowingRows, passing
from packsight.indexer.build.kept import colours_only, encode, fewer_points, kept_points
from packsight.indexer.build.parameters import FIT, ROWS, FitParameters, RowParameters
from packsight.indexer.build.prior import PRIOR
from packsight.indexer.build.projection import fit_projection
from packsight.indexer.build.rows import Rows, rows_of, write_details, write_index, write_vectors
from packsight.indexer.build.segments import Parent
from packsight.indexer.reviewed.pairs import NO_PAIRS, Pairs
from packsight.shared.catalog.arrays import open_array
from packsight.shared.catalog.barcodes import list_barcodes
from packsight.shared.catalog.decision_model import Model
from packsight.shared.catalog.descriptor_codes import CODE_BYTES
from packsight.shared.catalog.manifest import MANIFEST, Manifest, PhotoRow, ProductRow, ReviewedPairs, new_version, seal
from packsight.shared.catalog.projection import Projection
from packsight.shared.catalog.recipe import Recipe
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.catalog.tables import PHOTOS, PRODUCTS, PhotoTable, photo_table, write_products, write_table
from packsight.shared.catalog.words.photo_lines import CORNERS, LINE_BOXES, line_boxes, sure_lines
from packsight.shared.catalog.words.word_index import WordIndex
from packsight.shared.catalog.words.word_notes import WordNotes
from packsight.shared.contract.errors import CatalogError, ErrorCode
from packsight.shared.parameters import MATCHING, WORDS, MatchingParameters, WordParameters
from packsight.shared.vision.features import Features

Phase = Callable[[str], AbstractContextManager[object]]


def untimed(_: str) -> AbstractContextManager[object]:
    """What is entered when nobody looks at a clock."""
    return nullcontext()


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
    reviewed: Pairs = NO_PAIRS,
    parameters: FitParameters = FIT,
    matching: MatchingParameters = MATCHING,
    words: WordParameters = WORDS,
    phase: Phase = untimed,
    layout: RowParameters = ROWS,
    begin: str = "",
    version: str = "",
) -> Manifest:
    """Write every file of a version and its sealed manifest into `folder`, which must be empty or missing.

    Photos without features, or of products that are not listed, are left out and counted in the notes. `features` is
    keyed by sha256, `made` (features of photos made of products' only ones) by that of what they were made of; a photo's are let
    go before the next one's are asked for; `reviewed`: photos that people reviewed. `phase` is entered by name around each part
    of the work. `begin`: why an epoch begins, whatever the parent has. `version`: its name; one of now without. Raises
    CatalogError when there is no product, or features are of different lengths.
    """
    if not products:
        raise CatalogError(
            ErrorCode.CATALOG_REFUSED, f"Catalog {catalog} would have no product", remedy="Check the feed."
        )
    folder.mkdir(parents=True, exist_ok=True)
    remarks = list(notes)
    photo_product = _write_photo_table(folder / PHOTOS, photos, products, features)
    used = PhotoTable(folder / PHOTOS)
    if len(used) < len(photos):
        remarks.append(f"{len(photos) - len(used)} photos have no features or no product and were left out")
    starts = np.zeros(len(products) + 1, np.int64)
    np.cumsum(np.bincount(photo_product, minlength=len(products)), out=starts[1:])
    notes_of_words = WordNotes(products, words)

    write_products(folder / PRODUCTS, products)
    remarks += _write_barcodes(folder, products, matching)
    np.save(folder / "photo_starts.npy", starts)
    np.save(folder / "photo_product.npy", photo_product)
    version = version or new_version()
    dimension = len(features[used.sha256(0)].embedding) if len(used) else 1
    rows = rows_of(parent, used, version, rules_of(recipe, parameters), dimension, layout, begin)
    kept = rows.take_over(folder)
    with passing(folder / "raw.npy") as raw_file:
        with phase("photos"):
            _write_photos(folder, raw_file, used, photo_product, features, notes_of_words, dimension, rows, catalog, parameters)
        with phase("words"):
            WordIndex.of(notes_of_words, np.diff(starts), words).save(folder)
            del notes_of_words
        with phase("projection"):
            if rows.before is None:
                fit_projection(open_array(raw_file), photo_product, parameters.projection).save(folder)
            projection = Projection.open(folder)
        with phase("vectors"):
            write_vectors(folder, raw_file, rows, projection)
    with phase("index"):
        name, recall = write_index(folder, rows, parameters)
    if rows.before is not None and recall < parameters.index.least:
        for file in folder.iterdir():
            file.unlink()
        return build_version(
            folder, catalog=catalog, parent=parent, products=products, photos=photos, features=features, recipe=recipe,
            notes=notes, prior=prior, made=made, reviewed=reviewed, parameters=parameters, matching=matching,
            words=words, phase=phase, layout=layout, begin=f"the index found {recall:.4f} of the nearest photos first",
            version=version,
        )  # fmt: skip
    with phase("details"):
        write_details(folder, rows, parameters)
    (folder / "model.json").write_text(prior.model_dump_json(indent=1))
    manifest = Manifest(
        catalog=catalog,
        version=version,
        parent=None if parent is None else parent.manifest.version,
        former=None if parent is None else parent.manifest.built,
        created_at=datetime.now(UTC),
        products=len(products),
        photos=len(used),
        single=int((np.diff(starts) == 1).sum()),
        **recipe.model_dump(),
        fit=fit_fingerprint(parameters, prior),
        dimension=dimension,
        projected=projection.dimension,
        index=name,
        recall=round(recall, 4),
        faiss=faiss.__version__,
        epoch=rows.epoch,
        segments=rows.arrangement.segments,
        reviewed=ReviewedPairs(pairs=len(reviewed.pairs), digest=reviewed.name),
    )
    (folder / MANIFEST).write_text(manifest.written())
    with phase("fit"):
        fitted = fit(Snapshot.open(folder, matching, words), features, prior, parameters, made, reviewed)
    (folder / "model.json").write_text(fitted.model.model_dump_json(indent=1))
    learnt = {
        "self_check": fitted.left_out,
        "made_check": fitted.made,
        "reviewed_check": fitted.reviewed,
        "notes": (*remarks, *fewer_points(rows.epoch.photos, parameters), *fitted.notes),
    }
    with phase("seal"):
        return seal(folder, manifest.model_copy(update=learnt), kept, None if parent is None else parent.folder)


def _write_barcodes(folder: Path, products: Sequence[ProductRow], matching: MatchingParameters) -> Sequence[str]:
    """Write which products have which barcodes; return what is to be noted of them."""
    listed = list_barcodes((product.barcodes for product in products), matching.barcodes.most_products)
    listed.table.save(folder)
    return listed.notes


def _write_photo_table(
    path: Path, photos: Iterable[PhotoRow], products: Iterable[ProductRow], features: Mapping[str, Features]
) -> npt.NDArray[np.int32]:
    """Write the photos that have features and a product, in the order of the products; return the number of each one's."""
    number = {product.id: place for place, product in enumerate(products)}
    table = photo_table(row for row in photos if row.product_id in number and row.sha256 in features)
    names = chain.from_iterable(part.to_pylist() for part in table["product_id"].chunks)
    owner = np.fromiter(map(number.__getitem__, names), np.int32, len(table))
    order = np.argsort(owner, kind="stable")
    if (np.diff(order) < 0).any():
        table = table.take(order)
    write_table(path, table)
    return owner[order]


def _write_photos(
    folder: Path,
    raw_file: Path,
    used: PhotoTable,
    photo_product: npt.NDArray[np.int32],
    features: Mapping[str, Features],
    words: WordNotes,
    length: int,
    rows: Rows,
    catalog: str,
    parameters: FitParameters,
) -> None:
    """Write embeddings [length], key points and thumbnails of the photos that have no row yet, and note the words of all."""
    arrangement = rows.arrangement
    is_fresh = np.zeros(len(used), np.bool_)
    is_fresh[arrangement.fresh] = True
    with ExitStack() as files:
        write = _writer(files, folder, raw_file, length, rows, parameters, words.parameters)
        for sha256, product, fresh in zip(used.values("sha256"), photo_product, is_fresh, strict=True):
            photo = features[sha256]
            if len(photo.embedding) != length:
                lengths = sorted((length, len(photo.embedding)))
                raise CatalogError(ErrorCode.CATALOG_REFUSED, f"Catalog {catalog} mixes embeddings of {lengths} values")
            if write is not None and fresh:
                write(photo)
            words.add_photo(int(product), photo.words)


def _writer(
    files: ExitStack, folder: Path, raw_file: Path, length: int, rows: Rows, parameters: FitParameters, words: WordParameters
) -> Callable[[Features], None] | None:
    """What writes the rows of the new segment, one after the other, until `files` is closed; None where there is none."""
    written = rows.arrangement.written
    if written is None:
        return None
    prefix = written.prefix
    raw = files.enter_context(GrowingArray(raw_file, np.float16, length))
    points = files.enter_context(GrowingArray(folder / f"{prefix}points.npy", np.float16, 2))
    descriptors = files.enter_context(GrowingRows(folder, f"{prefix}descriptors", np.uint8, CODE_BYTES))
    thumbnails = files.enter_context(GrowingRows(folder, f"{prefix}thumbnails", np.uint8))
    lines = files.enter_context(GrowingRows(folder, prefix + LINE_BOXES, np.float16, CORNERS + 1))

    def write(photo: Features) -> None:
        local = kept_points(photo.local, rows.epoch.photos, parameters)
        raw.append(photo.embedding[None])
        points.append(local.points)
        descriptors.append(encode(local.descriptors))
        lines.append(line_boxes(sure_lines(photo.words, words.min_confidence), (photo.width, photo.height)))
        thumbnails.append(np.frombuffer(colours_only(photo.thumbnail, parameters.thumbnail_quality), np.uint8))

    return write
