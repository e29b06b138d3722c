"""Feeds as shops really write them, and as attackers would."""

from __future__ import annotations

import gzip
import io
import os
import resource
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packsight.indexer.feed.offers import Faults, FeedError, Offer
from packsight.indexer.feed.source import check_readable, read_xml, reference_of
from packsight.shared.settings import Catalog, Settings
from tests.feeds import read_offers
from tests.servers import packed
from tests.unit.test_exports import sheet

FULL = """<?xml version="1.0" encoding="{encoding}"?>
<!DOCTYPE yml_catalog SYSTEM "shops.dtd">
<yml_catalog date="2026-11-01 09:00"><shop>
<categories><category id="1">Косметика</category><category id="2" parentId="1">Кремы</category></categories>
<offers>
<offer id="7" type="vendor.model" available="true">
 <url>https://shop.example/p/7?utm_source=feed&amp;utm_term=A-7</url>
 <price>900</price><oldprice>1200</oldprice><currencyId>RUB</currencyId><categoryId>2</categoryId>
 <picture>photos/7 a.jpg</picture><picture>https://cdn.example/7b.jpg</picture><picture>photos/7 a.jpg</picture>
 <typePrefix>Крем</typePrefix><vendor>Чистая Линия</vendor><model>Ночной  уход</model>
 <barcode>4600000000017</barcode><barcode>4600000000024</barcode>
 <description><![CDATA[<p>Для <b>сухой</b> кожи</p><p>50&nbsp;мл</p>]]></description>
 <param name="Объём" unit="мл">50</param>
</offer>
<offer id="8" available="false"><name>Soap &#38; water</name><vendorCode>S-8</vendorCode></offer>
</offers></shop></yml_catalog>"""


def wrapped(offers: str) -> bytes:
    return f"<yml_catalog><shop><offers>{offers}</offers></shop></yml_catalog>".encode()


def read(data: bytes, *, unavailable: bool = True) -> list[Offer]:
    items = read_xml(io.BytesIO(data), "feed.xml", Faults(), unavailable=unavailable)
    return [item.offer for item in items if item.offer is not None]


def from_file(file: Path, data: bytes, **limits: int) -> dict[str, Offer]:
    settings = Settings(_env_file=None, catalog=Catalog(**limits))
    file.write_bytes(data)
    return read_offers(str(file), settings).by_id


@pytest.mark.parametrize("encoding", ["utf-8", "windows-1251"])
def test_every_field_of_an_offer_is_read_in_both_encodings(encoding: str) -> None:
    offer, other = read(FULL.format(encoding=encoding).encode(encoding))
    product = offer.product
    assert product.name == "Крем Чистая Линия Ночной уход"
    assert (product.type_prefix, product.vendor, product.model) == ("Крем", "Чистая Линия", "Ночной уход")
    assert (product.price, product.old_price, product.currency, product.category) == ("900", "1200", "RUB", "Кремы")
    assert product.barcodes == ("4600000000017", "4600000000024")
    assert product.description == "Для сухой кожи 50 мл. Объём: 50 мл"
    assert product.vendor_code == "A-7"
    assert offer.pictures == ("photos/7 a.jpg", "https://cdn.example/7b.jpg")
    assert product.picture == "photos/7 a.jpg"
    assert (other.product.name, other.product.vendor_code) == ("Soap & water", "S-8")


def test_offers_that_are_not_available_can_be_left_out() -> None:
    assert [offer.product.id for offer in read(FULL.format(encoding="utf-8").encode(), unavailable=False)] == ["7"]


def test_a_vendor_code_falls_back_to_the_url_and_then_to_the_id() -> None:
    offers = read(
        wrapped(
            '<offer id="1"><url>https://e.example/?utm_term=T1</url></offer>'
            '<offer id="2"><url>https://e.example/</url></offer><offer id="3"><url>http://[broken</url></offer>'
        )
    )
    assert [offer.product.vendor_code for offer in offers] == ["T1", "2", "3"]


def test_a_byte_order_mark_before_a_cp1251_declaration_does_not_hurt() -> None:
    data = b"\xef\xbb\xbf" + FULL.format(encoding="windows-1251").encode("utf-8")
    assert read(data)[0].product.vendor == "Чистая Линия"


