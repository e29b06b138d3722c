"""Text in any encoding: the bytes decide."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packsight.shared.tables.encoding import Recoder

RUSSIAN = "id;name\n1;Крем «Роза» № 5 – съешь ещё этих мягких булок\n"
WARES = "Артикул;Название;Фото\n1;Крем питательный для рук и ногтей;1.jpg\n2;Чай чёрный байховый листовой;2.jpg\n"
FRENCH = "id;name\n1;Crème brûlée à la façon d'été, gâteau à l'été\n"


def recoded(data: bytes, step: int, declared: str = "") -> tuple[str, str]:
    recoder = Recoder(declared)
    parts = [recoder.recode(data[at : at + step]) for at in range(0, len(data), step)]
    return b"".join([*parts, recoder.recode(b"", final=True)]).decode(), recoder.encoding


@pytest.mark.parametrize("step", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1251", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_russian_text_is_read_whatever_it_is_saved_in(encoding: str, step: int) -> None:
    assert recoded(RUSSIAN.encode(encoding), step)[0].removeprefix("\ufeff") == RUSSIAN


@pytest.mark.parametrize("encoding", ["cp1251", "cp866", "koi8-r"])
@pytest.mark.parametrize("text", [WARES, WARES.upper(), f"Soap® “A” – 5°\n{WARES}", "Артикул;Название;Фото;Цена;Наличие\n1;x"])
def test_russian_of_single_bytes_is_told_by_its_letters(encoding: str, text: str) -> None:
    data = text.encode(encoding, "ignore")
    assert recoded(data, 1000) == (data.decode(encoding), encoding)
    assert recoded(data, 1000, "utf-8") == (data.decode(encoding), encoding)


@pytest.mark.parametrize("text", ["Українська їжа та напої", "Здравей, вкусни ябълки", "ЩЁТКА ЖЁСТКАЯ", "“a” – «b»® ™°±№ " * 9])
def test_what_may_be_windows_1251_is_that(text: str) -> None:
    assert recoded(text.encode("cp1251"), 1000)[0] == text


def test_names_of_encodings_that_python_lacks_are_known() -> None:
    assert recoded("Ёлка".encode("mac-cyrillic"), 100, "x-mac-cyrillic")[0] == "Ёлка"


@pytest.mark.parametrize("step", [3, 1000])
def test_western_text_of_single_bytes_is_not_taken_for_cyrillic(step: int) -> None:
    data = FRENCH.encode("cp1252")
    assert recoded(data, 1000) == (FRENCH, "cp1252")
    assert recoded(FRENCH.encode(), step) == (FRENCH, "utf-8")


@pytest.mark.parametrize("declared", ["windows-1251", "iso-8859-1", "koi8-r", "utf-8", "nonsense", ""])
def test_a_wrong_declaration_is_not_believed(declared: str) -> None:
    assert recoded(RUSSIAN.encode(), 10, declared) == (RUSSIAN, "utf-8")


def test_a_right_declaration_is_believed_where_bytes_leave_it_open() -> None:
    text = "Крем для рук"
    assert recoded(text.encode("koi8-r"), 100, "koi8-r") == (text, "koi8-r")


@pytest.mark.parametrize("declared", ["windows-1251", "koi8-r", "cp866", "iso-8859-5", "iso-8859-1", "x-mac-cyrillic"])
@pytest.mark.parametrize("encoding", ["cp1251", "cp866", "koi8-r"])
def test_russian_that_is_declared_to_be_in_another_encoding_is_told_by_its_letters(encoding: str, declared: str) -> None:
    assert recoded(WARES.encode(encoding), 1000, declared)[0] == WARES


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("cp1252", FRENCH),
        ("cp1253", "ΣΑΠΟΥΝΙ ΜΕ ΕΛΑΙΟΛΑΔΟ και βιταμίνες για όλη την οικογένεια"),
        ("cp1255", "קרם ידיים עם שמן זית לעור יבש וריח ורדים נעים"),
        ("koi8-u", "Крем для рук зволожуючий з олією троянди"),
        ("mac-cyrillic", WARES),
        ("iso8859-5", WARES),
    ],
)
def test_what_is_declared_rightly_is_not_taken_for_other_russian(encoding: str, text: str) -> None:
    assert recoded(text.encode(encoding), 1000, encoding)[0] == text


@pytest.mark.parametrize("declared", ["iso-8859-1", "windows-1252", ""])
@pytest.mark.parametrize("beside", ["\xa0\xa0\xa0", "………", "®®®", "\xa0—\xa0«…»\xa0"])
def test_hard_blanks_and_marks_in_a_row_are_no_russian_words(beside: str, declared: str) -> None:
    text = f"Küchengerät für Brötchen: Größe{beside}schön, groß{beside}und d’huile{beside}\n" * 3
    assert recoded(text.encode("cp1252"), 1000, declared)[0] == text


def test_hard_blanks_in_a_row_between_latin_names_are_no_russian_words() -> None:
    text = "Item\xa0\xa0\xa0of 5\xa0\xa0\xa0ml®®® № 5\n" * 3
    assert recoded(text.encode("cp1251"), 1000, "windows-1251")[0] == text


def test_a_byte_that_means_nothing_ends_no_russian_feed_that_declares_a_western_encoding() -> None:
    assert recoded(WARES.encode("cp1251") + b"\x98\n", 1000, "iso-8859-1")[0] == f"{WARES}\x98\n"


@pytest.mark.parametrize("text", ["Крем Роза\nШампунь Роза\n", "Чай Травяной\nМыло Жидкое\nКофе Молотый\n"])
def test_of_a_few_words_their_capitals_tell_koi8(text: str) -> None:
    assert recoded(text.encode("koi8-r"), 1000)[0] == text
    assert recoded(text.encode("cp1251"), 1000)[0] == text


@pytest.mark.parametrize("step", [1, 2, 3, 1000])
@pytest.mark.parametrize("cut", ["й".encode()[:1], "€".encode()[:1], "€".encode()[:2], "😀".encode()[:3]])
def test_a_letter_of_utf8_that_was_cut_is_lost_alone(cut: bytes, step: int) -> None:
    text = recoded(RUSSIAN.encode() + "Масло увлажняющи".encode() + cut + b"<\n" + RUSSIAN.encode(), step)[0]
    assert text == f"{RUSSIAN}Масло увлажняющи\ufffd<\n{RUSSIAN}"


@pytest.mark.parametrize("step", [1, 2, 3, 5, 1000])
@pytest.mark.parametrize("behind", ["…", ";", "", "."])
def test_a_letter_that_was_cut_before_dots_or_at_the_end_is_lost_alone(behind: str, step: int) -> None:
    text = recoded(RUSSIAN.encode() + "Масло для ".encode() + "л".encode()[:1] + behind.encode(), step)[0]
    assert text == f"{RUSSIAN}Масло для \ufffd{behind}"


def test_a_line_in_another_encoding_is_not_made_unreadable_silently() -> None:
    with pytest.raises(UnicodeDecodeError):
        recoded(RUSSIAN.encode() * 9 + "Роза\n".encode("cp1251"), 1000)
    for line in ("Café Crème à côté, Käse, Maß\n", "Café noir\n", "Maß\n"):
        with pytest.raises(UnicodeDecodeError):
            recoded(RUSSIAN.encode() * 9 + line.encode("cp1252"), 1000)


def test_a_few_broken_bytes_do_not_make_utf8_another_encoding() -> None:
    recoder = Recoder()
    data = RUSSIAN.encode() + b"\xff\n"
    assert recoder.recode(data, final=True) == data
    assert recoder.encoding == "utf-8"


BIG = "id;name\n" + "1;Cream\n" * 30_000


@pytest.mark.parametrize("step", [777, 65536])
@pytest.mark.parametrize("encoding", ["utf-8", "cp1251"])
@pytest.mark.parametrize(
    "early", ["", "Nivea® 30°C – «soap»", "«О»", "МЁД", "СЁ", "LМ", "№5", "x" * 65_520 + "МЁД с ё", "Soap®\n" * 9_000]
)
def test_what_comes_late_decides_where_the_beginning_does_not_tell(early: str, encoding: str, step: int) -> None:
    text = f"{early}\n{BIG}1;Крем «Роза» для рук, съешь ещё\n"
    assert recoded(text.encode(encoding), step) == (text, encoding)


def test_what_tells_nothing_is_not_held_back_for_ever() -> None:
    recoder, text = Recoder(), f"{BIG}30°C\n" * 20 + RUSSIAN * 9
    data = text.encode("cp1251")
    parts = [recoder.recode(data[at : at + 65536]) for at in range(0, len(data), 65536)]
    given, taken = 0, 0
    for part in parts:
        given, taken = given + len(part), taken + 65536
        assert taken - given < 1_100_000
    assert b"".join([*parts, recoder.recode(b"", final=True)]).decode() == text


@pytest.mark.parametrize("declared", ["iso-8859-1", "ISO_8859-1", "latin1"])
def test_latin_1_means_what_browsers_take_it_for(declared: str) -> None:
    assert recoded(FRENCH.encode("cp1252") + b"\x93\x80\x94 \x81", 50, declared)[0] == f"{FRENCH}“€” \x81"


@pytest.mark.parametrize("declared", ["us-ascii", "charmap", "hex", "utf-7", "idna", ""])
def test_a_declaration_of_no_one_byte_encoding_says_nothing(declared: str) -> None:
    assert recoded(RUSSIAN.encode("cp1251"), 100, declared) == (RUSSIAN, "cp1251")


@pytest.mark.parametrize(("declared", "byte"), [("windows-1251", b"\x98"), ("windows-1252", b"\x81"), ("", b"\x98")])
def test_an_error_has_the_name_of_the_encoding(declared: str, byte: bytes) -> None:
    with pytest.raises(UnicodeDecodeError) as caught:
        Recoder(declared).recode(RUSSIAN.encode("cp1251") + byte, final=True)
    assert caught.value.encoding == (declared or "cp1251")
    assert caught.value.object[caught.value.start :] == byte


@given(st.text(max_size=60), st.integers(1, 9))
def test_utf8_passes_unchanged_in_any_pieces(text: str, step: int) -> None:
    if "\0" not in text:
        assert recoded(b"kept " + text.encode(), step)[0] == "kept " + text
