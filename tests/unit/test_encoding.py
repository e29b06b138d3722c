"""Text in any encoding: the bytes decide."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packsight.shared.tables.encoding import Recoder

RUSSIAN = "id;name\n1;Крем «Роза» № 5 – съешь ещё этих мягких булок\n"
FRENCH = "id;name\n1;Crème brûlée à la façon d'été, gâteau à l'été\n"


def recoded(data: bytes, step: int, declared: str = "") -> tuple[str, str]:
    recoder = Recoder(declared)
    parts = [recoder.recode(data[at : at + step]) for at in range(0, len(data), step)]
    return b"".join([*parts, recoder.recode(b"", final=True)]).decode(), recoder.encoding


@pytest.mark.parametrize("step", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1251", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_russian_text_is_read_whatever_it_is_saved_in(encoding: str, step: int) -> None:
    assert recoded(RUSSIAN.encode(encoding), step)[0].removeprefix("\ufeff") == RUSSIAN


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


def test_a_few_broken_bytes_do_not_make_utf8_another_encoding() -> None:
    recoder = Recoder()
    data = RUSSIAN.encode() + b"\xff\n"
    assert recoder.recode(data) == data
    assert recoder.encoding == "utf-8"


@given(st.text(max_size=60), st.integers(1, 9))
def test_utf8_passes_unchanged_in_any_pieces(text: str, step: int) -> None:
    if "\0" not in text:
        assert recoded(b"kept " + text.encode(), step)[0] == "kept " + text
