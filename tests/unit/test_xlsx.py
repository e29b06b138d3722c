"""What cells of .xlsx show and lead to, beside their values."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from packsight.indexer.feed.offers import Faults, Item, Offer
from packsight.indexer.feed.table import read_table
from packsight.producer.lists import read_list
from packsight.shared.tables.labels import read_labels
from packsight.shared.tables.workbook import records
from tests.unit.test_workbook import PARTS

OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
SPACE = f'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="{OFFICE}"'
PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"
STYLES = (
    r'<styleSheet {}><numFmts><numFmt numFmtId="164" formatCode="00000"/><numFmt numFmtId="165" formatCode="000\-000"/>'
    '<numFmt numFmtId="166" formatCode="[Red]&quot;A-&quot;0000;@"/><numFmt numFmtId="167" formatCode="0.00"/>'
    '<numFmt numFmtId="168" formatCode="0&quot; шт.&quot;"/></numFmts><cellStyleXfs><xf numFmtId="164"/></cellStyleXfs>'
    '<cellXfs><xf numFmtId="0"/>{}</cellXfs></styleSheet>'
).format(SPACE, "".join(f'<xf numFmtId="{number}"/>' for number in range(164, 169)))
DRAWING = (
    '<d:wsDr xmlns:d="drawing"><d:twoCellAnchor><d:from><d:col>1</d:col><d:colOff>9</d:colOff><d:row>{}</d:row>'
    "<d:rowOff>9</d:rowOff></d:from><d:to><d:col>2</d:col><d:row>9</d:row></d:to><d:pic/></d:twoCellAnchor></d:wsDr>"
)
NAMES = {"A1": "id", "B1": "Фото", "C1": "Название", "D1": "url"}


def text(place: str, content: str) -> str:
    return f'<c r="{place}" t="inlineStr"><is><t>{content}</t></is></c>'


def book(*rows: str, after: str = "", targets: tuple[str, ...] = (), parts: dict[str, str] | None = None) -> bytes:
    """A workbook with these rows below a header; after: what follows them; targets: of links h0, h1 …"""
    links = "".join(
        f'<Relationship Id="h{number}" Type="{OFFICE}/hyperlink" Target="{target}" TargetMode="External"/>'
        for number, target in enumerate(targets)
    )
    drawing = f'<Relationship Id="d" Type="{OFFICE}/drawing" Target="../drawings/drawing1.xml"/>'
    relations = PARTS["xl/_rels/workbook.xml.rels"]
    styles = f'<Relationship Id="s" Type="{OFFICE}/styles" Target="styles.xml"/></Relationships>'
    header = "".join(text(place, name) for place, name in NAMES.items())
    sheet = f'<worksheet {SPACE}><sheetData><row r="1">{header}</row>{"".join(rows)}</sheetData>{after}</worksheet>'
    whole = {
        **PARTS,
        "xl/_rels/workbook.xml.rels": relations.replace("</Relationships>", styles),
        "xl/styles.xml": STYLES,
        "xl/worksheets/sheet1.xml": sheet,
        "xl/worksheets/_rels/sheet1.xml.rels": f'<Relationships xmlns="{PACKAGE}">{links}{drawing}</Relationships>',
        **(parts or {}),
    }
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, content in whole.items():
            archive.writestr(name, content)
    return made.getvalue()


def items(data: bytes, faults: Faults | None = None) -> list[Item]:
    return list(read_table(io.BufferedReader(io.BytesIO(data)), "table.xlsx", faults or Faults(), mapping={}))


def read(data: bytes) -> tuple[dict[str, Offer], tuple[str, ...]]:
    faults = Faults()
    return {item.offer.product.id: item.offer for item in items(data, faults) if item.offer}, faults.notes()


@pytest.mark.parametrize(
    ("style", "value", "shown"),
    [(1, "123", "00123"), (1, "1234567", "1234567"), (2, "1234", "001-234"), (2, "1234567", "1234-567"), (3, "12", "A-0012"),
     (4, "12", "12"), (5, "12", "12"), (0, "12", "12"), (1, "12.5", "12.5")],
)  # fmt: skip
def test_a_number_that_is_shown_with_leading_zeros_has_them(style: int, value: str, shown: str) -> None:
    rows = list(records(book(f'<row r="2"><c r="A2" s="{style}"><v>{value}</v></c></row>'), "table"))
    assert rows[1][2][0] == shown


def test_cells_that_do_not_say_their_places_stand_one_after_the_other() -> None:
    rows = list(records(book('<row><c t="inlineStr"><is><t>x</t></is></c><c s="1"><v>7</v></c></row>'), "table"))
    assert rows[1][2][:2] == ["x", "00007"]


def test_a_link_is_the_picture_and_the_address_and_never_the_name() -> None:
    places = (("B2", "h0"), ("C2", "h0"), ("D2", "h1"))
    links = "".join(f'<hyperlink ref="{place}" r:id="{link}"/>' for place, link in places)
    row = f'<row r="2">{text("A2", "1")}{text("B2", "photo")}{text("C2", "Крем")}{text("D2", "сайт")}</row>'
    after = f"<hyperlinks>{links}</hyperlinks>"
    offers, notes = read(book(row, after=after, targets=("https://s.example/1.jpg", "https://s.example/p1")))
    assert (offers["1"].pictures, offers["1"].product.name) == (("https://s.example/1.jpg",), "Крем")
    assert offers["1"].product.url == "https://s.example/p1"
    assert not notes


def test_a_changed_link_is_a_changed_row() -> None:
    links = '<hyperlinks><hyperlink ref="B2" r:id="h0"/></hyperlinks>'
    row = f'<row r="2">{text("A2", "1")}{text("B2", "photo")}{text("C2", "Крем")}</row>'
    digests = {item.digest for name in "12" for item in items(book(row, after=links, targets=(f"https://s.example/{name}.jpg",)))}
    assert len(digests) == 2


@pytest.mark.parametrize(
    ("cell", "pictures"),
    [
        ('<c r="B2" t="str"><f>HYPERLINK("https://s.example/1.jpg","фото")</f><v>фото</v></c>', ("https://s.example/1.jpg",)),
        ('<c r="B2" t="e" vm="1"><f>_xlfn.IMAGE("https://s.example/1")</f><v>#VALUE!</v></c>', ("https://s.example/1",)),
        ('<c r="B2"><f>IMAGE(D2)</f></c>' + text("D2", "https://s.example/2"), ("https://s.example/2",)),
        ('<c r="B2"><f>IMAGE("https://s.example/1.jpg",4,80,80)</f></c>', ("https://s.example/1.jpg",)),
        ('<c r="B2" t="str"><f>HYPERLINK("#Sheet2!A1","b.jpg")</f><v>b.jpg</v></c>', ("b.jpg",)),
    ],
)
def test_formulas_of_links_and_pictures_lead_to_the_picture(cell: str, pictures: tuple[str, ...]) -> None:
    offers, notes = read(book(f'<row r="2">{text("A2", "1")}{cell}</row>'))
    assert offers["1"].pictures == pictures
    assert not notes


def test_a_formula_that_no_program_has_computed_shows_what_it_says() -> None:
    cell = '<c r="C2"><f>HYPERLINK("https://s.example/p","Крем &amp;amp; лосьон")</f></c>'
    offers, _ = read(book(f'<row r="2">{text("A2", "1")}{text("B2", "1.jpg")}{cell}</row>'))
    assert offers["1"].product.name == "Крем & лосьон"


@pytest.mark.parametrize(
    ("cell", "after", "parts"),
    [
        ('<c r="B2" t="e" vm="1"><v>#VALUE!</v></c>', "", {}),
        ('<c r="B2" t="str"><f>_xlfn.DISPIMG("ID_1",1)</f><v>=DISPIMG("ID_1",1)</v></c>', "", {}),
        ('<c r="B2"/>', '<drawing r:id="d"/>', {"xl/drawings/drawing1.xml": DRAWING.format(1)}),
    ],
    ids=["in the cell", "of WPS", "over the cell"],
)
def test_a_picture_that_lies_in_the_workbook_is_told_with_what_helps(cell: str, after: str, parts: dict[str, str]) -> None:
    offers, notes = read(book(f'<row r="2">{text("A2", "1")}{cell}{text("C2", "Крем")}</row>', after=after, parts=parts))
    assert offers["1"].pictures == ()
    assert len(notes) == 1
    assert "picture lies in the workbook itself and is not taken; save the pictures as files" in notes[0]
    assert "1 (first: line 2)" in notes[0]


def test_lists_and_labels_of_workbooks_name_what_links_lead_to(tmp_path: Path) -> None:
    links = '<hyperlinks><hyperlink ref="B2" r:id="h0"/></hyperlinks>'
    row = f'<row r="2">{text("A2", "1")}{text("B2", "photo")}</row>'
    file = tmp_path / "list.xlsx"
    file.write_bytes(book(row, after=links, targets=("photos/%D0%BA.jpg",)))
    assert [reference for reference, _ in read_list(file)] == ["photos/к.jpg"]
    assert [label.image for label in read_labels(file)] == ["photos/к.jpg"]


def test_a_drawing_that_is_not_there_hinders_nothing() -> None:
    offers, _ = read(book(f'<row r="2">{text("A2", "1")}{text("B2", "1.jpg")}</row>', after='<drawing r:id="d"/>'))
    assert offers["1"].pictures == ("1.jpg",)
