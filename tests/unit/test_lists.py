"""Lists of photos of every kind, and the columns that come along."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from packsight.producer.sources import expand
from packsight.shared.contract.errors import UserError

NO_STORE: Any = None
ROWS: list[dict[str, Any]] = [
    {"SKU": "007", "Image": "https://a.example/1.jpg", "store": "Köln", "price": 1.5},
    {"SKU": "", "Image": "", "store": "left out: it names no photo", "price": 2.0},
    {"SKU": "8", "Image": "sub/2.jpg", "store": None, "price": None},
]


def entries(source: object, column: str | None = None) -> list[tuple[str, dict[str, str]]]:
    return [(item.name, dict(item.extra)) for item in expand([str(source)], NO_STORE, column)]


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".ndjson", ".parquet"])
def test_what_stands_beside_a_reference_comes_along_as_text(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"list{suffix}"
    if suffix == ".parquet":
        parquet.write_table(pa.Table.from_pylist(ROWS), file)
    elif suffix in {".csv", ".tsv"}:
        between = "," if suffix == ".csv" else "\t"
        cells = [list(ROWS[0]), *(["" if cell is None else str(cell) for cell in row.values()] for row in ROWS)]
        file.write_text("\n".join(map(between.join, cells)), encoding="utf-8")
    else:
        file.write_text("\n\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS), encoding="utf-8")
    assert entries(file) == [
        ("https://a.example/1.jpg", {"SKU": "007", "store": "Köln", "price": "1.5"}),
        ("sub/2.jpg", {"SKU": "8", "store": "", "price": ""}),
    ]
    assert [name for name, _ in entries(file, "store")] == ["Köln", "left out: it names no photo"]


def test_lines_of_json_may_be_references_alone_or_hold_more_than_text(tmp_path: Path) -> None:
    file = tmp_path / "list.jsonl"
    file.write_text('"https://a.example/1.jpg"\n{"url": "https://a.example/2.jpg", "tags": ["a", "ж"], "n": 3, "ok": true}\n')
    assert entries(file) == [
        ("https://a.example/1.jpg", {}),
        ("https://a.example/2.jpg", {"tags": '["a", "ж"]', "n": "3", "ok": "true"}),
    ]


@pytest.mark.parametrize(
    ("name", "content", "wrong"),
    [
        ("list.jsonl", b"{broken", "line 1: "),
        ("list.jsonl", b'{"image": "a.jpg"}\n[1]', "line 2: neither an object nor a string"),
        ("list.jsonl", b'{"id": "1"}', "no column of photos"),
        ("list.parquet", b"no such thing", "is no Parquet file"),
        ("list.csv", b"", "is empty"),
    ],
    ids=["broken", "no-object", "no-column", "no-parquet", "empty"],
)
def test_a_list_that_is_none_is_refused_with_its_place(tmp_path: Path, name: str, content: bytes, wrong: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=wrong):
        entries(tmp_path / name)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("# ours\nhttps://a.example/1.jpg\n\n2.jpg\n", [("https://a.example/1.jpg", {}), ("2.jpg", {})]),
        ('{"image": "2.jpg", "sku": "7"}\n', [("2.jpg", {"sku": "7"})]),
    ],
    ids=["lines", "json"],
)
def test_a_list_comes_over_standard_input_and_starts_at_the_current_folder(
    monkeypatch: pytest.MonkeyPatch, text: str, found: list[tuple[str, dict[str, str]]]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    assert entries("-") == found
