"""Photos as base64 over HTTP: what programs of every kind write."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable

import pytest

from packsight.producer.http import photos
from packsight.producer.http.refusal import Refused

# Its base64 has digits in which the two alphabets differ.
CONTENT = bytes(range(256)) * 3 + b"\xfb\xff"


def read(text: str) -> bytes | None:
    return photos._of_json(json.dumps({"base64": text}).encode()).data


@pytest.mark.parametrize("length", range(len(CONTENT) - 3, len(CONTENT) + 1))
@pytest.mark.parametrize("encode", [base64.standard_b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize("shape", ["{}", "data:image/jpeg;base64,{}", "\r\n{}\n"])
def test_either_alphabet_is_read_with_and_without_padding(encode: Callable[[bytes], bytes], length: int, shape: str) -> None:
    text = encode(CONTENT[:length]).decode()
    for written in (text, text.rstrip("="), "\r\n".join(text)):
        assert read(shape.format(written)) == CONTENT[:length]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("AA.A", "its character 3 is '.'"),
        ("фото", "its character 1 is '\\u0444'"),
        ("AA==AAAA", "its character 3 is '='"),
        ("AAAAA", "5 characters end within a byte"),
    ],
)
def test_what_is_no_base64_is_told_with_its_place(text: str, why: str) -> None:
    with pytest.raises(Refused) as refused:
        read(text)
    assert refused.value.status == 400
    assert why in refused.value.message
