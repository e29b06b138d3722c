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

from packsight.producer.lists import names_several
from packsight.producer.sources import Item, expand
from packsight.producer.upload import NAMELESS, upload
from packsight.shared.contract.errors import ErrorCode, UserError
from packsight.shared.storage.jobs import JobImage, Unopened

NO_STORE: Any = None
ROWS: list[dict[str, Any]] = [
    {"SKU": "007", "Image": "https://a.example/1.jpg", "store": "Köln", "price": 1.5},
    {"SKU": "", "Image": "", "store": "it names no photo", "price": 2.0},
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
        ("", {"SKU": "", "store": "it names no photo", "price": "2.0"}),
        ("sub/2.jpg", {"SKU": "8", "store": "", "price": ""}),
    ]
    assert [name for name, _ in entries(file, "store")] == ["Köln", "it names no photo", ""]


def test_lines_of_json_may_be_references_alone_or_hold_more_than_text(tmp_path: Path) -> None:
    file = tmp_path / "list.jsonl"
    file.write_text('"https://a.example/1.jpg"\n{"url": "https://a.example/2.jpg", "tags": ["a", "ж"], "n": 3, "ok": true}\n')
    assert entries(file) == [
        ("https://a.example/1.jpg", {}),
        ("https://a.example/2.jpg", {"tags": '["a", "ж"]', "n": "3", "ok": "true"}),
    ]


@pytest.mark.parametrize("header", ["photo,url", "image,link", "фото;товара"])
def test_two_names_of_columns_are_not_one(tmp_path: Path, header: str) -> None:
    between = ";" if ";" in header else ","
    (tmp_path / "list.csv").write_text(f"{header}\na.jpg{between}http://x/1\n", encoding="utf-8")
    ((name, extra),) = entries(tmp_path / "list.csv")
    assert (Path(name).name, list(extra.values())) == ("a.jpg", ["http://x/1"])


@pytest.mark.parametrize("header", ["file_name,n", "image_path,path", "filepath,n", "Имя файла,n", "photo file,url"])
def test_a_table_of_files_names_them_so(tmp_path: Path, header: str) -> None:
    (tmp_path / "list.csv").write_text(f"{header}\na.jpg,b\n", encoding="utf-8")
    assert entries(tmp_path / "list.csv") == [("a.jpg", {header.split(",")[1]: "b"})]
    (tmp_path / "list.csv").write_text("path,url\nFood > Tea,https://a.example/1.jpg\n", encoding="utf-8")
    assert entries(tmp_path / "list.csv") == [("https://a.example/1.jpg", {"path": "Food > Tea"})]


@pytest.mark.parametrize(
    ("name", "content", "wrong"),
    [
        ("list.jsonl", b"{broken", "line 1: "),
        ("list.jsonl", b'{"image": "a.jpg"}\n[1]', "line 2: neither an object nor a string"),
        ("list.jsonl", b'{"id": "1"}', "no column of photos"),
        ("list.txt", "фото/а.jpg\nфото/".encode("cp1251") + b"\x98.jpg", "no text in line 2: byte 0x98 in cp1251"),
        ("list.parquet", b"no such thing", "is no Parquet file"),
        ("list.csv", b"", "is empty"),
        ("list.xlsx", b"x", "no column of photos .*; it has x"),
    ],
    ids=["broken", "no-object", "no-column", "no-text", "no-parquet", "empty", "no-workbook"],
)
def test_a_list_that_is_none_is_refused_with_its_place(tmp_path: Path, name: str, content: bytes, wrong: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=wrong):
        entries(tmp_path / name)


def test_halves_of_characters_and_marks_within_a_text_lose_no_entry(tmp_path: Path) -> None:
    file = tmp_path / "list.jsonl"
    file.write_text('{"image": "0.jpg", "title": "Крем \\ud83d", "\\udcff": "a\u2028b\u0085"}\n{"image": "https://x/\\ud83d.jpg"}\r\n"1.jpg"')
    assert [(item.where, dict(item.extra)) for item in expand([str(file)], NO_STORE)] == [
        (tmp_path / "0.jpg", {"title": "Крем \ufffd", "\ufffd": "a\u2028b\u0085"}),
        ("https://x/\ufffd.jpg", {}),
        (tmp_path / "1.jpg", {}),
    ]


