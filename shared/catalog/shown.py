"""What is shown of a product and decides nothing, apart from what matching needs: a new price leaves all other parts as they are.

Prices change daily, texts seldom, so each has files of its own. A product's row stands in the file that the hash of its id
names, sorted by id: wherever the product stands in the feed, and whatever comes and goes beside it, only the files of
products that changed become others.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from operator import itemgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from packsight.shared.catalog.arrow_files import mapped
from packsight.shared.catalog.manifest import ProductRow
from packsight.shared.pieces import pieces

SHOWN: Mapping[str, tuple[str, ...]] = {
    "prices": ("price", "old_price", "currency"),
    "texts": ("vendor_code", "url", "category", "description", "picture"),
}
"""Fields of a product by the kind of file that has them; all others matching needs."""
MATCHED = tuple(name for name in ProductRow.model_fields if not any(name in fields for fields in SHOWN.values()))
"""Those others."""
ROWS = 2048
"""Products per file at most, on the average. A file of prices then has about 60 kB, and the manifest names as many bytes of
files for 400,000 products: what one new price costs is least where both are alike."""
_TOGETHER = 10_000
"""Products that are Python objects at a time: some 30 MB."""
_TEXTS = ("id", *(name for fields in SHOWN.values() for name in fields))
_ROW = pa.schema([("place", pa.int32()), *((name, pa.string()) for name in _TEXTS)])
_FILE = re.compile(rf"({'|'.join(SHOWN)})\.\d{{4}}\.arrow")


def is_shown(name: str) -> bool:
    """Whether a file of a version is one of these."""
    return _FILE.fullmatch(name) is not None


def matched(product: ProductRow) -> tuple[Any, ...]:
    """What matching knows of a product."""
    return tuple(getattr(product, name) for name in MATCHED)


def write_shown(folder: Path, products: Sequence[ProductRow]) -> None:
    """Write what is shown of products with different ids; the same products give the same bytes, whatever their order.

    They are put in order on the disk, some at a time.
    """
    count = 1
    while count * ROWS < len(products):
        count *= 2
    with TemporaryDirectory(dir=folder) as aside, pa.memory_map(str(_in_order(products, count, Path(aside) / "rows"))) as file:
        parts = pa.ipc.open_file(file)
        batches = [parts.get_batch(number) for number in range(parts.num_record_batches)]
        bounds = [np.searchsorted(batch["place"].to_numpy(), np.arange(count + 1)).tolist() for batch in batches]
        for number in range(count):
            own = [batch.slice(at[number], at[number + 1] - at[number]) for batch, at in zip(batches, bounds, strict=True)]
            rows = pa.Table.from_batches(own, _ROW).sort_by("id")
            for kind, fields in SHOWN.items():
                table = rows.select(["id", *fields]).combine_chunks()
                path = folder / f"{kind}.{number:04d}.arrow"
                with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
                    writer.write_table(table)


def _in_order(products: Iterable[ProductRow], count: int, path: Path) -> Path:
    """Write batches of rows, each in the order of the files, of so many, that they belong to; return the path."""
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, _ROW) as writer:
        for some in pieces(products, _TOGETHER):
            placed = sorted(((_place(product.id, count), product) for product in some), key=itemgetter(0))
            rows = [{"place": place, **{name: getattr(product, name) for name in _TEXTS}} for place, product in placed]
            writer.write_batch(pa.RecordBatch.from_pylist(rows, schema=_ROW))
    return path


def _place(identity: str, count: int) -> int:
    """Number of the file, of a power of two, that has a product; by the leading bits, so that twice the files are halves."""
    return int.from_bytes(blake2b(identity.encode(), digest_size=4).digest()) * count >> 32


@dataclass(frozen=True, slots=True)
class Shown:
    """One kind of these files, memory-mapped. Without any, nothing is known of any product."""

    tables: tuple[pa.Table, ...]

    @classmethod
    def open(cls, folder: Path, kind: str) -> Shown:
        """Map the files of a kind that lie in a folder; raises OSError or pa.ArrowInvalid when one is damaged."""
        files = sorted(file for file in folder.glob(f"{kind}.*.arrow") if is_shown(file.name))
        return cls(tuple(mapped(file).combine_chunks() for file in files))

    def __len__(self) -> int:
        return sum(int(table.num_rows) for table in self.tables)

    @property
    def fields(self) -> tuple[str, ...]:
        """What is known, beside the id."""
        return tuple(self.tables[0].column_names[1:]) if self.tables else ()

    def row(self, identity: str) -> dict[str, str]:
        """What is shown of a product; raises KeyError for one that is not there."""
        if not self.tables:
            return {}
        table = self.tables[_place(identity, len(self.tables))]
        ids = table["id"]
        row = bisect_left(range(len(ids)), identity, key=lambda one: str(ids[one].as_py()))
        if row == len(ids) or ids[row].as_py() != identity:
            raise KeyError(identity)
        return {name: table[name][row].as_py() for name in self.fields}

    def column(self, name: str, ids: Iterable[str]) -> Iterator[str]:
        """One field of many products; raises KeyError for one that is not there."""
        values: dict[str, str] = {}
        for table in self.tables:
            values.update(zip(table["id"].to_pylist(), table[name].to_pylist(), strict=True))
        return (values[identity] for identity in ids)

    def aligned(self, name: str, ids: pa.ChunkedArray) -> pa.ChunkedArray:
        """One field as a column beside that of the ids; null for a product that is not there."""
        table = pa.concat_tables(self.tables)
        return table[name].take(pc.index_in(ids, value_set=pa.concat_arrays(table["id"].chunks)))