def test_a_bare_ampersand_is_reported_with_its_line_and_offer() -> None:
    data = wrapped(
        '<offer id="1"><name>a</name></offer>\n<offer id="2">\n<url>https://e.example/?a=1&b=2</url></offer>'
    )
    with pytest.raises(FeedError, match=r"line 3, in or after offer '2'"):
        read(data)


def test_a_truncated_feed_is_an_error_that_names_the_last_offer() -> None:
    with pytest.raises(FeedError, match="offer '7'"):
        read(FULL.format(encoding="utf-8").encode()[:900])


@pytest.mark.parametrize("encoding", ["utf-8", "windows-1251"])
def test_wherever_a_feed_is_cut_off_it_ends_too_early(encoding: str) -> None:
    whole = FULL.format(encoding=encoding).encode(encoding).rstrip()
    for end in range(whole.index(b"<shop"), len(whole)):
        with pytest.raises(FeedError, match="ends too early, in line"):
            read(whole[:end])


def test_what_is_left_open_in_a_whole_feed_is_no_early_end() -> None:
    with pytest.raises(FeedError, match="not well-formed"):
        read(wrapped('<offer id="1"><name><![CDATA[a</name></offer>'))


def test_items_of_google_are_named_by_their_own_id() -> None:
    item = "<item><g:id>{}</g:id><title>{}</title></item>"
    feed = '<rss xmlns:g="http://base.google.com/ns/1.0"><channel>{}</channel></rss>'
    with pytest.raises(FeedError, match="in or after offer 'b'"):
        read(feed.format(item.format("a", "Cream") + item.format("b", "A & B")).encode())
    with pytest.raises(FeedError, match="ends too early, in line 1, in or after offer 'a'"):
        read(feed.format(item.format("a", "Cream") + "<item><g:id").encode().partition(b"</channel")[0])


@pytest.mark.parametrize("location", ["ftp://shop.example/feed.xml", "file:///srv/feed.xml"])
def test_a_feed_is_not_read_from_everywhere_and_this_is_said(location: str) -> None:
    with pytest.raises(FeedError, match=r"not read from (ftp|file)://\. Name a file"):
        check_readable(location)


def test_an_address_in_capitals_is_none_of_a_file() -> None:
    check_readable("HTTPS://shop.example/feed.xml")


def test_a_feed_whose_name_is_not_utf8_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(FeedError, match="is not written in UTF-8"):
        check_readable(f"{tmp_path}/\udcff.xml")


def test_something_else_than_a_feed_is_named(tmp_path: Path) -> None:
    with pytest.raises(FeedError, match="<html>"):
        read(b"<html><body>Log in</body></html>")
    with pytest.raises(FeedError, match="cannot be read"):
        from_file(tmp_path / "missing" / "x", b"") if (tmp_path / "missing").exists() else read_offers(
            str(tmp_path / "nowhere.xml"), Settings(_env_file=None)
        )


def test_a_feed_without_offers_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FeedError, match="no offers"):
        from_file(tmp_path / "feed.xml", wrapped(""))


def test_of_offers_with_the_same_id_the_last_stands_and_they_are_counted(tmp_path: Path) -> None:
    settings = Settings(_env_file=None)
    file = tmp_path / "feed.xml"
    file.write_bytes(
        wrapped(
            '<offer id="1"><name>old</name></offer><offer><name>nobody</name></offer><offer id="1"><name>new</name></offer>'
        )
    )
    offers = read_offers(str(file), settings)
    assert [offer.product.name for offer in offers.by_id.values()] == ["new"]
    assert any(note.startswith("offers whose id came before") and ": 1 " in note for note in offers.notes)
    assert any(note.startswith("offers without an id") for note in offers.notes)


def test_a_feed_packed_with_gzip_is_read(tmp_path: Path) -> None:
    assert set(from_file(tmp_path / "feed.bin", gzip.compress(FULL.format(encoding="utf-8").encode()))) == {"7", "8"}


def test_a_gzip_file_that_ends_early_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FeedError, match="broken gzip"):
        from_file(tmp_path / "feed.gz", gzip.compress(FULL.format(encoding="utf-8").encode())[:-200])


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return made.getvalue()


