"""What shops write into the fields of feeds and tables, and what they say that is nothing."""

from __future__ import annotations

import io

import pytest

from packsight.indexer.feed.offers import Faults, Item
from packsight.indexer.feed.pictures import pictures_in
from packsight.indexer.feed.source import read_xml
from packsight.indexer.feed.table import read_table

ADDRESS = "https://e.example/"


def of_xml(text: str) -> tuple[list[Item], tuple[str, ...]]:
    faults = Faults()
    return list(read_xml(io.BytesIO(text.encode()), "feed.xml", faults)), faults.notes()


def of_table(text: str) -> tuple[list[Item], tuple[str, ...]]:
    faults = Faults()
    stream = io.BufferedReader(io.BytesIO(text.encode()))
    return list(read_table(stream, "table.csv", faults, mapping={})), faults.notes()


def offered(fields: str, attributes: str = 'id="1"') -> str:
    return f"<yml_catalog><shop><offers><offer {attributes}><name>A</name>{fields}</offer></offers></shop></yml_catalog>"


def ids(items: list[Item]) -> list[str]:
    return [item.offer.product.id for item in items if item.offer]


def names(items: list[Item]) -> list[str]:
    return [item.offer.product.name for item in items if item.offer]


@pytest.mark.parametrize(
    ("fields", "pictures"),
    [
        (f"<image>{ADDRESS}1.jpg</image>", ["1.jpg"]),
        (f"<imageUrl>{ADDRESS}1.jpg</imageUrl>", ["1.jpg"]),
        (f"<image_link>{ADDRESS}1.jpg</image_link>", ["1.jpg"]),
        (f"<picture1>{ADDRESS}1.jpg</picture1><picture2>{ADDRESS}2.jpg</picture2>", ["1.jpg", "2.jpg"]),
        (f'<picture url="{ADDRESS}1.jpg"/><picture src="{ADDRESS}2.jpg"/>', ["1.jpg", "2.jpg"]),
        (f"<picture>{ADDRESS}1.jpg</picture><image>{ADDRESS}small.jpg</image>", ["1.jpg"]),
        (f'<images><image>{ADDRESS}1.jpg</image><image url="{ADDRESS}2.jpg"/></images>', ["1.jpg", "2.jpg"]),
        (f"<images><image><url>{ADDRESS}1.jpg</url><alt>Крем</alt></image></images>", ["1.jpg"]),
        (f"<picture>{ADDRESS}1.jpg ! alt : Крем ! title : Крем</picture>", ["1.jpg"]),
        (f"<picture>{ADDRESS}1.jpg&lt;br&gt;{ADDRESS}2.jpg</picture>", ["1.jpg", "2.jpg"]),
        (f"<picture>{ADDRESS}1<br/>{ADDRESS}2</picture>", ["1", "2"]),
        (f"<picture>{ADDRESS}a!b.jpg</picture>", ["a!b.jpg"]),
        (f"<picture>{ADDRESS}<b/>1.jpg</picture>", ["1.jpg"]),
        (f"<picture>{ADDRESS}1.jpg<BR/>{ADDRESS}2.jpg</picture>", ["1.jpg", "2.jpg"]),
    ],
)
def test_pictures_of_yml_are_found_however_elements_name_them(fields: str, pictures: list[str]) -> None:
    (item,), notes = of_xml(offered(fields))
    assert item.offer is not None
    assert item.offer.pictures == tuple(ADDRESS + one for one in pictures)
    assert not notes


def test_a_picture_of_google_may_stand_in_an_attribute_or_in_elements() -> None:
    for field in (f'<image_link href="{ADDRESS}1.jpg"/>', f"<images><image>{ADDRESS}1.jpg</image></images>"):
        (item,), _ = of_xml(f"<rss><channel><item><id>1</id><title>A</title>{field}</item></channel></rss>")
        assert item.offer is not None
        assert item.offer.pictures == (f"{ADDRESS}1.jpg",)


@pytest.mark.parametrize("root", ["shop", "offers"])
def test_the_parts_of_yml_may_be_handed_over_alone(root: str) -> None:
    offer = f'<offer id="1"><name>A</name><picture>{ADDRESS}1.jpg</picture></offer>'
    items, _ = of_xml(f"<{root}>{offer if root == 'offers' else f'<offers>{offer}</offers>'}</{root}>")
    assert ids(items) == ["1"]


def test_an_offer_may_have_its_id_in_an_element_and_its_name_in_several_languages() -> None:
    codes = "<barcodes><barcode>46</barcode><barcode>47</barcode></barcodes>"
    fields = f"<id>7</id><name_ua>Крем для рук</name_ua><vendor>РОЗА</vendor>{codes}"
    items, notes = of_xml(offered(fields, "").replace("<name>A</name>", ""))
    assert (ids(items), names(items)) == (["7"], ["Крем для рук"])
    assert items[0].offer is not None
    assert items[0].offer.product.barcodes == ("46", "47")
    assert not notes


def test_an_id_that_stands_for_nothing_leaves_that_of_the_element() -> None:
    items, notes = of_xml(offered("<id>5</id>", 'id="NULL"'))
    assert (ids(items), notes) == (["5"], ())


def test_offers_without_a_name_are_counted() -> None:
    _, notes = of_xml(offered("").replace("<name>A</name>", ""))
    assert notes == ("offers without a name: 1 (first: id 1)",)


