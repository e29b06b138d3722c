"""What is shown of references and of names that others wrote: no secret, and nothing that a terminal obeys."""

from __future__ import annotations

import logging
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packsight.shared import logs
from packsight.shared.contract.arguments import shown_arguments
from packsight.shared.contract.errors import ImageError
from packsight.shared.contract.references import (
    follow,
    parse_address,
    parse_object,
    plain,
    plain_lines,
    printable,
    shown,
)
from packsight.shared.logs import LogFormat

SECRETS = [
    "https://shop.example/a.jpg?X-Amz-Signature=5ec2e7",
    "https://shop.example/a.jpg#5ec2e7",
    "https://5ec2e7@shop.example/a.jpg",
    "https://user:5ec2e7@shop.example/a.jpg",
    "https://user:5ec/2e7-5ec2e7@shop.example/a.jpg",
    "HTTPS://shop.example/a b.jpg?token=1 5ec2e7",
    " https://user:5ec2e7@shop.example/a.jpg",
    "ftp://user:5ec2e7@shop.example/a.jpg",
    "redis://:5ec2e7@127.0.0.1:6379/0",
    "//user:5ec2e7@shop.example/a.jpg",
    "user:5ec2e7@shop.example/a.jpg",
    "shop.example/a.jpg?sig=5ec2e7",
    "shop.example/a.jpg?sig=5ec2e7&next=https://shop.example/",
    "s3://photos/a.jpg?X-Amz-Signature=5ec2e7",
    "s3://key:5ec2e7@photos/a.jpg",
    "s3://key:5ec/5ec2e7@photos/a.jpg",
]


@pytest.mark.parametrize("reference", SECRETS)
def test_no_secret_of_a_reference_is_shown(reference: str) -> None:
    assert "5ec2e7" not in shown(reference)


@pytest.mark.parametrize(
    "reference",
    [
        "s3://photos/shelf/1.jpg",
        "s3://photos/shelf #1/user@home.jpg",
        "https://shop.example:8443/полка/1.jpg",
        "https://[::1]/1.jpg",
        "shelf/1.jpg",
        "C:/shelf/1.jpg",
        "user@home/1.jpg",
    ],
)
def test_a_reference_without_secrets_is_shown_as_it_is(reference: str) -> None:
    assert shown(reference) == reference


@given(st.text(max_size=300))
def test_whatever_is_shown_is_one_short_line_that_can_be_printed(reference: str) -> None:
    for text in (shown(reference), plain(reference), printable(reference)):
        assert not set(text) & set(map(chr, [*range(32), *range(0x7F, 0xA0), 0x2028, 0x2029, 0x202E, 0x2066]))
        text.encode()
    assert len(shown(reference)) <= 201


@pytest.mark.parametrize(
    ("sent", "target"),
    [("/фото 1.jpg".encode(), "/%D1%84%D0%BE%D1%82%D0%BE%201.jpg"), ("/фото 1.jpg".encode("cp1251"), "/%F4%EE%F2%EE%201.jpg")],
)
def test_a_redirect_leads_to_the_bytes_that_the_server_sent(sent: bytes, target: str) -> None:
    assert follow(parse_address("https://a.example/x"), sent.decode("latin-1")).target == target


def test_addresses_within_a_text_are_shown_without_secrets() -> None:
    text = "GET 'https://a.example/1.jpg?sig=5ec2e7' failed, then \"s3://k:5ec2e7@b/c\" too\x1b[31m"
    assert plain(text) == "GET 'https://a.example/1.jpg?…' failed, then \"s3://…@b\" too�[31m"
    assert plain_lines("one\ntwo https://a.example/?5ec2e7\n\x1bthree") == "one\ntwo https://a.example/?…\n�three"


@pytest.mark.parametrize("kind", LogFormat)
def test_no_line_of_the_log_has_a_secret_or_is_forged(kind: LogFormat, capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    try:
        logs.set_up(kind)
        log = logging.getLogger("tests.references")
        for reference in [*SECRETS, "a\n2026-11-26T00:00:00 INFO forged 5ec2e7: \x1b[2J\x9b"]:
            hidden = reference.replace("forged 5ec2e7", "forged")
            log.info("matched: %s", shown(hidden), extra={"image": hidden, "action": "matched"})
        log.info("Task x[%s] received", "id\nforged\x1b[2J")
        try:
            raise ValueError("https://a.example/1.jpg?sig=5ec2e7\x1b[2J")
        except ValueError:
            log.exception("loading failed")
    finally:
        root.handlers[:], root.level = before
    lines = capsys.readouterr().err
    assert sys.stderr is not None
    assert "5ec2e7" not in lines
    assert not {"\x1b", "\x9b", "\r"} & set(lines)
    assert not [line for line in lines.splitlines() if line.startswith(("forged", "2026-11-26T00:00:00 INFO"))]


def test_arguments_are_shown_without_secrets_and_in_short() -> None:
    images = [SECRETS[0], "s3://b/\x1b[2J\n", *["s3://b/1"] * 60]
    text = shown_arguments([{"images": images, "\x1bname": [[[[["deep"]]]]], "big": 10**5000}])
    assert text == (
        '[{"images": ["https://shop.example/a.jpg?…", "s3://b/�[2J�", "s3://b/1", … 59 more], '
        '"�name": [[…]], "big": …}]'
    )
    assert len(shown_arguments([{str(number): "x" * 200 for number in range(50)}])) == 1001


def test_a_key_is_taken_literally() -> None:
    assert parse_object("s3://photos/a\tb\n c.jpg") == ("photos", "a\tb\n c.jpg")
    with pytest.raises(ImageError, match="halves of characters"):
        parse_object("s3://photos/\ud800.jpg")
    with pytest.raises(ImageError, match="names no bucket and key"):
        parse_object("s3://photos/")
