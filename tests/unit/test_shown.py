"""What is shown of products, apart from what matching needs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pytest

from packsight.shared.catalog import shown, tables
from packsight.shared.catalog.manifest import ProductRow
from packsight.shared.catalog.shown import MATCHED, ROWS, is_shown, matched
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.catalog.tables import PRODUCTS, ProductTable, write_products
from packsight.shared.contract.errors import CatalogError
from tests.unit.matching_catalog import build, photo, product


def shop(count: int) -> list[ProductRow]:
    return [
        ProductRow(
            id=f"a-{number}", name=f"Balm {number}", price=str(number), currency="RUB", url=f"https://shop.test/{number}",
            barcodes=("4006381333931",), picture=f"{number}.jpg", description="Крем" * (number % 3),
        )
        for number in range(count)
    ]  # fmt: skip


def written(folder: Path, products: Sequence[ProductRow]) -> dict[str, bytes]:
    folder.mkdir()
    write_products(folder / PRODUCTS, products)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("count", [0, 1, 3, 2 * ROWS + 1])
def test_every_product_is_shown_as_it_was_written(tmp_path: Path, count: int) -> None:
    products = shop(count)
    written(tmp_path / "v", products)
    table = ProductTable(tmp_path / "v" / PRODUCTS)
    assert set(table.shown) == {count}
    assert [table[number] for number in range(0, count, 97)] == products[::97]
    for name in ("id", "price", "picture"):
        assert table.column(name) == [getattr(row, name) for row in products]


def test_a_new_price_changes_one_file_and_the_feeds_order_none_of_them(tmp_path: Path) -> None:
    products = shop(3 * ROWS)
    before = written(tmp_path / "before", products)
    products[5] = products[5].model_copy(update={"price": "9.90"})
    after = written(tmp_path / "after", products)
    assert len(before) == 9
    (changed,) = [name for name in before if before[name] != after[name]]
    assert changed.startswith("prices.") and len(after[changed]) < 150_000
    turned = written(tmp_path / "turned", products[::-1])
    assert [name for name in after if after[name] != turned[name]] == [PRODUCTS]


class Watched(ProductRow):
    """A row by which it is known how many there are at a time."""

    alive: ClassVar[int] = 0

    def __del__(self) -> None:
        type(self).alive -= 1


class Streamed(Sequence[ProductRow]):
    """Rows that are made when they are asked for."""

    most = 0

    def __init__(self, rows: list[ProductRow]) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Any:
        raise NotImplementedError

    def __iter__(self) -> Iterator[ProductRow]:
        for row in self.rows:
            Watched.alive += 1
            self.most = max(self.most, Watched.alive)
            yield Watched(**row.model_dump())


def test_few_products_are_in_memory_at_a_time_and_the_files_are_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = Streamed(shop(2 * ROWS))
    at_once = written(tmp_path / "once", rows.rows)
    monkeypatch.setattr(shown, "_TOGETHER", 100)
    monkeypatch.setattr(tables, "_ROWS", 100)
    assert written(tmp_path / "some", rows) == at_once
    assert 100 <= rows.most <= 300


def test_a_product_that_comes_changes_one_file_of_each_kind_wherever_it_stands(tmp_path: Path) -> None:
    products = shop(3 * ROWS)
    before = written(tmp_path / "before", products)
    after = written(tmp_path / "after", [product(7, "Arvelo", "Night Cream"), *products])
    changed = sorted(name.partition(".")[0] for name in after if before[name] != after[name])
    assert changed == ["prices", "products", "texts"]


def test_what_matching_knows_of_a_product_is_all_that_is_not_shown() -> None:
    first = shop(1)[0]
    assert MATCHED == ("id", "name", "vendor", "model", "type_prefix", "barcodes")
    assert matched(first) == matched(first.model_copy(update={"price": "1", "url": "", "description": "new", "category": "c"}))
    assert matched(first) != matched(first.model_copy(update={"name": "Balm"}))
    assert is_shown("prices.0012.arrow") and not is_shown("products.arrow") and not is_shown("prices.0012.arrow.part")


def test_rows_of_a_version_are_read_whose_products_stand_in_one_table(tmp_path: Path) -> None:
    products = [product(n, "Arvelo", f"Cream {n}").model_copy(update={"price": f"{n}.00", "url": f"{n}"}) for n in range(3)]
    kinds = {"barcodes": pa.list_(pa.string())}
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in ProductRow.model_fields])
    table = pa.Table.from_pylist([row.model_dump() for row in products], schema=schema)
    with pa.OSFile(str(tmp_path / PRODUCTS), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        writer.write_table(table)
    assert list(ProductTable(tmp_path / PRODUCTS)) == products


def test_a_version_that_shows_nothing_of_a_product_is_refused(tmp_path: Path) -> None:
    products = [product(number, "Arvelo", f"Cream {number}") for number in range(3)]
    build(tmp_path / "v", products, {"p0": [photo("one", ["ARVELO"], 1)]})
    write_products(tmp_path / PRODUCTS, products[:2])
    (tmp_path / "prices.0000.arrow").replace(tmp_path / "v/prices.0000.arrow")
    with pytest.raises(CatalogError, match="something is shown of"):
        Snapshot.open(tmp_path / "v")