@pytest.mark.parametrize(
    ("cell", "pictures"),
    [
        ('[{"path": "/upload/1a2", "alt": "Крем"}]', ["/upload/1a2"]),
        ('{"src": "img/7f", "name": "Крем"}', ["img/7f"]),
        ('{"0": "/a/b", "1": "/c/d"}', ["/a/b", "/c/d"]),
        ('{"url": "/a", "tags": ["крем"]}', ["/a"]),
        ('{"images": [{"src": "/x/1"}, {"src": "/x/2"}]}', ["/x/1", "/x/2"]),
        ('{"alt": "Крем"}', []),
        ("#VALUE!", []), ("#ССЫЛКА!", []), ("undefined", []), ("#1.jpg", ["#1.jpg"]),
        ("p/1.jpg p/2.jpg", ["p/1.jpg", "p/2.jpg"]), ("1.jpg\t2.jpg", ["1.jpg", "2.jpg"]), ("photo 1.jpg", ["photo 1.jpg"]),
        ("1.jpg (2).jpg", ["1.jpg (2).jpg"]), ("a 1.jpg, b 2.jpg", ["a 1.jpg", "b 2.jpg"]),
    ],
)  # fmt: skip
def test_a_cell_names_pictures_and_nothing_else(cell: str, pictures: list[str]) -> None:
    assert pictures_in(cell) == pictures


def test_texts_that_were_spoilt_when_they_were_written_are_mended_and_told() -> None:
    spoilt = "Крем для рук".encode().decode("cp1251")
    items, notes = of_xml(offered("").replace("A", spoilt))
    assert names(items) == ["Крем для рук"]
    assert notes == (
        "texts that were spoilt when they were written, and are read as what they were; export them in their own encoding: 1 "
        f"(first: “{spoilt}” as “Крем для рук”)",
    )


@pytest.mark.parametrize(
    "table",
    [
        "Код;Наименование;Фото\n1;Крем для рук;1.jpg\n".encode().decode("cp1251", "ignore"),
        "Код;Наименование;Фото\n1;Крем для рук;1.jpg\n".encode("cp1251").decode("cp1252"),
        "\ufeff".encode().decode("cp1252") + "id;name;picture\n1;Крем для рук;1.jpg\n",
    ],
    ids=["UTF-8 as Windows-1251", "Windows-1251 as Windows-1252", "byte order mark"],
)
def test_a_header_that_was_spoilt_is_understood(table: str) -> None:
    items, _ = of_table(table)
    assert (ids(items), names(items)) == (["1"], ["Крем для рук"])


@pytest.mark.parametrize("name", ["???? ??? ???", "\ufffd\ufffd\ufffd", "пїЅпїЅпїЅ"])
def test_letters_that_were_lost_are_told(name: str) -> None:
    items, notes = of_table(f"id;name;picture\n1;{name};1.jpg\n")
    assert names(items) == [name]
    assert notes == (f"texts whose letters were lost when they were written; export them as UTF-8: 1 (first: “{name}”)",)


def test_question_marks_behind_a_word_are_no_lost_letters() -> None:
    assert not of_table("id;name;picture\n1;What???;1.jpg\n")[1]


@pytest.mark.parametrize("word", ["#N/A", "#Н/Д", "#ССЫЛКА!", "null", "NaN", "None", "-", "---", r"\N"])
def test_what_stands_for_nothing_is_no_id_and_no_name(word: str) -> None:
    items, notes = of_table(f"id;name;picture\n{word};A;1.jpg\n{word};B;2.jpg\n3;{word};3.jpg\n")
    assert (ids(items), names(items)) == (["3"], [""])
    assert notes == ("rows without an id, left out: 2 (first: line 2)",)


def test_what_a_spreadsheet_has_made_of_numbers_is_told() -> None:
    items, notes = of_table("Код;Фото;Штрихкод\n01.мар;1.jpg;4,6E+12\n2026-03-01;2.jpg;'0460000000001\n")
    assert [item.offer.product.barcodes for item in items if item.offer] == [(), ("0460000000001",)]
    assert notes == (
        "ids that a spreadsheet has taken for dates; format the column as text and write them again: 2 (first: 01.мар in line 2)",
        "barcodes that a spreadsheet has shortened, left out; format the column as text and export it again: 1 (first: 4,6E+12)",
    )


def test_a_name_that_links_to_a_picture_stays_a_name() -> None:
    cells = f'<td>1</td><td><a href="{ADDRESS}a">фото</a></td><td><a href="{ADDRESS}b.jpg">Крем</a></td>'
    items, _ = of_table(f"<table><tr><td>Код</td><td>Фото</td><td>Наименование</td></tr><tr>{cells}</tr></table>")
    assert names(items) == ["Крем"]
    assert items[0].offer is not None
    assert items[0].offer.pictures == (f"{ADDRESS}a",)


def test_of_a_picture_that_links_to_a_larger_one_that_is_taken() -> None:
    assert pictures_in(f'<a href="{ADDRESS}1.jpg"><img src="{ADDRESS}1-150x150.jpg"></a>') == [f"{ADDRESS}1.jpg"]
    assert pictures_in(f'<a href="{ADDRESS}p"><img src="{ADDRESS}1.jpg"></a>') == [f"{ADDRESS}1.jpg"]


def test_titles_of_sections_are_no_products() -> None:
    items, notes = of_table("Код;Наименование;Фото\nУход за кожей;;\n1;Крем;1.jpg\nИтого;;\n2;;\n")
    assert ids(items) == ["1", "2"]
    assert notes == (
        "rows that are words alone, taken for titles of what is below or totals and left out: 2 "
        "(first: “Уход за кожей” in line 2)",
    )


def test_one_word_in_small_latin_letters_is_an_id_though_it_stands_alone() -> None:
    items, notes = of_table("Handle;Title;Image Src\nsoap;;\ncream;Cream;1.jpg\n")
    assert ids(items) == ["soap", "cream"]
    assert not any("titles" in note for note in notes)
