"""Files that stand under their name only when they are whole, and their hashes."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO

from packsight.shared.contract.errors import UserError


def must_be_files(*paths: Path | None) -> None:
    """Raise UserError for a folder among the files that a command is to write, before it asks for anything; None is none."""
    for path in filter(None, paths):
        try:
            _must_be_file(path)
        except IsADirectoryError as error:
            raise unwritable(path, error) from None


def must_be_writable(*paths: Path | None) -> None:
    """The same, and for one whose folder cannot be written to: before hours of work, not after."""
    must_be_files(*paths)
    for path in filter(None, paths):
        if not _is_stream(path) and not ((place := _place(path).parent).is_dir() and os.access(place, os.W_OK | os.X_OK)):
            raise UserError(f"{place} is no folder that may be written to. Create it or write {path.name} elsewhere.")


def unwritable(path: Path, error: OSError) -> UserError:
    """What somebody is told who named a file that cannot be written."""
    if isinstance(error, IsADirectoryError):
        return UserError(f"{path} is a folder. Name a file, in it or elsewhere.")
    if error.errno == errno.ESPIPE:
        return UserError(f"{path} is no regular file. Name a file; results go to standard output with --out -.")
    if isinstance(error, BlockingIOError):
        return UserError(f"{path} is being written already, by another command or this one. Name another file, or wait for it.")
    return UserError(f"{path} cannot be written: {error.strerror}. Create the folder or choose another.")


class Part:
    """A file that is written for long, at `<name>.part` beside its place (`path`), where it can be followed until it is whole.

    Where a symbolic link stands, both are where it leads. It is empty at first, and held: whoever else would write the same file
    gets BlockingIOError, in this process too. One that was left by a process that died is taken over. Raises IsADirectoryError
    for a folder, OSError with ESPIPE for a pipe or device, whose place no file may take, another where nothing can be written.
    """

    def __init__(self, path: Path) -> None:
        self._whole = _place(path)
        if _is_stream(path):
            raise OSError(errno.ESPIPE, os.strerror(errno.ESPIPE), str(path))
        self.path = self._whole.with_name(self._whole.name + ".part")
        self._held = self._hold()

    def finish(self) -> None:
        """Give the file its name."""
        self.path.replace(self._whole)
        self._held.close()

    def abandon(self) -> None:
        """Leave nothing behind; without effect after `finish`, when the place may be another's."""
        if not self._held.closed:
            self.path.unlink(missing_ok=True)
            self._held.close()

    def _hold(self) -> IO[bytes]:
        while True:
            held = self.path.open("ab")
            try:
                _lock(held)
                if _is_at(held, self.path):
                    held.truncate(0)
                    return held
            except OSError:
                held.close()
                raise
            held.close()  # it got its name since it was opened: what is written now would go into a file that is whole


def _lock(file: IO[bytes]) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:
        return  # some file systems of networks have no locks


def _is_at(file: IO[bytes], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _place(path: Path) -> Path:
    """Where a file is to stand: a symbolic link stays, and what it leads to is written. Raises IsADirectoryError for a folder."""
    _must_be_file(path)
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def _is_stream(path: Path) -> bool:
    """Whether a pipe or device stands there, as `/dev/null` does: a file in its place would be in everybody's way."""
    return path.exists() and not path.is_file()


def _must_be_file(path: Path) -> None:
    """No file gets the name of a folder, which would be found out only when all is written."""
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))


@contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """Give the place to write a file to; it gets its name when the block ends, and is removed when that raises.

    Of several processes that write the same file the last one wins. Where a symbolic link stands, what it leads to is written; a
    pipe or device is written to itself. Raises OSError for a folder, and when it cannot be renamed.
    """
    place = _place(path)
    if _is_stream(path):  # not the place: /dev/stdout leads to a pipe that has no name
        yield path
        return
    part = place.with_name(f"{place.name}.{os.getpid()}.part")
    try:
        yield part
        part.replace(place)
    finally:
        part.unlink(missing_ok=True)


def write_whole(path: Path, content: bytes | str) -> None:
    """Write a file in such a way that no reader ever sees half of it; text as UTF-8. Raises OSError."""
    with written_aside(path) as part:
        part.write_bytes(content.encode() if isinstance(content, str) else content)


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read: written aside, then renamed, so that no reader sees half of it.

    Raises OSError, and leaves nothing aside then.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")  # created with mode 0600
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


class FileChanged(OSError):
    """A file's content is not the one that its hash was made of."""


class Unchanged:
    """A file that is read to its end once more after its hash was made: its last bytes are given only if the hash is still right.

    file: open at its beginning; size: its bytes; sha256: in hex. Raises FileChanged, for an empty one at once.
    """

    def __init__(self, file: BinaryIO, size: int, sha256: str) -> None:
        self._file, self._left, self._expected = file, size, sha256
        self._digest = hashlib.sha256()
        self._check_end()

    def read(self, size: int = -1) -> bytes:
        """At most so many of the bytes that are left; all of them where it is negative."""
        data = self._file.read(self._left if size < 0 else min(size, self._left))
        self._digest.update(data)
        self._left = self._left - len(data) if data or not size else 0
        self._check_end()
        return data

    def _check_end(self) -> None:
        if not self._left and self._digest.hexdigest() != self._expected:
            raise FileChanged("it changed while it was read")


def hash_file(path: Path) -> str:
    """sha256 of a file's bytes, in hex; raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