YML = FULL.format(encoding="utf-8").encode()
TABLE = "Артикул;Фото\n7;a.jpg\n8;b.jpg\n".encode("cp1251")
BESIDE = {"export/": b"", "__MACOSX/._feed": b"x", "export/.DS_Store": b"x"}


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("feed", [YML, TABLE, gzip.compress(YML), sheet([["Артикул", "Фото"], ["7", "a.jpg"], ["8", ""]])])
def test_a_feed_alone_in_a_zip_file_is_read(tmp_path: Path, feed: bytes, method: int) -> None:
    data = zipped({**BESIDE, "export/выгрузка": feed}, method)
    assert set(from_file(tmp_path / "feed.zip", data)) == {"7", "8"}
    assert set(from_file(tmp_path / "feed.gz", gzip.compress(data))) == {"7", "8"}


@pytest.mark.parametrize("name", ["goods.csv", "goods.XML", "goods"])
def test_beside_a_feed_may_lie_what_is_none(tmp_path: Path, name: str) -> None:
    beside = {"Thumbs.db": b"x", "desktop.ini": b"x", "photos/1.jpg": b"x", "readme.txt": b"x"} if "." in name else {}
    data = zipped({**beside, "~$goods.xlsx": b"x", name: YML})
    assert set(from_file(tmp_path / "feed.zip", data)) == {"7", "8"}
    with pytest.raises(FeedError, match="ZIP file of 2 files"):
        from_file(tmp_path / "feed.zip", zipped({"a.csv": TABLE, "b.csv": TABLE}))


@pytest.mark.parametrize("root", ['rss version="2.0"', 'feed xmlns="http://www.w3.org/2005/Atom"'])
def test_a_feed_of_google_that_forgot_what_its_prefix_means_is_read(root: str) -> None:
    tag, item = ("rss", "item") if root.startswith("rss") else ("feed", "entry")
    feed = f"<?xml version='1.0'?>\n<{root}><{item}><id>x</id><g:id>7</g:id><title>A</title></{item}></{tag}>"
    assert [offer.product.id for offer in read(feed.encode())] == ["7"]
    own = feed.replace(root, f"{root} xmlns:g='http://base.google.com/ns/1.0'")
    assert [offer.product.id for offer in read(own.encode())] == ["7"]


def test_a_feed_whose_address_has_a_password_is_told_what_helps_a_feed() -> None:
    with pytest.raises(FeedError, match=r"carries credentials.*Give an address that needs no password"):
        read_offers("https://user:secret@shop.example/feed.xml", Settings(_env_file=None))


def test_a_zip_file_comes_through_a_pipe_too(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(zipped({"feed.csv": TABLE}),))
    writer.start()
    assert set(read_offers(str(pipe), Settings(_env_file=None)).by_id) == {"7", "8"}
    writer.join()


def spoiled(data: bytes, at: int, value: bytes, member: bytes = b"PK\x01\x02") -> bytes:
    """A ZIP file whose list of files, or the header of a file in it, says something else in this place."""
    place = data.index(member) + at
    return data[:place] + value + data[place + len(value) :]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (lambda: zipped({"a.csv": TABLE, "b.xml": YML}), r"a ZIP file of 2 files \(a.csv, b.xml\). Pack one feed alone"),
        (lambda: zipped(BESIDE), "a ZIP file of 0 files. Pack one feed alone"),
        (lambda: zipped({"a.zip": zipped({"a.csv": TABLE})}), r"a ZIP file without a workbook in it \(a.csv\). Unpack it"),
        (lambda: zipped({"a.csv": TABLE}, zipfile.ZIP_LZMA), "packed by method 14 of ZIP. Pack the feed with deflate"),
        (lambda: spoiled(zipped({"a.csv": TABLE}), 8, b"\1"), "with a password. Pack the feed without one"),
        (lambda: spoiled(zipped({"a.csv": TABLE}), 8, b"\x20"), "broken ZIP file: .*Pack the feed again"),
        (lambda: spoiled(zipped({"a.csv": TABLE}), 16, b"abcd"), "broken gzip, zlib or ZIP file: .*Pack the feed again"),
        (lambda: spoiled(zipped({"a.csv": TABLE}), 35, b"xxxx", b"PK\3\4"), "broken gzip, zlib or ZIP file: .*Pack the feed"),
        (lambda: zipped({"a.csv": TABLE})[:-30], "broken ZIP file: .*Pack the feed again"),
        (lambda: zipped({"a.csv": b"id;picture\n" + b"1;a.jpg\n" * 3_000_000}), "more than 100 times its size"),
        (lambda: zipped({"a.csv": b"1;" + os.urandom(1_100_000)}), "more than 1000000 bytes"),
        (lambda: zipped({str(number): b"" for number in range(20_000)}), "the list of its files has more than"),
    ],
)  # fmt: skip
def test_a_zip_file_that_is_no_packed_feed_is_refused_by_what_it_is(tmp_path: Path, data: Callable[[], bytes], said: str) -> None:
    with pytest.raises(FeedError, match=said):
        from_file(tmp_path / "feed.zip", data(), max_feed_bytes=1_000_000 if "bytes" in said else 2_000_000_000)


