"""Local files by the names that lists and feeds give them, found as a browser or a file manager would find them."""

from __future__ import annotations

import re
import time
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from urllib.parse import unquote, unquote_plus

_FILE = re.compile(r"file:(?://(?:localhost)?)?(?=/(?!/))", re.IGNORECASE)
"""What stands before the path in the address of a file of this machine (RFC 8089)."""
_SURE_SECONDS = 2.0
"""Age from which a folder's time tells that nothing has come into it since."""


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
    if time.time() - status.st_mtime < _SURE_SECONDS:
        return _listed(folder)
    return _remembered(folder, status.st_ino, status.st_mtime_ns)


def _listed(folder: Path) -> Mapping[str, Sequence[str]]:
    found: dict[str, list[str]] = {}
    for one in folder.iterdir():
        found.setdefault(_plain(one.name), []).append(one.name)
    return found


@lru_cache(maxsize=8)
def _remembered(folder: Path, _inode: int, _changed: int) -> Mapping[str, Sequence[str]]:
    return _listed(folder)
