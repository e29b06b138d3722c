"""Products and photos of a version as memory-mapped Arrow tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Set
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from packsight.shared.catalog.arrow_files import mapped
from packsight.shared.catalog.manifest import Manifest, PhotoRow, ProductRow
from packsight.shared.catalog.shown import MATCHED, SHOWN, Shown, is_shown, matched, write_shown
from packsight.shared.catalog.versions import CatalogStore
from packsight.shared.pieces import pieces

PRODUCTS = "products.arrow"
PHOTOS = "photos.arrow"
_ROWS = 10_000
"""Rows that are Python objects at a time."""

T = TypeVar("T", ProductRow, PhotoRow)

_PRODUCTS = pa.schema([(name, pa.list_(pa.string()) if name == "barcodes" else pa.string()) for name in ProductRow.model_fields])
_PHOTOS = pa.schema([(name, pa.bool_() if name == "extra" else pa.string()) for name in PhotoRow.model_fields])


def product_table(rows: Iterable[ProductRow]) -> pa.Table:
    """Products as whole columns, what is shown of them included."""
    return _columns(rows, _PRODUCTS)


def photo_table(rows: Iterable[PhotoRow]) -> pa.Table:
    """Photos as the table that a version has of them."""
    return _columns(rows, _PHOTOS)


def _columns(rows: Iterable[ProductRow] | Iterable[PhotoRow], schema: pa.Schema) -> pa.Table:
    names = set(schema.names)
    parts = [
        pa.RecordBatch.from_pylist([row.model_dump(include=names) for row in some], schema=schema) for some in pieces(rows, _ROWS)
    ]
    return pa.Table.from_batches(parts, schema=schema)


def write_table(path: Path, table: pa.Table) -> None:
    """Write a table so that it is mapped in one piece."""
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table.combine_chunks())


def write_products(path: Path, rows: Sequence[ProductRow]) -> None:
    """Write the product table, and what is shown of products beside it."""
    write_table(path, _columns(rows, pa.schema([_PRODUCTS.field(name) for name in MATCHED])))
    write_shown(path.parent, rows)


def write_photos(path: Path, rows: Sequence[PhotoRow]) -> None:
    """Write the photo table."""
    write_table(path, photo_table(rows))


class _Table:
    def __init__(self, path: Path) -> None:
        self._table = mapped(path).combine_chunks()

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def _row(self, index: int) -> dict[str, Any]:
        if not 0 <= index < len(self):
            raise IndexError(index)
        return {name: self._table[name][index].as_py() for name in self._table.column_names}

    @property
    def arrow(self) -> pa.Table:
        """The table itself, for work on whole columns."""
        return self._table

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        names: list[str] = self._table.column_names
        return names

    def column(self, name: str) -> list[Any]:
        """All values of one column."""
        return list(self.values(name))

    def values(self, name: str) -> Iterator[Any]:
        """The same, one after the other."""
        for batch in self._table.select([name]).to_batches(max_chunksize=_ROWS):
            yield from batch.column(0).to_pylist()


    def numbers(self, name: str, wanted: Set[str]) -> dict[str, int]:
        """Of some values of a column the number of the row that has each, of several the last; without those that none has."""
        return {value: number for number, value in enumerate(self.values(name)) if value in wanted}


class ProductTable(_Table):
    """Rows are made when asked for, so that a large catalog costs no memory of its own.

    In versions of release 0.1 the table itself has what is shown.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._shown = [Shown.open(path.parent, kind) for kind in SHOWN]

    @property
    def shown(self) -> tuple[int, ...]:
        """Products of which there is something to show, by kind."""
        return tuple(len(shown) for shown in self._shown)

    @property
    def arrow(self) -> pa.Table:
        """The table itself with what is shown of its products, in the order of the fields."""
        table = super().arrow
        for shown in self._shown:
            for name in shown.fields:
                table = table.append_column(name, shown.aligned(name, table["id"]))
        return table.select([name for name in ProductRow.model_fields if name in table.column_names])

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        return [*super().columns, *(name for shown in self._shown for name in shown.fields)]

    def column(self, name: str) -> list[Any]:
        """All values of one column."""
        for shown in self._shown:
            if name in shown.fields:
                return list(shown.column(name, super().column("id")))
        return super().column(name)

    def __getitem__(self, index: int) -> ProductRow:
        row = self._row(index)
        for shown in self._shown:
            row |= shown.row(row["id"])
        return ProductRow.model_validate(row)

    def __iter__(self) -> Iterator[ProductRow]:
        return (self[index] for index in range(len(self)))


class PhotoTable(_Table):
    """Photos in the order of the index: those of a product stand together."""

    def __getitem__(self, index: int) -> PhotoRow:
        return PhotoRow.model_validate(self._row(index))

    def __iter__(self) -> Iterator[PhotoRow]:
        return (self[index] for index in range(len(self)))

    def sha256(self, index: int) -> str:
        """Name of one photo's bytes."""
        return str(self._table["sha256"][index].as_py())


@contextmanager
def open_published(catalogs: CatalogStore, version: str) -> Iterator[tuple[Iterator[ProductRow], Iterator[PhotoRow]]]:
    """Rows of a published version of whatever format, one after the other; fields that it does not have are empty.

    Raises CatalogError when it is damaged or has no such tables.
    """
    with TemporaryDirectory() as folder:
        manifest = catalogs.manifest(version)
        catalogs.fetch(manifest, Path(folder), (PRODUCTS, PHOTOS, *filter(is_shown, manifest.files)))
        yield (
            _stream(ProductTable(Path(folder) / PRODUCTS).arrow, ProductRow),
            _stream(PhotoTable(Path(folder) / PHOTOS).arrow, PhotoRow),
        )


def _stream(table: pa.Table, kind: type[T]) -> Iterator[T]:
    names = [name for name in kind.model_fields if name in table.column_names]
    for batch in table.select(names).to_batches(max_chunksize=_ROWS):
        columns = [batch.column(name).to_pylist() for name in names]
        for row in zip(*columns, strict=True):
            yield kind(**dict(zip(names, row, strict=True)))


def published_matched(catalogs: CatalogStore, manifest: Manifest, ids: Sequence[str]) -> dict[str, tuple[Any, ...]]:
    """What matching knows of some products of a published version, by id; raises CatalogError as `open_published` does."""
    with TemporaryDirectory() as folder:
        catalogs.fetch(manifest, Path(folder), (PRODUCTS,))
        table = mapped(Path(folder) / PRODUCTS)
        found = table.filter(pc.is_in(table["id"], value_set=pa.array(ids, pa.string()))).select(MATCHED)
        return {row["id"]: matched(ProductRow.model_validate(row)) for row in found.to_pylist()}


def published_ids(catalogs: CatalogStore, version: str) -> set[str]:
    """Ids of all products of a published version of whatever format; raises CatalogError as `open_published` does."""
    with TemporaryDirectory() as folder:
        catalogs.fetch(catalogs.manifest(version), Path(folder), (PRODUCTS,))
        return set(ProductTable(Path(folder) / PRODUCTS).column("id"))
