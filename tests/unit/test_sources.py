from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from packsight.producer.sources import Item, expand, single, spelt
from packsight.shared.contract.errors import UserError
from packsight.shared.tables.labels import read_labels
from packsight.shared.tables.table import read_table

NO_STORE: Any = None


def names(*sources: str, column: str | None = None, skipped: Counter[str] | None = None) -> list[str]:
    return [item.name for item in expand(sources, store=NO_STORE, column=column, skipped=skipped)]


def wheres(*sources: str, column: str | None = None) -> list[Path | str]:
    return [item.where for item in expand(sources, store=NO_STORE, column=column)]


def test_a_folder_gives_its_photos_in_order_of_their_paths_and_counts_the_rest(tmp_path: Path) -> None:
    for name in ("b.jpg", "a/2.HEIC", "a/1.avif", "a/3.hif", "a/notes.txt", ".hidden/3.jpg", "a/._1.jpg", "z.jpeg", "model.pt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    skipped: Counter[str] = Counter()
    found = names(str(tmp_path), skipped=skipped)
    assert [os.path.relpath(name, tmp_path) for name in found] == ["b.jpg", "z.jpeg", "a/1.avif", "a/2.HEIC", "a/3.hif"]
    assert skipped == {".txt": 1, ".*.jpg": 1, ".pt": 1, ".hidden/": 1}


def test_a_prefix_leaves_out_what_a_folder_does() -> None:
    class Store:
        def list(self, prefix: str, *, bucket: str) -> list[str]:
            keys = (
                "card/", "card/1.JPG", "card/._1.JPG", "card/@eaDir/1.JPG", "card/.trash/a/1.jpg", "card/sub//2.jpg",
                "card/notes", ".own/3.jpg", "card/._4.jpg", "shot.jpg", "shot2.jpg", "shot.old/5.jpg", "shot.old/@eaDir/5.jpg",
            )  # fmt: skip
            return [key for key in keys if key.startswith(prefix)]

    def keys(source: str, skipped: Counter[str]) -> list[str]:
        store: Any = Store()
        return [item.name for item in expand([source], store, skipped=skipped)]

    skipped: Counter[str] = Counter()
    assert keys("s3://bucket/card/", skipped) == ["s3://bucket/card/1.JPG", "s3://bucket/card/sub//2.jpg"]
    assert skipped == {".*.jpg": 2, "@eaDir/": 1, ".trash/": 1, "notes": 1}
    assert keys("s3://bucket/.own/", skipped) == ["s3://bucket/.own/3.jpg"], "what is named is meant"
    begun = ["s3://bucket/shot.jpg", "s3://bucket/shot2.jpg", "s3://bucket/shot.old/5.jpg"]
    assert keys("s3://bucket/shot", skipped) == begun, "a prefix may end within a name"
    assert keys("s3://bucket/.ow", skipped) == ["s3://bucket/.own/3.jpg"]
    assert keys("s3://bucket/card/._4.jpg", skipped) == ["s3://bucket/card/._4.jpg"]


@pytest.mark.parametrize("begin", ["file://", "FILE://localhost", "file:"])
def test_addresses_of_files_of_this_machine_are_their_paths(tmp_path: Path, begin: str) -> None:
    photo = tmp_path / "50% a#b?é.jpg"
    photo.write_bytes(b"x")
    address = f"{begin}{tmp_path}/50%25%20a%23b%3F%C3%A9.jpg"
    assert wheres(address) == [photo]
    assert single(address) == Item(str(photo), photo)
    listed = tmp_path / "photos.txt"
    listed.write_text(f"{address}\nfile://server/share/1.jpg\n")
    assert wheres(str(listed)) == [photo, "file://server/share/1.jpg"]
    assert names(str(listed))[0] == address


def test_a_file_that_is_named_is_taken_whatever_its_suffix(tmp_path: Path) -> None:
    file = tmp_path / "upload.bin"
    file.write_bytes(b"x")
    assert wheres(str(file)) == [file]
    assert single(str(file)) == Item(str(file), file)


def test_a_path_names_a_file_where_its_text_would_be_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("-").write_bytes(b"x")
    assert wheres(spelt(Path("-"))) == [Path("-")]
    assert single(spelt(Path("-"))).where == Path("-")
    assert spelt("-") == "-"


def test_a_list_holds_one_reference_per_line_and_comments(tmp_path: Path) -> None:
    file = tmp_path / "photos.txt"
    file.write_text("﻿# our photos\nhttps://example.com/a.jpg#top\n\n  sub/b.jpg  \ns3://bucket/c.jpg\n", encoding="utf-8")
    assert wheres(str(file)) == ["https://example.com/a.jpg#top", tmp_path / "sub/b.jpg", "s3://bucket/c.jpg"]
    assert names(str(file)) == ["https://example.com/a.jpg#top", "sub/b.jpg", "s3://bucket/c.jpg"]


@pytest.mark.parametrize(("suffix", "delimiter"), [(".csv", ","), (".csv", ";"), (".tsv", "\t")])
def test_a_table_is_read_by_its_column(tmp_path: Path, suffix: str, delimiter: str) -> None:
    file = tmp_path / f"table{suffix}"
    rows = [["id", "Picture", "note"], ["1", "https://example.com/1,2.jpg", "x"], ["", "", ""], ["3", "local.png", ""]]
    file.write_text("\n".join(delimiter.join(f'"{cell}"' for cell in row) for row in rows))
    assert wheres(str(file)) == ["https://example.com/1,2.jpg", tmp_path / "local.png"]


def test_a_column_of_pictures_goes_before_one_of_pages(tmp_path: Path) -> None:
    file = tmp_path / "table.csv"
    file.write_text("url,image_link\nhttps://shop/1,https://cdn/1.jpg\n")
    assert wheres(str(file)) == ["https://cdn/1.jpg"]
    file.write_text("url\nhttps://cdn/2.jpg\n")
    assert wheres(str(file)) == ["https://cdn/2.jpg"]


def test_the_column_can_be_named(tmp_path: Path) -> None:
    file = tmp_path / "table.csv"
    file.write_text("image,foto\nhttps://a/1.jpg,https://b/1.jpg\n")
    assert wheres(str(file), column="Foto") == ["https://b/1.jpg"]
    assert wheres(str(file)) == ["https://a/1.jpg"]
    with pytest.raises(UserError, match=r"no column bild; it has image, foto.*--column"):
        names(str(file), column="bild")


def test_addresses_are_taken_as_they_are() -> None:
    assert wheres("https://example.com/a.jpg?x=1") == ["https://example.com/a.jpg?x=1"]
    assert single("s3://bucket/key").where == "s3://bucket/key"


@pytest.mark.parametrize("source", ["no-such-folder", "", "s3:///key"])
def test_what_does_not_exist_is_refused(source: str) -> None:
    with pytest.raises(UserError):
        names(source)


def test_one_photo_is_not_a_folder(tmp_path: Path) -> None:
    (folder := tmp_path / "my photos").mkdir()
    with pytest.raises(UserError, match=f"is a folder. `packsight submit '{folder}' --wait`"):
        single(str(folder))


def test_tables_that_are_no_text_are_refused(tmp_path: Path) -> None:
    for content, cause in (("image\nКрем\n".encode() + b"\xff\n", "line 2: byte 0xff in utf-8"), (b"", "empty")):
        file = tmp_path / "table.csv"
        file.write_bytes(content)
        with pytest.raises(UserError, match=cause):
            list(read_table(file))


def test_rows_shorter_or_longer_than_the_header_are_read(tmp_path: Path) -> None:
    file = tmp_path / "table.csv"
    file.write_text("image,product_id,kind\na.jpg\nb.jpg,2,x,more,than,asked\n")
    assert list(read_table(file)) == [
        (2, {"image": "a.jpg", "product_id": "", "kind": ""}),
        (3, {"image": "b.jpg", "product_id": "2", "kind": "x"}),
    ]


def test_tables_that_were_joined_are_read_as_one(tmp_path: Path) -> None:
    (file := tmp_path / "table.csv").write_text(2 * "\ufeffimage,product_id\n\u200ba.jpg,\u20601\u200b\n")
    assert list(read_table(file)) == [(line, {"image": "a.jpg", "product_id": "1"}) for line in (2, 4)]


def test_names_that_are_not_utf8_become_printable_and_keep_their_file(tmp_path: Path) -> None:
    file = Path(os.fsdecode(os.fsencode(str(tmp_path)) + b"/\xcf\xf0.jpg"))
    file.write_bytes(b"x")
    (item,) = expand([str(tmp_path)], store=NO_STORE)
    item.name.encode("utf-8")
    assert isinstance(item.where, Path)
    assert item.where.read_bytes() == b"x"


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_tables_of_labels_may_name_their_columns_in_each_row(tmp_path: Path, suffix: str) -> None:
    rows: list[dict[str, object]] = [
        {"Image": "a.jpg", "Product_ID": 42.0}, {"Image": "b.jpg", "Product_ID": None}, {"Image": "c.jpg"}, {"Image": None},
    ]  # fmt: skip
    file = tmp_path / f"labels{suffix}"
    if suffix == ".parquet":
        parquet.write_table(pa.Table.from_pylist(rows), file)
    else:
        file.write_text("\n".join(map(json.dumps, rows)))
    read = read_labels(file)
    assert [(one.image, one.product_id, one.line) for one in read] == [("a.jpg", "42", 1), ("b.jpg", "", 2), ("c.jpg", "", 3)]


@pytest.mark.parametrize("header", ["filename;sku", "Имя файла;Артикул", "image_path;id", "path;product_id"])
def test_labels_may_name_files(tmp_path: Path, header: str) -> None:
    (tmp_path / "labels.csv").write_text(f"{header}\na.jpg;007\n", encoding="utf-8")
    assert [(label.image, label.product_id) for label in read_labels(tmp_path / "labels.csv")] == [("a.jpg", "007")]


def test_lines_that_are_no_rows_are_told(tmp_path: Path) -> None:
    (file := tmp_path / "labels.jsonl").write_text('{"image": "a.jpg", "product_id": 1}\n"b.jpg"\n')
    with pytest.raises(UserError, match=r"labels\.jsonl, line 2: no object\. Each line holds one JSON object"):
        read_labels(file)
    (file := tmp_path / "labels.parquet").write_bytes(b"no such thing")
    with pytest.raises(UserError, match="is no Parquet file"):
        read_labels(file)
