"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import io
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from packsight.cli import app
from packsight.shared.contract.errors import UserError
from packsight.shared.storage.files import (
    FileChanged,
    Part,
    Unchanged,
    hash_file,
    must_be_writable,
    unwritable,
    write_private,
    write_whole,
    written_aside,
)


def test_a_file_gets_its_name_only_when_it_is_whole(tmp_path: Path) -> None:
    file = tmp_path / "table.csv"
    write_whole(file, "before")
    with written_aside(file) as part:
        part.write_text("after")
        assert file.read_text() == "before"
    assert file.read_text() == "after"
    assert list(tmp_path.iterdir()) == [file]


def test_a_file_whose_writing_fails_leaves_the_one_before_and_nothing_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "table.csv"
    write_whole(file, b"before")
    with pytest.raises(ValueError, match="in the midst"), written_aside(file) as part:
        part.write_text("half")
        raise ValueError("in the midst")
    assert file.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [file]


def test_a_secret_that_cannot_be_written_leaves_the_one_before_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "stack.json"
    write_private(file, "before")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_private(file, "after")
    assert file.read_text() == "before" and list(tmp_path.iterdir()) == [file]


def test_a_folder_is_told_before_anything_is_written(tmp_path: Path) -> None:
    for begin in (Part, lambda path: written_aside(path).__enter__()):
        with pytest.raises(IsADirectoryError) as error:
            begin(tmp_path)
        assert str(unwritable(tmp_path, error.value)) == f"{tmp_path} is a folder. Name a file, in it or elsewhere."


def test_a_file_is_hashed_by_its_bytes(tmp_path: Path) -> None:
    write_whole(tmp_path / "a", "Крем")
    assert hash_file(tmp_path / "a") == hashlib.sha256("Крем".encode()).hexdigest()


def test_a_file_that_is_being_written_is_written_by_nobody_else(tmp_path: Path) -> None:
    file = tmp_path / "results.jsonl"
    first = Part(file)
    first.path.write_text("of the first")
    with pytest.raises(BlockingIOError) as error:
        Part(tmp_path / "." / "results.jsonl")
    assert "is being written already" in str(unwritable(file, error.value))
    first.finish()
    second = Part(file)
    first.abandon()
    assert file.read_text() == "of the first"
    assert second.path.read_text() == "", "it is still there, though the first one has let go"
    second.abandon()
    assert list(tmp_path.iterdir()) == [file]


def test_what_a_process_that_died_has_left_is_taken_over(tmp_path: Path) -> None:
    (tmp_path / "a.csv.part").write_text("half")
    part = Part(tmp_path / "a.csv")
    assert part.path.read_text() == ""
    part.finish()
    assert (tmp_path / "a.csv").read_text() == ""


@pytest.mark.parametrize("now", [b"", b"a photo", b"a photo that grew", b"another one"])
def test_the_last_bytes_of_a_file_that_changed_are_not_given(now: bytes) -> None:
    def read(expected: bytes) -> bytes:
        file = Unchanged(io.BytesIO(now), len(now), hashlib.sha256(expected).hexdigest())
        return b"".join(iter(lambda: file.read(4), b""))

    assert read(now) == now
    with pytest.raises(FileChanged):
        read(b"what it was")


@pytest.mark.parametrize(
    "command",
    [
        "catalog report --html", "catalog report --jsonl", "catalog diff a b --jsonl", "catalog health twins --csv",
        "review export", "submit x.jpg --report", "explain x.jpg --out",
    ],
)  # fmt: skip
def test_commands_refuse_a_folder_for_a_file_before_they_ask_for_anything(tmp_path: Path, command: str) -> None:
    folder = tmp_path / "a.html"
    folder.mkdir()
    refused = CliRunner().invoke(app, [*command.split(), str(folder)])
    assert isinstance(refused.exception, UserError), refused.output
    assert f"{folder} is a folder. Name a file" in str(refused.exception)


def test_files_that_cannot_be_written_are_told_by_their_folder(tmp_path: Path) -> None:
    must_be_writable(tmp_path / "a.json", None)
    with pytest.raises(UserError, match="no is no folder that may be written to"):
        must_be_writable(tmp_path / "no/a.json")
    with pytest.raises(UserError, match="is a folder"):
        must_be_writable(tmp_path)


@pytest.mark.parametrize("there", [True, False])
def test_what_a_link_leads_to_is_written_and_the_link_stays(tmp_path: Path, there: bool) -> None:
    (folder := tmp_path / "disk").mkdir()
    (link := tmp_path / "table.csv").symlink_to(Path("disk") / "real.csv")
    if there:
        (folder / "real.csv").write_text("before")
    must_be_writable(link)
    part = Part(link)
    part.path.write_text("for long")
    part.finish()
    assert (folder / "real.csv").read_text() == "for long"
    write_whole(link, "at once")
    assert link.is_symlink()
    assert (folder / "real.csv").read_text() == "at once"
    assert [*folder.iterdir(), *sorted(tmp_path.iterdir())] == [folder / "real.csv", folder, link]


def test_no_file_takes_the_place_of_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(pipe := tmp_path / "table.csv")
    must_be_writable(pipe)
    with pytest.raises(OSError, match="Illegal seek") as error:
        Part(pipe)
    assert "is no regular file" in str(unwritable(pipe, error.value))
    reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_whole(pipe, "a table")
    assert os.read(reading, 100) == b"a table"
    os.close(reading)
    assert pipe.is_fifo()
    assert list(tmp_path.iterdir()) == [pipe]