@pytest.mark.parametrize("suffix", [".json", ".jsonl"])
def test_an_array_of_json_is_a_list(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"list{suffix}"
    file.write_text(json.dumps([{"image": "1.jpg", "sku": "7"}, "2.jpg", {"sku": "8"}], indent=2))
    assert entries(file) == [("1.jpg", {"sku": "7"}), ("2.jpg", {}), ("", {"sku": "8"})]
    file.write_text('[{"image": "1.jpg"},\n')
    with pytest.raises(UserError, match=r"list\.jsonl?: .* or the file is an array of them"):
        entries(file)


@pytest.mark.parametrize("content", ["a.jpg\nb.jpg\n", "https://a.example/1,7\nhttps://a.example/2,8\n", "7;a.jpg\n8;b.jpg\n"])
def test_of_a_table_without_names_of_columns_it_is_said_what_it_lacks(tmp_path: Path, content: str) -> None:
    (tmp_path / "list.csv").write_text(content)
    with pytest.raises(UserError, match=r"names no columns: its first line is one of a photo .* names of the columns before it"):
        entries(tmp_path / "list.csv")


def test_rows_of_json_without_a_photo_cost_no_other_row(tmp_path: Path) -> None:
    """Exports leave out fields that have no value."""
    file = tmp_path / "list.jsonl"
    file.write_text('{"sku": "1"}\n{"sku": "2", "image": "2.jpg"}\n{}\n{"sku": "4"}\n{"sku": "5", "photo": "5.jpg"}\n')
    expected = [("", {"sku": "1"}), ("2.jpg", {"sku": "2"}), ("", {}), ("", {"sku": "4"}), ("5.jpg", {"sku": "5"})]
    assert entries(file) == expected
    with pytest.raises(UserError, match="no column shot; it has sku"):
        entries(file, "shot")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "cp1251"])
@pytest.mark.parametrize("mark", ["\t", ";", ","])
def test_a_table_that_is_called_txt_is_a_table(tmp_path: Path, mark: str, encoding: str) -> None:
    """Spreadsheets write tables of text with tabs so."""
    file = tmp_path / "list.txt"
    rows = [["Название", "Фото"], ["Крем, для рук", "1.jpg"], ["Чай", "sub/2.jpg"]]
    text = "\r\n".join(mark.join(f'"{cell}"' if "," in cell else cell for cell in row) for row in rows)
    file.write_bytes(f"{text}\r\n".encode(encoding))
    assert entries(file) == [("1.jpg", {"Название": "Крем, для рук"}), ("sub/2.jpg", {"Название": "Чай"})]
    assert [name for name, _ in entries(file, "Название")] == ["Крем, для рук", "Чай"]


@pytest.mark.parametrize("first", ["photo,1.jpg", "image;https://a.example/1.jpg", "my photo", "фото", "# image,sku"])
def test_a_first_line_that_is_no_header_is_an_entry_or_a_comment(tmp_path: Path, first: str) -> None:
    file = tmp_path / "list.txt"
    file.write_text(f"{first}\n2.jpg\n", encoding="utf-8")
    assert entries(file) == [(first, {})] * (not first.startswith("#")) + [("2.jpg", {})]


@pytest.mark.parametrize("around", ['""', "''", "<>"])
def test_marks_around_an_address_are_no_part_of_it(tmp_path: Path, around: str) -> None:
    file = tmp_path / "list.txt"
    written = f"{around[0]}https://a.example/1.jpg{around[1]}"
    file.write_text(f"{written}\n")
    (item,) = expand([str(file)], NO_STORE)
    assert (item.name, item.where) == (written, "https://a.example/1.jpg")


def test_a_comment_is_no_name_and_a_name_no_comment(tmp_path: Path) -> None:
    file = tmp_path / "list.txt"
    file.write_text("# 0.jpg\n#1.jpg\r\n#2 of all\n a\u2028b.jpg \n#\n")
    assert [name for name, _ in entries(file)] == ["#1.jpg", "a\u2028b.jpg"]


