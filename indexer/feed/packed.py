"""Feeds that are packed: with gzip or zlib, or alone in a ZIP file; what unpacks to too much is refused."""

from __future__ import annotations

import io
import shutil
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import IO, Any

from packsight.indexer.feed.offers import FeedError
from packsight.shared.contract.errors import ADVICE, ErrorCode, PacksightError
from packsight.shared.storage.coding import CHUNK, unpacking
from packsight.shared.tables import workbook
from packsight.shared.tables.table import SUFFIXES

MAX_RATIO = 100
"""Feeds of real shops shrink to a tenth or a twentieth; a bomb to a thousandth."""
_RATIO_FROM = 16_000_000
_BUFFER = 256 * 1024
_MAX_DIRECTORY = 1_000_000
"""Bytes of a ZIP file's list of its files, which is read whole: some ten thousand files."""
_METHODS = frozenset((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
"""The others may unpack a few bytes into all memory at once."""
_ENCRYPTED = 1
"""Flag of a file in a ZIP file."""
_SUFFIXES = frozenset((*SUFFIXES, ".xml", ".yml", ".html", ".htm", ".gz"))
"""Of files that are likely feeds, in lower case; a text may be one, or tell what the others are."""
_REMEDIES = {
    ErrorCode.OBJECT_MISSING: "Upload it there, or correct its address.",
    ErrorCode.BUCKET_MISSING: "Correct the address of the feed.",
    ErrorCode.HOST_UNREACHABLE: "Look whether the shop's server is up, and whether its address is right.",
    ErrorCode.HTTP_STATUS: "Look at the address in a browser: the shop's server answers so.",
    ErrorCode.REFERENCE_REFUSED: "Give an address that needs no password and is open to this machine, or the feed as a file.",
    ErrorCode.FETCH_TIMEOUT: "Look whether the shop's server is slow at this time of the day.",
}
"""By the code of what happened."""


@contextmanager
def unpacked(raw: IO[bytes], name: str, coding: str, limit: int) -> Iterator[io.BufferedReader[Any]]:
    """The feed itself, of at most `limit` bytes; coding: its Content-Encoding.

    Raises FeedError, also while it is read, where it is damaged, too large, or a ZIP file that holds more than a feed.
    """
    with io.BufferedReader(_Unpacked(raw, name, coding, limit), _BUFFER) as stream:
        if not stream.peek(4).startswith(workbook.SIGNATURES[0]):
            yield stream
            return
        with tempfile.TemporaryFile(buffering=0) as file, _Listed(file) as whole:  # its list of files stands at its end
            shutil.copyfileobj(stream, file, CHUNK)
            member = _member(whole, name)
            if member is None:
                whole.seek(0)
                yield whole
                return
            with member, io.BufferedReader(_Unpacked(member, name, "", limit), _BUFFER) as feed:
                yield feed


def unfetched(error: PacksightError) -> FeedError:
    """What is said of a feed that does not come; what is advised for a photo is no help with it."""
    usual = error.remedy == ADVICE[error.code].remedy or error.code is ErrorCode.REFERENCE_REFUSED
    remedy = _REMEDIES.get(error.code, error.remedy) if usual else error.remedy
    return FeedError(f"The feed cannot be fetched: {error.message} [{error.code.value}] {remedy}")


def _member(file: IO[bytes], name: str) -> IO[bytes] | None:
    """The feed in a ZIP file; None where that is a workbook or the like."""
    try:
        archive = zipfile.ZipFile(file)
        if workbook.is_document(archive.namelist()):
            return None
        entry = _only(archive.infolist(), name)
        _check_ratio(entry.file_size, entry.compress_size, name)
        return archive.open(entry)
    except (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error) as error:  # lists are read as they are
        raise FeedError(
            f"{name} is a broken ZIP file: {error}. Pack the feed again, or save the workbook again, and copy it whole."
        ) from None


def _only(entries: list[zipfile.ZipInfo], name: str) -> zipfile.ZipInfo:
    """The file of a ZIP file beside which there is nothing but what systems add, or no other that is called as feeds are."""
    files = [entry for entry in entries if not entry.is_dir() and not entry.filename.startswith("__MACOSX/")]
    files = [entry for entry in files if not entry.filename.rpartition("/")[2].startswith((".", "~$"))]
    likely = [entry for entry in files if PurePosixPath(entry.filename).suffix.lower() in _SUFFIXES]
    files = likely if len(likely) == 1 else files
    if len(files) != 1:
        held = ", ".join(entry.filename for entry in files)[:200]
        raise FeedError(f"{name} is a ZIP file of {len(files)} files{held and f' ({held})'}. Pack one feed alone.")
    if files[0].flag_bits & _ENCRYPTED:
        raise FeedError(f"{name} is a ZIP file with a password. Pack the feed without one.")
    if files[0].compress_type not in _METHODS:
        raise FeedError(f"{name} is packed by method {files[0].compress_type} of ZIP. Pack the feed with deflate, or with gzip.")
    return files[0]


def _check_ratio(given: int, taken: int, name: str) -> None:
    if given > max(_RATIO_FROM, MAX_RATIO * taken):
        raise FeedError(f"{name} unpacks to more than {MAX_RATIO} times its size, which no feed does. Check the file.")


class _Listed(io.BufferedReader):
    """A ZIP file, the list of whose files is read in one piece."""

    def read(self, size: int | None = -1, /) -> bytes:
        """The next bytes; raises BadZipFile for a list that is too long."""
        if size is not None and size > _MAX_DIRECTORY:
            raise zipfile.BadZipFile(f"the list of its files has more than {_MAX_DIRECTORY:,} bytes")
        return super().read(size)


class _Unpacked(io.RawIOBase):
    """A feed's bytes, unpacked if need be, that end in FeedError when there are too many of them, or when they are damaged."""

    def __init__(self, raw: IO[bytes], name: str, coding: str, limit: int) -> None:
        self._raw, self._name, self._limit = raw, name, limit
        self._taken, self._given, self._held = 0, 0, b""
        self._chunks = unpacking(self._taking(), name, coding, self._check)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]
        data = self._held or self._next()
        size = min(len(data), len(view))
        view[:size], self._held = data[:size], data[size:]
        return size

    def _taking(self) -> Iterator[bytes]:
        while data := self._raw.read(CHUNK):
            self._taken += len(data)
            yield data

    def _next(self) -> bytes:
        try:
            data = next(self._chunks, b"")
        except (EOFError, zlib.error, zipfile.BadZipFile) as error:
            raise FeedError(f"{self._name} is a broken gzip, zlib or ZIP file: {error}. Pack the feed again.") from None
        except PacksightError as error:
            raise unfetched(error) from None
        self._given += len(data)
        self._check_size(self._given)
        return data

    def _check(self, given: int) -> None:
        self._check_size(given)
        _check_ratio(given, self._taken, self._name)

    def _check_size(self, given: int) -> None:
        if given > self._limit:
            raise FeedError(
                f"{self._name} has more than {self._limit} bytes. Raise PACKSIGHT_CATALOG__MAX_FEED_BYTES if it is right."
            )
