"""Local photos on their way into object storage."""

from __future__ import annotations

import hashlib
import io
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from packsight.producer.sources import Item
from packsight.producer.upload import upload
from packsight.shared.contract.errors import ADVICE, ErrorCode
from packsight.shared.storage import layout
from packsight.shared.storage.files import Unchanged
from packsight.shared.storage.jobs import JobImage, Unopened

MOST = 100
"""Bytes of a photo that workers take."""


class Store:
    """Keeps what is sent; before that the file gets the next of these contents."""

    bucket = "packsight"

    def __init__(self, *contents: bytes) -> None:
        self.contents = list(contents)
        self.kept: dict[str, bytes] = {}

    def age(self, key: str) -> timedelta | None:
        return timedelta(0) if key in self.kept else None

    def upload(self, key: str, path: str) -> None:
        if self.contents:
            Path(path).write_bytes(self.contents.pop(0))
        self.kept[key] = Path(path).read_bytes()

    def upload_unchanged(self, key: str, path: Path, sha256: str) -> None:
        if self.contents:
            path.write_bytes(self.contents.pop(0))
        data = path.read_bytes()
        self.kept[key] = Unchanged(io.BytesIO(data), len(data), sha256).read()


def sent(file: Path, store: Any) -> JobImage | Unopened:
    (one,) = upload([Item(file.name, file)], store, most=MOST)
    return one


@pytest.mark.parametrize("then", [b"another photo", b"", b"a photo, and more of it"])
def test_a_file_that_changes_while_it_is_sent_is_kept_as_what_it_became(tmp_path: Path, then: bytes) -> None:
    file = tmp_path / "webcam.jpg"
    file.write_bytes(b"a photo")
    store = Store(then)
    one = sent(file, store)
    assert isinstance(one, JobImage)
    assert one.sha256 == hashlib.sha256(then).hexdigest()
    assert store.kept == {layout.upload(one.sha256): then}


def test_a_file_that_does_not_stop_changing_has_a_row_that_says_so(tmp_path: Path) -> None:
    file = tmp_path / "webcam.jpg"
    file.write_bytes(b"a photo")
    store = Store(*(b"%d" % number for number in range(10)))
    one = sent(file, store)
    assert isinstance(one, Unopened)
    assert "changes while it is uploaded" in one.failure.message
    assert not store.kept


def test_a_file_that_no_worker_takes_is_not_sent(tmp_path: Path) -> None:
    file = tmp_path / "poster.tif"
    file.write_bytes(MOST * b"x" + b"x")
    store = Store()
    one = sent(file, store)
    assert isinstance(one, Unopened)
    assert one.failure.code is ErrorCode.FILE_TOO_LARGE
    assert one.failure.remedy == ADVICE[ErrorCode.FILE_TOO_LARGE].remedy
    assert "101 bytes" in one.failure.message
    assert not store.kept
    file.write_bytes(MOST * b"x")
    assert isinstance(sent(file, store), JobImage)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("//cdn.example.com/1.jpg", "begin with https://"), ("www.example.com/1.jpg", "begin with https://"),
        ("https:/example.com/1.jpg", "begin with https://"), ("data:image/jpeg;base64,/9j/", "a data URI"),
        ("data:image/jpeg;base64,/9j/" + 300 * "A", "a data URI"), ("1.jpg", "no such file"),
    ],
)  # fmt: skip
def test_what_is_no_path_is_told_so(tmp_path: Path, name: str, said: str) -> None:
    store: Any = Store()
    (one,) = upload([Item(name, tmp_path / name)], store, most=MOST)
    assert isinstance(one, Unopened)
    assert said in one.failure.message
