"""Local files by the names that lists and feeds give them, found as a browser or a file manager would find them."""

from __future__ import annotations

import re
import threading
import time
import unicodedata
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote, unquote_plus

_FILE = re.compile(r"file:(?://(?:localhost)?)?(?=/(?!/))", re.IGNORECASE)
"""What stands before the path in the address of a file of this machine (RFC 8089)."""
_SURE_SECONDS = 2.0
"""Age from which a folder's time tells that nothing has come into it since."""
_MOST_NAMES = 500_000
"""That are remembered, at some 300 bytes each: lists go through many folders in no order, and to list one takes long."""


def without_scheme(reference: str) -> str:
    """The path in the address of a file of this machine; anything else as it is."""
    scheme = _FILE.match(reference)
    return unquote(reference[scheme.end() :], errors="surrogateescape") if scheme else reference


def find(folder: Path, name: str) -> Path:
    """The file that a name below a folder means; the path as it is written where there is none.

    As written first; then with the slashes of Windows turned, without quotation marks, percent signs decoded, without a query
    or fragment, with spaces for the plus signs of forms; each with letters composed otherwise, as macOS and other systems write
    accents. Then the same in letters of either case, where only one file fits. A path from the root of the system that does not
    exist is one from the folder.
    """
    for same_case in (True, False):
        for spelling in _spellings(name):
            found = _existing(folder, spelling, same_case=same_case)
            if found is not None:
                return found
    return folder / name


def _spellings(name: str) -> Iterator[str]:
    turned = name.strip().strip("\"'").replace("\\", "/")
    bare = turned.split("?")[0].split("#")[0]
    others = (one.lstrip("/") for one in (turned, unquote(turned), bare, unquote(bare), unquote_plus(bare)))
    yield from dict.fromkeys((name, *filter(None, others)))  # `#1.jpg` is nothing but a fragment


def _existing(folder: Path, name: str, *, same_case: bool) -> Path | None:
    path = folder / name
    try:
        if path.exists():
            return path
        return _by_parts(folder, name, same_case=same_case) if not (same_case and name.isascii()) else None
    except (OSError, ValueError):
        return None


def _by_parts(folder: Path, name: str, *, same_case: bool) -> Path | None:
    """The path whose parts are those of a name but for how their letters are composed, and perhaps their case."""
    path = folder
    for part in Path(name).parts:
        if (path / part).exists():
            path /= part
            continue
        alike = _names(path).get(_plain(part), ())
        composed = [one for one in alike if unicodedata.normalize("NFC", one) == unicodedata.normalize("NFC", part)]
        if not composed and (same_case or len(alike) != 1):
            return None
        path /= (composed or alike)[0]
    return path


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _names(folder: Path) -> Mapping[str, Sequence[str]]:
    """Names in a folder by what they are however composed and in either case; lists of many names ask again and again."""
    status = folder.stat()
    if 0 <= time.time() - status.st_mtime < _SURE_SECONDS:  # of a time to come another clock tells, which says nothing
        return _listed(folder)
    return _remembered.of(folder, (status.st_dev, status.st_ino, status.st_mtime_ns))


def _listed(folder: Path) -> Mapping[str, Sequence[str]]:
    found: dict[str, list[str]] = {}
    for one in folder.iterdir():
        found.setdefault(_plain(one.name), []).append(one.name)
    return found


class _Remembered:
    """Names in the folders that were asked for last, as many as `most`; safe to use from several threads."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._folders: OrderedDict[Path, tuple[tuple[int, ...], Mapping[str, Sequence[str]]]] = OrderedDict()
        self._held = 0
        self._lock = threading.Lock()

    def of(self, folder: Path, state: tuple[int, ...]) -> Mapping[str, Sequence[str]]:
        """Those of a folder; state: what is another one once anything has come into it."""
        with self._lock:
            if (known := self._folders.get(folder)) is not None and known[0] == state:
                self._folders.move_to_end(folder)
                return known[1]
        found = _listed(folder)
        with self._lock:
            self._forget(folder)
            self._folders[folder] = state, found
            self._held += len(found)
            while self._held > self._most and len(self._folders) > 1:
                self._forget(next(iter(self._folders)))
        return found

    def _forget(self, folder: Path) -> None:
        _, names = self._folders.pop(folder, ((), {}))
        self._held -= len(names)


_remembered = _Remembered(_MOST_NAMES)