def test_a_feed_packed_thrice_is_an_error_that_says_so(tmp_path: Path) -> None:
    with pytest.raises(FeedError, match=r"packed more than twice. Pack the feed again"):
        from_file(tmp_path / "feed.gz", packed(FULL.format(encoding="utf-8").encode(), "thrice"))


@pytest.mark.parametrize("first", ["hC", "XG", "8O", "(S", "x?"])
def test_a_table_that_begins_as_packed_files_do_is_read(tmp_path: Path, first: str) -> None:
    assert int.from_bytes(first.encode(), "big") % 31 == 0
    for rows in (1, 200):
        table = f"{first};id;picture;name\n" + "".join(f"a;{row};b.jpg;Soap\n" for row in range(rows))
        assert len(from_file(tmp_path / "feed.csv", table.encode())) == rows


def test_a_feed_over_the_size_limit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FeedError, match="MAX_FEED_BYTES"):
        from_file(tmp_path / "feed.xml", FULL.format(encoding="utf-8").encode(), max_feed_bytes=1000)


def _laughs(place: str) -> bytes:
    entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))
    return f'<!DOCTYPE yml_catalog [<!ENTITY e0 "ha">{entities}]>{place}'.encode()


class _Endless(io.RawIOBase):
    """`head`, then `filling` over and over up to `size` bytes."""

    def __init__(self, head: bytes, filling: bytes, size: int) -> None:
        self.head, self.filling, self.left, self.given = head, filling, size, 0

    def read(self, size: int = -1) -> bytes:
        if self.head:
            head, self.head = self.head, b""
            return head
        data = (self.filling * (size // len(self.filling) + 1))[: min(size, self.left)]
        self.left -= len(data)
        self.given += len(data)
        return data


START = b"<yml_catalog><shop><offers>"
BOMBS = {
    "entities in text": _laughs(
        "<yml_catalog><shop><offers><offer id='1'><name>&e9;</name></offer></offers></shop></yml_catalog>"
    ),
    "entities in an attribute": _laughs("<yml_catalog a='&e9;'><shop/></yml_catalog>"),
    "external entity": b'<!DOCTYPE yml_catalog [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
    + wrapped('<offer id="1"><name>&x;</name></offer>'),
    "parameter entity": b'<!DOCTYPE yml_catalog [<!ENTITY % x SYSTEM "file:///etc/passwd"> %x;]>'
    + wrapped('<offer id="1"/>'),
    "a text of 50 MB": _Endless(START + b'<offer id="1"><name>', b"a", 50_000_000),
    "a CDATA section of 50 MB": _Endless(START + b'<offer id="1"><name><![CDATA[', b"a", 50_000_000),
    "an endless comment": _Endless(START + b"<!--", b"a", 50_000_000),
    "an endless attribute": _Endless(START + b'<offer id="', b"a", 50_000_000),
    "an endless DOCTYPE": _Endless(b"<!DOCTYPE yml_catalog [", b" ", 50_000_000),
    "a million pictures": _Endless(START + b'<offer id="1">', b"<picture>a</picture>", 50_000_000),
    "a million strangers": _Endless(START, b"<z>a</z>", 50_000_000),
    "a deep tree": _Endless(START, b"<z>", 50_000_000),
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused_with_bounded_memory(name: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    bomb = BOMBS[name]
    stream = io.BytesIO(bomb) if isinstance(bomb, bytes) else bomb
    with pytest.raises(FeedError):
        list(read_xml(stream, "bomb.xml", Faults()))  # type: ignore[arg-type]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB
    if isinstance(bomb, _Endless):
        assert bomb.given < 40_000_000  # not read to its end


def test_a_gzip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    data = gzip.compress(START + b" " * 200_000_000, compresslevel=1)
    assert len(data) < 1_000_000
    del before
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(FeedError, match=r"unpacks to more|Text node"):
        from_file(tmp_path / "bomb.gz", data)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


@pytest.mark.parametrize("inside", ["spaces", "nothing"])
def test_a_gzip_bomb_in_a_gzip_file_is_refused(tmp_path: Path, inside: str) -> None:
    inner = gzip.compress(START + b" " * 50_000_000, 1) if inside == "spaces" else gzip.compress(b"") * 2_000_000
    data = gzip.compress(inner, 1)
    with pytest.raises(FeedError, match=r"unpacks to more|Text node|more than 100,000 files"):
        from_file(tmp_path / "bomb.gz", data)


def test_a_doctype_is_never_loaded_and_its_unknown_entities_are_gaps(tmp_path: Path) -> None:
    (tmp_path / "shops.dtd").write_text('<!ENTITY nbsp "LOADED">')
    data = b'<!DOCTYPE yml_catalog SYSTEM "shops.dtd">' + wrapped('<offer id="1"><name>a&nbsp;b</name></offer>')
    assert from_file(tmp_path / "feed.xml", data)["1"].product.name == "a b"


@given(st.binary(max_size=300))
def test_any_bytes_give_offers_or_a_feed_error(tail: bytes) -> None:
    for data in (tail, FULL.format(encoding="utf-8").encode()[:700] + tail):
        try:
            read(data)
        except FeedError as error:
            assert "feed.xml" in str(error)


@pytest.mark.parametrize(
    ("picture", "location", "reference"),
    [
        ("a/b.jpg", "/srv/feed.xml", "a/b.jpg"),
        ("a/b.jpg", "https://e.example/x/feed.xml?v=1", "https://e.example/x/a/b.jpg"),
        ("/a b.jpg", "https://e.example/x/feed.xml", "https://e.example/a%20b.jpg"),
        ("../a.jpg", "s3://bucket/x/y/feed.xml", "s3://bucket/x/a.jpg"),
        ("img\\1.jpg", "s3://bucket/x/feed.xml", "s3://bucket/x/img/1.jpg"),
        ("img\\1.jpg", "https://e.example/x/feed.xml", "https://e.example/x/img/1.jpg"),
        ("img\\1.jpg", "/srv/feed.xml", "img\\1.jpg"),
        ("https://магазин.рф/a@2x.jpg", "/srv/feed.xml", "https://xn--80aairftm.xn--p1ai/a@2x.jpg"),
        ("https://юзер@e.example/a.jpg", "/srv/feed.xml", "https://%D1%8E%D0%B7%D0%B5%D1%80@e.example/a.jpg"),
        ("//cdn.example/a.jpg", "/srv/feed.xml", "https://cdn.example/a.jpg"),
        ("www.shop.example/a 1.jpg", "/srv/feed.csv", "https://www.shop.example/a%201.jpg"),
        ("WWW.shop.example/a.jpg", "https://e.example/feed.xml", "https://WWW.shop.example/a.jpg"),
        ("www.photos/a.jpg", "/srv/feed.csv", "www.photos/a.jpg"),
        ("https://e.example/Крем 1.jpg", "/srv/feed.xml", "https://e.example/%D0%9A%D1%80%D0%B5%D0%BC%201.jpg"),
        ("https://e.example/a%20b.jpg?x=1&y=2", "/srv/feed.xml", "https://e.example/a%20b.jpg?x=1&y=2"),
        ("s3://photos/Крем 1.jpg", "https://e.example/feed.xml", "s3://photos/Крем 1.jpg"),
        ("http://магазин.рф:8080/ф.jpg", "/srv/feed.xml", "http://xn--80aairftm.xn--p1ai:8080/%D1%84.jpg"),
        ("/1.jpg", "https://магазин.рф/feed.xml", "https://xn--80aairftm.xn--p1ai/1.jpg"),
        ("https://münchen.de/a.jpg", "/srv/feed.xml", "https://xn--mnchen-3ya.de/a.jpg"),
        ("https://..ф/a.jpg", "/srv/feed.xml", "https://..%D1%84/a.jpg"),
        ("file:///srv/%D1%84%201.jpg", "/srv/feed.xml", "/srv/ф 1.jpg"),
        ("file:///srv/%FF.jpg", "/srv/feed.xml", "file:///srv/%FF.jpg"),  # no text that can be kept
        ("file:///srv/1.jpg", "https://e.example/feed.xml", "file:///srv/1.jpg"),
    ],
)
def test_pictures_resolve_against_the_feeds_own_place(picture: str, location: str, reference: str) -> None:
    assert reference_of(picture, location) == reference


@pytest.mark.parametrize(
    "before",
    ["\ufeff\ufeff", "\n\ufeff", "\u200b", "\xa0", "\x0b", "Warning: Undefined index in /var/www/feed.php on line 3\n"],
)
def test_what_a_program_wrote_before_the_declaration_is_passed_over(before: str, tmp_path: Path) -> None:
    data = before.encode() + b'<?xml version="1.0" encoding="utf-8"?>' + wrapped('<offer id="1"><name>Крем</name></offer>')
    assert from_file(tmp_path / "feed.xml", data)["1"].product.name == "Крем"


def test_what_word_leaves_in_a_description_is_no_declaration(tmp_path: Path) -> None:
    word = '<description><![CDATA[<?xml:namespace prefix = o ns = "urn:schemas:office" />Крем]]></description>'
    data = wrapped(f'<offer id="1"><name>A</name>{word}</offer>')
    assert from_file(tmp_path / "feed.xml", data)["1"].product.name == "A"


@pytest.mark.parametrize("doctype", ["", '<!DOCTYPE yml_catalog SYSTEM "shops.dtd">'])
def test_entities_of_html_are_characters_whether_or_not_they_are_declared(doctype: str) -> None:
    offers = wrapped("<offer id='1'><name>Крем L&eacute;a&mdash;5 &laquo;Роза&raquo;&nbsp;&amp; 5 &LT; 6</name></offer>")
    (offer,) = read(doctype.encode() + offers)
    assert offer.product.name == "Крем Léa—5 «Роза» & 5 < 6"


def test_entities_are_read_wherever_a_feed_is_cut_into_pieces() -> None:
    offers = read(wrapped("".join(f"<offer id='{number}'><name>{'a&eacute;' * 50}</name></offer>" for number in range(500))))
    assert [offer.product.name for offer in offers] == ["aé" * 50] * 500


@pytest.mark.parametrize("reference", ["&#11;", "&#0;", "&#x1F;", "&#55357;", "&#xFFFF;", "&#9999999999;"])
def test_references_to_what_xml_forbids_count_as_spaces_and_are_told(reference: str, tmp_path: Path) -> None:
    file = tmp_path / "feed.xml"
    file.write_bytes(wrapped(f"<offer id='1'><name>Cream{reference}mild</name></offer>"))
    offers = read_offers(str(file), Settings(_env_file=None))
    assert offers.by_id["1"].product.name == "Cream mild"
    assert offers.notes == (f"characters in the feed that XML forbids, which count as spaces: 1 (first: character {reference})",)


@pytest.mark.parametrize("no_character", [b"\xef\xbf\xbe", b"\xef\xbf\xbf", b"\xed\xa0\xbd"])
def test_bytes_of_utf_8_that_are_no_characters_cost_no_feed(no_character: bytes, tmp_path: Path) -> None:
    file = tmp_path / "feed.xml"
    file.write_bytes(wrapped("<offer id='1'><name>Крем @для рук</name></offer>").replace(b"@", no_character))
    offers = read_offers(str(file), Settings(_env_file=None))
    assert offers.by_id["1"].product.name == "Крем для рук"
    told = f"characters in the feed that XML forbids, which count as spaces: 1 (first: bytes {no_character.hex(' ')})"
    assert offers.notes == (told,)


def test_hyphens_and_spaces_that_nobody_sees_are_not_in_names() -> None:
    (offer,) = read(wrapped("<offer id='1'><name>Шам&amp;shy;пунь\u200b мяг\u00adкий</name></offer>"))
    assert offer.product.name == "Шампунь мягкий"


def test_a_feed_in_a_declared_encoding_of_single_bytes_is_no_table(tmp_path: Path) -> None:
    offers = wrapped('<offer id="1"><name>Шампунь</name></offer>').decode()
    data = f'<?xml version="1.0" encoding="cp866"?>{offers}'.encode("cp866")
    assert from_file(tmp_path / "feed.xml", data)["1"].product.name == "Шампунь"


def test_text_behind_the_end_is_named_as_such() -> None:
    with pytest.raises(FeedError, match="take away what stands behind the end"):
        read(wrapped("<offer id='1'/>") + b"Notice: done")
