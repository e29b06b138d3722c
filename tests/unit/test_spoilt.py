"""Text that was taken for another encoding before it was stored is mended where that is sure, and nothing else is touched."""

from __future__ import annotations

import pytest

from packsight.shared.tables.spoilt import mended

RUSSIAN = (
    "Крем для рук «Ромашка» — 100 мл №5",
    "Сыр",
    "Икра",
    "Эскимо",
    "СЫР масло",
    "Мёд",
    "Їжак і сіль",
    "Чай Lipton Crème brûlée 20°C",
    "Л’Ореаль™",
    "Ряженка 3,2% «Домик в деревне®»",
)
WESTERN = ("Crème brûlée", "Éclair", "Müller 20°C", "Nestlé", "L’Oréal™", "5–6 pcs", "ça va", "Pampers®")


def taken_for(text: str, encoding: str) -> str:
    """What a program stores that takes UTF-8 for an encoding of single bytes; as browsers have what that lacks."""
    return "".join(bytes((byte,)).decode(encoding, "ignore") or chr(byte) for byte in text.encode())


@pytest.mark.parametrize("encoding", ["cp1251", "cp1252", "latin-1", "cp866"])
@pytest.mark.parametrize("text", RUSSIAN)
def test_russian_in_utf8_that_was_taken_for_single_bytes_is_mended(text: str, encoding: str) -> None:
    assert mended(taken_for(text, encoding)) == text


@pytest.mark.parametrize("encoding", ["cp1251", "cp1252"])
@pytest.mark.parametrize("text", RUSSIAN)
def test_russian_that_was_taken_so_twice_is_mended(text: str, encoding: str) -> None:
    assert mended(taken_for(taken_for(text, encoding), encoding)) == text


@pytest.mark.parametrize("encoding", ["cp1251", "cp1252", "latin-1"])
@pytest.mark.parametrize("text", WESTERN)
def test_accents_and_marks_among_latin_letters_are_mended(text: str, encoding: str) -> None:
    assert mended(taken_for(text, encoding)) == text


def test_a_hard_blank_and_the_byte_that_windows_1251_lacks_may_have_been_lost_since() -> None:
    assert mended(taken_for("Рис и СЫР", "cp1251").replace("\xa0", " ")) == "Рис и СЫР"
    assert mended(taken_for("Икра", "cp1251").replace("\x98", "?")) == "Икра"


def test_a_capital_letter_before_a_blank_is_no_remnant_though_something_else_is_spoilt() -> None:
    assert mended("МАСТЕР КОЛОР вЂ“ КРАСКА") == "МАСТЕР КОЛОР – КРАСКА"
    assert mended("РЎРєРёРЅ СЕРВЕР 5") == "Скин СЕРВЕР 5"


@pytest.mark.parametrize("text", ["ШАМПУНЬ И БАЛЬЗАМ", "И чай", "Чай (И кофе)"])
@pytest.mark.parametrize("lost", ["?", "\ufffd"])
def test_a_letter_that_was_lost_may_be_a_word(text: str, lost: str) -> None:
    assert mended(taken_for(text, "cp1251").replace("\x98", lost)) == text


def test_russian_of_single_bytes_that_was_taken_for_western_is_mended_where_there_is_enough_of_it() -> None:
    assert mended("Êðåì äëÿ ðóê «Ðîìàøêà» ¹5") == "Крем для рук «Ромашка» №5"
    assert mended("Ñûð") == "Ñûð"


def test_letters_as_json_writes_them_are_letters() -> None:
    assert mended(r"\u041a\u0440\u0435\u043c \u2116 5") == "Крем № 5"
    assert mended(r"C:\u0430") == r"C:\u0430"
    assert mended(r"\u0410\u0411\u0000\u001b") == r"АБ\u0000\u001b"


@pytest.mark.parametrize(
    "text",
    [
        *RUSSIAN, *WESTERN, "20 С°", "Р°", "С… С…", "СІРІ КОЛЬОРИ", "ВІРІ", "Сјај", "«MAÇÃ»", "IRMÃ®", "В«Ашан»", "Витамин В®",
        "L-CARNITINE В®", "PIÑ…", "там тАкой", "БЕЛАРУСЬ РЎБ", "тюль В°", "éèêë", "Žluťoučký kůň", "ÄÖÜÄ", "═╨═ рамка ╤╨",
        "С „Умник“", "ВИТАМИНЫ А,Е,С™", "С®Р®", "Р\xa0С…", "MAÇÃ\xa0verde", "LÃ\xa0merino", "CREME MANHÃ\xa0e noite",
        "MAÇÃ\u2013canela", "AVELÃ®doce", "D3К\u2013Р\u2013С\u2013Т", "ТЕЛЕФОН «СССР»Р\u20131",
    ],
)  # fmt: skip
def test_what_may_be_right_stays(text: str) -> None:
    assert mended(text) == text
