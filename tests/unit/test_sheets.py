"""Sheets of workbooks and their merged cells, and those of tables of web pages."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from packsight.indexer.feed.offers import FeedError
from packsight.shared.contract.errors import UserError
from packsight.shared.settings import Settings
from packsight.shared.tables.table import read_table
from tests.feeds import read_offers
from tests.unit.test_table import read

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"
CONTENT = "http://schemas.openxmlformats.org/package/2006/content-types"
KIND = "application/vnd.openxmlformats-officedocument.spreadsheetml"

Rows = Sequence[Sequence[str]]
HEADER = ("Артикул", "Фото", "Название")
GUIDE: Rows = [("Как заполнять", "см. второй лист")]
GOODS: Rows = [HEADER, ("7", "a.jpg", "Крем")]


def book(sheets: Mapping[str, Rows], *, merged: str = "", hidden: str = "") -> bytes:
    """A workbook of these sheets, in each of which the same cells are merged; one may be hidden."""

    def cells(number: int, row: Sequence[str]) -> str:
        at = (f"{chr(65 + index)}{number}" for index in range(len(row)))
        return "".join(
            f'<c r="{place}" t="inlineStr"><is><t>{text}</t></is></c>' for place, text in zip(at, row, strict=True) if text
        )

    parts = {
        "[Content_Types].xml": f'<Types xmlns="{CONTENT}"><Default Extension="rels" '
        'ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Override PartName="/xl/workbook.xml" '
        f'ContentType="{KIND}.sheet.main+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{PACKAGE}"><Relationship Id="a" Type="{RELATIONS}/officeDocument" '
        'Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{MAIN}" xmlns:r="{RELATIONS}"><sheets>'
        + "".join(
            f'<sheet name="{name}" sheetId="{number}" state="{"hidden" if name == hidden else "visible"}" r:id="r{number}"/>'
            for number, name in enumerate(sheets, start=1)
        )
        + "</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{PACKAGE}">'
        + "".join(
            f'<Relationship Id="r{number}" Type="{RELATIONS}/worksheet" Target="s{number}.xml"/>'
            for number, _ in enumerate(sheets, start=1)
        )
        + "</Relationships>",
    }
    for sheet, rows in enumerate(sheets.values(), start=1):
        data = "".join(f'<row r="{number}">{cells(number, row)}</row>' for number, row in enumerate(rows, start=1))
        spans = "".join(f'<mergeCell ref="{one}"/>' for one in merged.split())
        parts[f"xl/s{sheet}.xml"] = (
            f'<worksheet xmlns="{MAIN}"><sheetData>{data}</sheetData>{spans and f"<mergeCells>{spans}</mergeCells>"}</worksheet>'
        )
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            archive.writestr(name, text)
    return made.getvalue()


@pytest.mark.parametrize("guide", [GUIDE, [("Инструкция",), ("x", "y"), *[("Шаг",)] * 30], []])
def test_the_first_sheet_counts_whose_header_is_understood(guide: Rows) -> None:
    offers = read(book({"Инструкция": guide, "Шаблон": GOODS, "Старое": [HEADER, ("8", "b.jpg", "x")]}))
    assert [(offer.product.id, offer.product.name) for offer in offers.by_id.values()] == [("7", "Крем")]


def test_a_workbook_whose_parts_are_not_compressed_is_no_feed_in_xml(tmp_path: Path) -> None:
    file = tmp_path / "goods.xlsx"
    with zipfile.ZipFile(io.BytesIO(book({"Лист": GOODS}))) as packed, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as stored:
        for name in packed.namelist():
            stored.writestr(name, b'<?xml version="1.0"?>' + packed.read(name))
    assert list(read_offers(str(file), Settings(_env_file=None)).by_id) == ["7"]


def test_hidden_sheets_come_last() -> None:
    old: Rows = [HEADER, ("8", "b.jpg", "x")]
    assert list(read(book({"Старое": old, "Шаблон": GOODS}, hidden="Старое")).by_id) == ["7"]
    assert list(read(book({"Инструкция": GUIDE, "Старое": old}, hidden="Старое")).by_id) == ["8"]


def test_a_workbook_none_of_whose_sheets_is_understood_is_refused_with_all_of_them() -> None:
    other: Rows = [("Номер", "Снимок"), ("7", "a")]
    with pytest.raises(FeedError, match=r"no sheet .* “Инструкция” \(Как заполнять, см. .*\), “Шаблон” \(Номер, Снимок\)"):
        read(book({"Инструкция": GUIDE, "Шаблон": other}))
    assert list(read(book({"Инструкция": GUIDE, "Шаблон": other}), id="Номер", picture="Снимок").by_id) == ["7"]
    with pytest.raises(FeedError, match="has no column id and picture; it has Номер, Снимок"):
        read(book({"Шаблон": other}))
    with_addresses: Rows = [("7", "https://e.example/?id=7"), ("8", "https://e.example/?id=8")]
    assert list(read(book({"Шаблон": with_addresses})).by_id) == ["7", "8"]


def test_columns_under_a_merged_header_and_rows_beside_a_merged_cell_have_what_stands_in_it() -> None:
    rows: Rows = [
        ("", "Прайс-лист"),
        ("", "Артикул", "Изображения", "", "", "Название"),
        ("", "7", "a.jpg", "b.jpg", "", "Крем"),
        ("", "", "c.jpg"),
        ("", "8", "d.jpg", "", "e.jpg", "Мыло"),
    ]
    offers = read(book({"Лист": rows}, merged="B1:F1 C2:E2 B3:B4 F3:F4"))
    assert {identity: offer.pictures for identity, offer in offers.by_id.items()} == {
        "7": ("a.jpg", "b.jpg", "c.jpg"),
        "8": ("d.jpg", "e.jpg"),
    }
    assert offers.notes == ()


def test_a_header_of_two_lines_is_no_product() -> None:
    rows: Rows = [("Артикул", "Фото", ""), ("", "1", "2"), ("7", "a.jpg", "b.jpg")]
    offers = read(book({"Лист": rows}, merged="A1:A2 B1:C1"))
    assert {identity: offer.pictures for identity, offer in offers.by_id.items()} == {"7": ("a.jpg", "b.jpg")}


def zipped(*names: str) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return made.getvalue()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (zipped("[Content_Types].xml", "word/document.xml"), "is a document of Word, which is not read. Save its table as"),
        (zipped("Index/Document.iwa", "preview.jpg"), "is a document of Numbers, or"),
        (book({"Лист": GOODS})[:-300], r"is a broken ZIP file.* and copy it whole"),
    ],
    ids=["word", "numbers", "cut"],
)
def test_what_is_no_workbook_is_called_by_its_name_and_a_cut_one_is_said_to_be_broken(
    data: bytes, said: str, tmp_path: Path
) -> None:
    file = tmp_path / "feed.xlsx"
    file.write_bytes(data)
    with pytest.raises(FeedError, match=said):
        read_offers(str(file), Settings(_env_file=None))
    with pytest.raises(UserError, match=said):
        list(read_table(file))


PAGE = """<table><tr><th rowspan=2>Артикул</th><th colspan=3>Фото</th><th rowspan=2>Название</th></tr><tr><th>1<th>2<th>3</tr>
<tr><td rowspan="2">7<td>a.jpg<td>b.jpg<td><td rowspan=2>Крем<tr><td>c.jpg<td>d.jpg</tr>
<tr><td>8<td>e.jpg</table>"""


def test_cells_of_a_page_that_span_rows_or_columns_count_in_each() -> None:
    offers = read(PAGE)
    assert {identity: offer.pictures for identity, offer in offers.by_id.items()} == {
        "7": ("a.jpg", "b.jpg", "c.jpg", "d.jpg"),
        "8": ("e.jpg",),
    }
    assert (offers.by_id["7"].product.name, offers.notes) == ("Крем", ())


@pytest.mark.parametrize(
    ("cell", "pictures"),
    [
        ('<a href="https://e.example/a.jpg?v=1">фото</a>', ("https://e.example/a.jpg?v=1",)),
        ('<img src="a.jpg"><img src="b.jpg">', ("a.jpg", "b.jpg")),
        ('<a href="a.jpg"><img src="small/a.jpg"></a><img src="b.jpg">', ("a.jpg", "b.jpg")),
        ('<a href="/goods/7"><img src="a.jpg"></a>', ("a.jpg",)),
        ('<a href="/image?id=7"></a>', ("/image?id=7",)),
        ('a.jpg <img src="icon.png">', ("a.jpg",)),
    ],
)
def test_a_cell_of_a_page_is_the_pictures_that_it_links_to_or_shows(cell: str, pictures: tuple[str, ...]) -> None:
    table = '<table><tr><th>id<th>picture<th>name<tr><td>7<td>{}<td><a href="/goods/7">Крем</a></table>'
    offer = read(table.format(cell)).by_id["7"]
    assert (offer.pictures, offer.product.name) == (pictures, "Крем")
