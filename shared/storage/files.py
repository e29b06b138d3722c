"""Files that stand under their name only when they are whole, and their hashes."""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from packsight.shared.contract.errors import UserError


def must_be_files(*paths: Path | None) -> None:
    """Raise UserError for a folder among the files that a command is to write, before it asks for anything; None is none."""
    for path in filter(None, paths):
        try:
            _must_be_file(path)
        except IsADirectoryError as error:
            raise unwritable(path, error) from None


def unwritable(path: Path, error: OSError) -> UserError:
    """What somebody is told who named a file that cannot be written."""
    if isinstance(error, IsADirectoryError):
        return UserError(f"{path} is a folder. Name a file, in it or elsewhere.")
    return UserError(f"{path} cannot be written: {error.strerror}. Create the folder or choose another.")


def part_of(path: Path) -> Path:
    """Where a file that is written for long can be followed until it is whole: `<name>.part` beside it.

    Raises IsADirectoryError for a folder.
    """
    _must_be_file(path)
    return path.with_name(path.name + ".part")


def _must_be_file(path: Path) -> None:
    """No file gets the name of a folder, which would be found out only when all is written."""
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))


@contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """Give the place to write a file to; it gets its name when the block ends, and is removed when that raises.

    Of several processes that write the same file the last one wins. Raises OSError for a folder, and when it cannot be renamed.
    """
    _must_be_file(path)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_whole(path: Path, content: bytes | str) -> None:
    """Write a file in such a way that no reader ever sees half of it; text as UTF-8. Raises OSError."""
    with written_aside(path) as part:
        part.write_bytes(content.encode() if isinstance(content, str) else content)


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read: written aside, then renamed, so that no reader sees half of it."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")  # created with mode 0600
    with os.fdopen(handle, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    Path(name).replace(path)


def hash_file(path: Path) -> str:
    """sha256 of a file's bytes, in hex; raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
