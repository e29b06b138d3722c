"""The products of the version that is served: found by words, by id, with their photos."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from packsight.shared.catalog.manifest import PhotoRow, ProductRow
from packsight.shared.catalog.trust import Trust
from packsight.shared.catalog.versions import CatalogStore
from packsight.shared.contract.errors import UserError
from packsight.shared.extras import Later
from packsight.shared.settings import Settings
from packsight.shared.storage.objects import ObjectStore

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.compute as pc

    from packsight.shared.catalog import shown, tables
    from packsight.shared.catalog.words import normalise
else:
    pa = Later("pyarrow", extra="matching")
    pc = Later("pyarrow.compute", extra="matching")
    shown = Later("packsight.shared.catalog.shown", extra="matching")
    tables = Later("packsight.shared.catalog.tables", extra="matching")
    normalise = Later("packsight.shared.catalog.words.normalise", extra="matching")

_SEARCHED = ("id", "name", "vendor", "model", "type_prefix", "vendor_code", "barcodes")


class Products:
    """The products and photos of one version, read whole when it is made: some 30 MB for 100,000 products."""

    def __init__(self, catalogs: CatalogStore, version: str) -> None:
        self.version = version
        with TemporaryDirectory() as folder:
            manifest = catalogs.manifest(version)
            wanted = (tables.PRODUCTS, tables.PHOTOS, *filter(shown.is_shown, manifest.files))
            catalogs.fetch(manifest, Path(folder), wanted)
            # What is mapped stays when its file's name is gone.
            self._products = tables.ProductTable(Path(folder) / tables.PRODUCTS)
            self._photos = tables.PhotoTable(Path(folder) / tables.PHOTOS)
        self._texts: Any = None

    def __len__(self) -> int:
        return len(self._products)

    def __contains__(self, identity: object) -> bool:
        return self._place(str(identity)) >= 0

    def get(self, identity: str) -> ProductRow:
        """A product; raises UserError where there is none of this id."""
        place = self._place(identity)
        if place < 0:
            raise UserError(f"Version {self.version} has no product {identity}. `packsight review search WORDS` finds products.")
        return self._products[place]

    def photos(self, identity: str) -> list[PhotoRow]:
        """The photos of a product; none for one that is not there."""
        table = self._photos.arrow
        places = pc.indices_nonzero(pc.equal(table["product_id"], identity))
        return [self._photos[place] for place in places.to_pylist()]

    def first_photo(self, identity: str) -> str:
        """sha256 of a product's first photo; empty where it has none."""
        place = pc.index(self._photos.arrow["product_id"], pa.scalar(identity, pa.string())).as_py()
        return self._photos.sha256(place) if place >= 0 else ""

    def places(self, photos: Iterable[str]) -> dict[str, int]:
        """Numbers of photos in the version, by sha256."""
        wanted = list(photos)
        table = self._photos.arrow["sha256"]
        found = pc.index_in(pa.array(wanted, pa.string()), value_set=table.combine_chunks()).to_pylist()
        return {sha: place for sha, place in zip(wanted, found, strict=True) if place is not None}

    def search(self, text: str, most: int = 20) -> list[ProductRow]:
        """Products in which each of these words begins a word of name, brand, model, id, code or barcode.

        Those with most of the words whole come first, then those of the fewest words. An id goes before all.
        """
        keys = list(dict.fromkeys(token.key for token in normalise.tokens(text)))
        exact = [self._products[place]] if (place := self._place(text.strip())) >= 0 else []
        if not keys:
            return exact
        texts = self._searched()
        found = pc.indices_nonzero(_all(pc.match_substring(texts, f" {key}") for key in keys)).to_pylist()
        words = [texts[place].as_py() for place in found]
        whole = [sum(f" {key} " in word for key in keys) for word in words]
        order = sorted(range(len(found)), key=lambda at: (-whole[at], len(words[at]), found[at]))
        rows = [self._products[found[at]] for at in order[: most + 1]]
        return [*exact, *(row for row in rows if row not in exact)][:most]

    def _place(self, identity: str) -> int:
        return int(pc.index(self._products.arrow["id"], pa.scalar(identity, pa.string())).as_py())

    def _searched(self) -> Any:
        """Words of each product as they are compared, between blanks."""
        if self._texts is None:
            table = self._products.arrow
            columns = [table[name].to_pylist() for name in _SEARCHED if name in table.column_names]
            rows = zip(*columns, strict=True)
            self._texts = pa.array([_words(row) for row in rows], pa.string())
        return self._texts


def _words(row: Sequence[object]) -> str:
    texts = (" ".join(value) if isinstance(value, list) else str(value or "") for value in row)
    return f" {' '.join(token.key for text in texts for token in normalise.tokens(text))} "


def _all(masks: Any) -> Any:
    found = next(masks)
    for mask in masks:
        found = pc.and_(found, mask)
    return found


class Shelf:
    """The products of the version of a catalog that is served now; read again when another one is."""

    def __init__(self, store: ObjectStore, settings: Settings, catalog: str) -> None:
        self._catalogs = CatalogStore(store, catalog, Trust.of_reader(settings))
        self._products: Products | None = None

    def products(self) -> Products:
        """Raises UserError when nothing is published, CatalogError when it is damaged or nobody signed it."""
        current = self._catalogs.current()
        if current is None:
            raise UserError(f"Catalog {self._catalogs.name} was never published, so it has no products to choose from.")
        if self._products is None or self._products.version != current.version:
            self._products = Products(self._catalogs, current.version)
        return self._products