def test_a_photo_alone_in_a_list_of_json_is_that_photo(tmp_path: Path) -> None:
    file = tmp_path / "list.jsonl"
    file.write_text('{"images": ["0.jpg"]}\n{"images": "[1.jpg]"}\n{"images": [7]}\n')
    assert [name for name, _ in entries(file, "images")] == ["0.jpg", "[1.jpg]", "[7]"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("# ours\nhttps://a.example/1.jpg\n\n2.jpg\n", [("https://a.example/1.jpg", {}), ("2.jpg", {})]),
        ('{"image": "2.jpg", "sku": "7"}\n', [("2.jpg", {"sku": "7"})]),
        ('[\n {"image": "2.jpg", "sku": "7"}]\n', [("2.jpg", {"sku": "7"})]),
        ("sku;image\n7;2.jpg\n", [("2.jpg", {"sku": "7"})]),
        ("[1].jpg\n", [("[1].jpg", {})]),
    ],
    ids=["lines", "json", "a list of json", "a table", "a name like a list"],
)
def test_a_list_comes_over_standard_input_and_starts_at_the_current_folder(
    monkeypatch: pytest.MonkeyPatch, text: str, found: list[tuple[str, dict[str, str]]]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    assert entries("-") == found


def opened(items: list[Item]) -> list[JobImage | Unopened]:
    return list(upload(items, NO_STORE, most=2**20))


def test_an_entry_without_a_photo_has_a_row_that_says_so_and_a_blank_line_has_none(tmp_path: Path) -> None:
    file = tmp_path / "list.csv"
    file.write_text("sku;image\n;\n\n7;\n")
    (one,) = opened(list(expand([str(file)], NO_STORE)))
    assert isinstance(one, Unopened)
    assert (one.name, one.extra, one.failure.code) == (NAMELESS, {"sku": "7"}, ErrorCode.REFERENCE_INVALID)
    assert "names no photo" in one.failure.message
    (called,) = opened([Item("first", "")])
    assert called.name == "first"


@pytest.mark.parametrize(
    "cell",
    [
        "a.jpg, b c.jpg", "a.jpg|x\\b.PNG", "a.jpg;b.jpg?v=1;", '"a.jpg","b.jpg"', '["a.jpg", "b.jpg"]', '["https://e/1", "https://e/2"]',
        "https://e/1, https://e/2", "https://e/1?x=1|s3://e/2", "https://e/1.jpg,https://e/2.jpg", "a.jpg,https://e/2.jpg",
        ", ".join(f"photos/{number}.jpg" for number in range(99)),
    ],
)  # fmt: skip
def test_a_cell_with_several_photos_is_told_to_be_so(tmp_path: Path, cell: str) -> None:
    file = tmp_path / "list.jsonl"
    file.write_text(json.dumps({"image": cell, "sku": "7"}))
    (one,) = opened(list(expand([str(file)], NO_STORE)))
    assert isinstance(one, Unopened)
    assert "several: each photo needs a row of its own" in one.failure.message
    assert (one.name, one.extra) == (cell, {"sku": "7"})


@pytest.mark.parametrize(
    "reference",
    [
        "a,b.jpg", "photo, 1.jpg", "a.jpg", "a.jpg,", "[1].jpg", '["a.jpg"]', "https://e/w=3,h=4/a,b.jpg", "https://e/1.jpg?of=2.jpg,3.jpg",
        "https://e/w=300,https://e/1.jpg", "https://e/?of=https://e/1.jpg,https://e/2.jpg", "s3://b/a.jpg, b.jpg", "",
    ],
)  # fmt: skip
def test_marks_within_one_name_are_parts_of_it(reference: str) -> None:
    assert not names_several(reference)


@pytest.mark.parametrize(
    ("table", "column", "found"),
    [
        ("Photos, November\n\nsku;Фото\n7;a.jpg\n", None, [("a.jpg", {"sku": "7"})]),
        ("Photos\nFrom;Anna, B\nsku;Foto\n7;a.jpg\n", "foto", [("a.jpg", {"sku": "7"})]),
        ("sku;Sizes (w, h, d, mm);image\n7;1;a.jpg\n", None, [("a.jpg", {"sku": "7", "Sizes (w, h, d, mm)": "1"})]),
        ("image\nhttps://e.example/w_1,h_2/a.jpg\nhttps://e.example/w_3,h_4/b.jpg\n", None,
         [("https://e.example/w_1,h_2/a.jpg", {}), ("https://e.example/w_3,h_4/b.jpg", {})]),
    ],
)  # fmt: skip
def test_the_header_of_a_list_is_the_first_row_that_is_understood(
    tmp_path: Path, table: str, column: str | None, found: list[tuple[str, dict[str, str]]]
) -> None:
    file = tmp_path / "list.csv"
    file.write_text(table, encoding="utf-8")
    assert entries(file, column) == found


def test_columns_of_one_name_all_come_along(tmp_path: Path) -> None:
    file = tmp_path / "list.csv"
    file.write_text("image;name;name;Name;name (2);name;image;;\na.jpg;b;c;d;e;f;g.jpg;h;i\n")
    beside = {"name": "b", "name (2)": "c", "Name": "d", "name (2) (2)": "e", "name (3)": "f", "image (2)": "g.jpg"}
    assert entries(file) == [("a.jpg", beside)]
    table = pa.Table.from_arrays([pa.array(["a.jpg"]), pa.array(["b"]), pa.array(["c"])], names=["image", "name", "name"])
    parquet.write_table(table, tmp_path / "list.parquet")
    assert entries(tmp_path / "list.parquet") == [("a.jpg", {"name": "b", "name (2)": "c"})]


def test_a_row_of_a_list_is_no_header(tmp_path: Path) -> None:
    file = tmp_path / "list.csv"
    file.write_text("снято;вид\na.jpg;фото\nb.jpg;фото\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"no column of photos .*; it has снято, вид"):
        entries(file)


def test_a_file_may_be_called_like_several(tmp_path: Path) -> None:
    (tmp_path / "a.jpg, b.jpg").mkdir()  # anything that is there: no store is needed to tell
    (tmp_path / "list.txt").write_text("a.jpg, b.jpg\na.jpg, c.jpg")
    there, several = opened(list(expand([str(tmp_path / "list.txt")], NO_STORE)))
    assert isinstance(there, Unopened)
    assert isinstance(several, Unopened)
    assert there.failure.message == "it is no regular file"
    assert several.failure.message.startswith("no file has this name")
