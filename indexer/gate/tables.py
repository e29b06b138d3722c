"""Products and photos of a version as whole columns: a catalog of a million photos is compared without an object for each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict

from packsight.shared.catalog.manifest import ProductRow
from packsight.shared.catalog.shown import is_shown
from packsight.shared.catalog.tables import PHOTOS, PRODUCTS, PhotoTable, ProductTable, photo_table, product_table
from packsight.shared.catalog.versions import CatalogStore
from packsight.shared.storage import layout

_KEPT = f"^s3://[^/]+/{layout.photo('[0-9a-f]{64}$')}"
"""Where the bytes of confirmed photos are kept: by their hash, as no shop names its pictures."""


class Levels(BaseModel):
    """How much a version holds; None where that is not known of an older one."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    products: int
    photos: int | None = None
    names: int | None = None
    """Distinct ones."""
    pictures: int | None = None
    """Distinct bytes."""
    shop_photos: int | None = None
    """Those that the shop itself shows: what people confirmed goes with their verdicts."""
    shop_pictures: int | None = None


@dataclass(frozen=True, slots=True)
class Tables:
    """products: a row each, by `id`; photos: a row each, of a product and of bytes."""

    products: pa.Table
    photos: pa.Table

    @classmethod
    def open(cls, folder: Path) -> Tables:
        """Memory-map the tables of a version."""
        return cls(ProductTable(folder / PRODUCTS).arrow, PhotoTable(folder / PHOTOS).arrow)

    @classmethod
    def read(cls, catalogs: CatalogStore, version: str) -> Tables:
        """Those of a published version of whatever format; raises CatalogError when it is damaged or has none."""
        with TemporaryDirectory() as folder:
            manifest = catalogs.manifest(version)
            catalogs.fetch(manifest, Path(folder), (PRODUCTS, PHOTOS, *filter(is_shown, manifest.files)))
            return cls.open(Path(folder))  # what is mapped stays when its file's name is gone

    @classmethod
    def of_products(cls, products: Iterable[ProductRow]) -> Tables:
        """Those of products whose photos nobody has looked at."""
        return cls(product_table(products), photo_table(()))

    @property
    def levels(self) -> Levels:
        """How much they hold."""
        shop = self.photos.filter(pc.invert(pc.match_substring_regex(self.photos["source"], _KEPT)))
        return Levels(
            products=len(self.products),
            photos=len(self.photos),
            names=distinct(self.products["name"]),
            pictures=distinct(self.photos["sha256"]),
            shop_photos=len(shop),
            shop_pictures=distinct(shop["sha256"]),
        )


def read_products(catalogs: CatalogStore, version: str) -> pa.Table:
    """The products of a published version alone; raises CatalogError as `Tables.read` does."""
    with TemporaryDirectory() as folder:
        manifest = catalogs.manifest(version)
        catalogs.fetch(manifest, Path(folder), (PRODUCTS, *filter(is_shown, manifest.files)))
        return ProductTable(Path(folder) / PRODUCTS).arrow


def distinct(column: pa.ChunkedArray) -> int:
    """Different values of a column."""
    return int(pc.count_distinct(column).as_py())


def among(column: Any, values: Any) -> Any:
    """Mask: which values of a column are among others."""
    return pc.is_in(column, value_set=whole(values))


def whole(column: Any) -> pa.Array:
    """A column in one piece."""
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def found_in(column: Any, values: Any) -> Any:
    """Place of each value of a column among others, null where there is none."""
    return pc.index_in(column, value_set=whole(values), skip_nulls=True)
