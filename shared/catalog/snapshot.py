"""One catalog version, opened for matching: everything memory-mapped and shared between processes, nothing ever
changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from packsight.shared.catalog.arrays import Ragged, Stacked, evenly_spread, open_array
from packsight.shared.catalog.barcodes import BarcodeTable
from packsight.shared.catalog.decision_model import Model
from packsight.shared.catalog.descriptor_codes import CODE_BYTES, decode
from packsight.shared.catalog.detail_index import DETAILS_INDEX, DetailIndex
from packsight.shared.catalog.manifest import MANIFEST, Manifest, read_manifest
from packsight.shared.catalog.placement import ByPhoto, Placement
from packsight.shared.catalog.projection import Projection
from packsight.shared.catalog.segmented_index import SegmentedIndex
from packsight.shared.catalog.tables import PHOTOS, PRODUCTS, PhotoTable, ProductTable
from packsight.shared.catalog.vector_index import VECTOR_INDEX, VectorIndex
from packsight.shared.catalog.words.photo_lines import LINE_BOXES, PhotoLines
from packsight.shared.catalog.words.visible_names import VisibleNames
from packsight.shared.catalog.words.word_index import WordIndex
from packsight.shared.contract.errors import CatalogError, ErrorCode
from packsight.shared.parameters import MATCHING, WORDS, MatchingParameters, WordParameters
from packsight.shared.vision.features import FloatArray, LocalFeatures

_PROBES = 4
"""Stored photos that must find themselves before a version is served."""
_PROBED = 8
"""Photos found among which one must be it: copies of a picture look the same."""
_SAME = 0.99
"""Cosine from which it is: vectors are stored as float16, an index may hold 8 bits a value."""


class Vectors(Protocol):
    """[photos, projected] float16, unit rows: an array, or what takes them from where they lie."""

    def __len__(self) -> int: ...

    def __getitem__(self, photos: Any, /) -> npt.NDArray[Any]: ...


@dataclass(frozen=True)
class LocalStore:
    """Local features and thumbnails of all photos, in the rows of their segments.

    points: places of the key points of all segments. codes: of their descriptors, 32 bytes each, and thumbnails, of each segment.
    """

    points: Stacked
    codes: tuple[Ragged, ...]
    thumbnails: tuple[Ragged, ...]
    placement: Placement

    def features(self, photo: int) -> LocalFeatures:
        """Key points of one photo, with the descriptors that their codes stand for."""
        segment, row = self.placement.place(photo)
        return LocalFeatures(self.points_of(photo), decode(self.codes[segment].row(row)))

    def points_of(self, photo: int) -> FloatArray:
        """Where the key points of one photo are, [n, 2]."""
        segment, row = self.placement.place(photo)
        starts = self.codes[segment].starts
        return np.asarray(self.points.arrays[segment][int(starts[row]) : int(starts[row + 1])], np.float32)

    def places(self, points: npt.NDArray[np.int64]) -> FloatArray:
        """Where key points [n] are on their photos, [n, 2]; numbered as those of the index."""
        return np.asarray(self.points.take(points), np.float32)

    def thumbnail(self, photo: int) -> bytes:
        """JPEG of one photo, squeezed to a square."""
        segment, row = self.placement.place(photo)
        return bytes(self.thumbnails[segment].row(row))

    @classmethod
    def open(cls, folder: Path, prefixes: Sequence[str], placement: Placement) -> LocalStore:
        """Memory-map the store's files; prefixes: what the names of each segment's files begin with."""
        return cls(
            Stacked.of(open_array(folder / f"{prefix}points.npy") for prefix in prefixes),
            tuple(Ragged.open(folder, f"{prefix}descriptors") for prefix in prefixes),
            tuple(Ragged.open(folder, f"{prefix}thumbnails") for prefix in prefixes),
            placement,
        )


@dataclass(frozen=True)
class Snapshot:
    """A version. Products and photos are numbered from 0; the photos of a product stand together.

    photo_starts: [products + 1]; photo_product: [photos]. index: searched with unit vectors, gives cosines and photos.
    """

    folder: Path
    manifest: Manifest
    products: ProductTable
    photo_table: PhotoTable
    photo_starts: npt.NDArray[np.int64]
    photo_product: npt.NDArray[np.int32]
    projection: Projection
    index: Any
    vectors: Vectors
    words: WordIndex
    lines: PhotoLines
    local: LocalStore
    details: DetailIndex
    model: Model
    barcodes: BarcodeTable
    parameters: MatchingParameters = MATCHING
    kin: dict[int, tuple[tuple[int, int], ...]] = field(default_factory=dict)
    """Products most like a product, with the key points they share, as far as it was asked for."""

    def photos(self, product: int) -> range:
        """Numbers of a product's photos."""
        return range(int(self.photo_starts[product]), int(self.photo_starts[product + 1]))

    @cached_property
    def names(self) -> VisibleNames:
        """What of the products' names is to be seen; found when it is first asked for."""
        return VisibleNames.of(self.words, self.parameters.decision.seen)

    def project(self, embedding: FloatArray) -> FloatArray:
        """Projected unit vector of a raw embedding; zeros when it is not finite, or no photo is there to compare it with.

        Raises CatalogError for an embedding of another length.
        """
        if not self.manifest.photos:  # then nothing tells how long embeddings are
            return np.zeros(self.projection.dimension, np.float32)
        if len(embedding) != self.manifest.dimension:
            raise CatalogError(
                ErrorCode.CATALOG_REFUSED,
                f"The photo's embedding has {len(embedding)} values, "
                f"version {self.manifest.version} has {self.manifest.dimension}",
            )
        return np.asarray(self.projection(embedding[None])[0], np.float32)

    @classmethod
    def open(
        cls, folder: Path, parameters: MatchingParameters = MATCHING, words: WordParameters = WORDS
    ) -> Snapshot:
        """Open a version whose hashes have been checked, to be asked by these parameters; `words` are those of its build.

        Raises CatalogError when it cannot be served.
        """
        try:
            snapshot = cls._open(folder, parameters, words)
            snapshot._self_check()
        except (CatalogError, MemoryError):
            raise
        except Exception as error:  # what the libraries raise over damaged files is no list that one could keep
            raise CatalogError(
                ErrorCode.CATALOG_REFUSED,
                f"Version {folder.name} cannot be opened: {type(error).__name__}: {error}",
                remedy="Publish the catalog again with `packsight catalog sync --force`; the version before it goes on serving.",
            ) from error
        return snapshot

    @classmethod
    def _open(cls, folder: Path, parameters: MatchingParameters, words: WordParameters) -> Snapshot:
        manifest = read_manifest((folder / MANIFEST).read_bytes(), folder.name)
        manifest.require_format()
        prefixes = [segment.prefix for segment in manifest.segments]
        placement = Placement.open(folder, [segment.rows for segment in manifest.segments])
        local = LocalStore.open(folder, prefixes, placement)
        vectors = Stacked.of(open_array(folder / f"{prefix}vectors.npy") for prefix in prefixes)
        index_of_words, boxes = WordIndex.open(folder, words), [Ragged.open(folder, prefix + LINE_BOXES) for prefix in prefixes]

        def index(trained: str) -> SegmentedIndex:
            return SegmentedIndex.open(folder, trained, [prefix + trained for prefix in prefixes], placement.whole)

        return cls(
            folder=folder,
            manifest=manifest,
            products=ProductTable(folder / PRODUCTS),
            photo_table=PhotoTable(folder / PHOTOS),
            photo_starts=open_array(folder / "photo_starts.npy"),
            photo_product=open_array(folder / "photo_product.npy"),
            projection=Projection.open(folder),
            index=VectorIndex(index(VECTOR_INDEX), placement),
            vectors=ByPhoto(vectors, placement.photo_row),
            words=index_of_words,
            lines=PhotoLines(index_of_words.line_starts, index_of_words.lines, boxes, placement),
            local=local,
            details=DetailIndex(index(DETAILS_INDEX), [rows.starts for rows in local.codes], placement),
            model=Model.model_validate_json((folder / "model.json").read_bytes()),
            barcodes=BarcodeTable.open(folder),
            parameters=parameters,
        )

    def _self_check(self) -> None:
        """Compare the files' sizes with each other and let a few photos find themselves.

        Raises ValueError, or CatalogError for a model of other evidence.
        """
        self.model.check()
        photos, products = self.manifest.photos, self.manifest.products
        lengths = {
            "photos": len(self.photo_table), "rows": len(self.vectors), "photo_product": len(self.photo_product),
            "photo_terms": len(self.words.photos), "line_starts": len(self.words.line_starts) - 1,
        }  # fmt: skip
        wrong = [name for name, length in lengths.items() if length != photos]
        if wrong or not len(self.products) == products == len(self.photo_starts) - 1 == len(self.words.products):
            raise ValueError(
                f"the manifest counts {products} products and {photos} photos, not so {wrong or 'the products'}"
            )
        if set(self.products.shown) != {products}:
            raise ValueError(f"something is shown of {self.products.shown} of {products} products")
        codes, owners = self.barcodes.codes, self.barcodes.products
        if len(codes) != len(owners) or (len(owners) and not 0 <= int(owners.min()) <= int(owners.max()) < products):
            raise ValueError("the barcodes are not those of the products")
        self._check_segments()
        if self.index.d != self.manifest.projected:
            raise ValueError(f"the index has {self.index.d} dimensions, the manifest says {self.manifest.projected}")
        for photo in evenly_spread(photos, _PROBES).tolist():
            vector = np.asarray(self.vectors[photo], np.float32)
            _, found = self.index.search(vector[None], min(_PROBED, photos))
            near = [i for i in found[0].tolist() if i >= 0]
            if vector.any() and not any(float(np.asarray(self.vectors[i], np.float32) @ vector) > _SAME for i in near):
                raise ValueError(f"photo {photo} does not find itself")

    def _check_segments(self) -> None:
        local, rows = self.local, np.diff(self.local.placement.starts).tolist()
        arrays = {
            "index": np.diff(self.index.index.starts).tolist(),
            "descriptors": [len(one) for one in local.codes],
            "thumbnails": [len(one) for one in local.thumbnails],
            "lines": [len(one) for one in self.lines.boxes],
        }
        if wrong := [name for name, lengths in arrays.items() if lengths != rows]:
            raise ValueError(f"segments have {rows} rows, not so their {wrong}")
        if not self.lines.are_whole():
            raise ValueError("the lines of the photos are not those whose places are known")
        if any(one.values.dtype != np.uint8 or one.values.shape[1:] != (CODE_BYTES,) for one in local.codes):
            raise ValueError(f"descriptors of key points are not codes of {CODE_BYTES} bytes")
        points = [len(one.values) for one in local.codes]
        if points != np.diff(local.points.starts).tolist() or points != np.diff(self.details.index.starts).tolist():
            raise ValueError("the index of key points does not hold all of them")
