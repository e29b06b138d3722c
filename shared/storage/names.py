"""Local files by the names that lists and feeds give them, found as a browser or a file manager would find them."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote


def find(folder: Path, name: str) -> Path:
    """The file that a name below a folder means; the path as it is written where there is none.

    As written first; then with the slashes of Windows turned, without quotation marks, percent signs decoded, without a query
    or fragment; each with letters composed otherwise, as macOS and other systems write accents. A path from the root of the
    system that does not exist is one from the folder.
    """
    for spelling in _spellings(name):
        found = _exact(folder, spelling)
        if found is not None:
            return found
    return folder / name


def _spellings(name: str) -> Iterator[str]:
    turned = name.strip().strip("\"'").replace("\\", "/")
    bare = turned.split("?")[0].split("#")[0]
    yield name
    yield from dict.fromkeys(one.lstrip("/") for one in (turned, unquote(turned), bare, unquote(bare)))


def _exact(folder: Path, name: str) -> Path | None:
    path = folder / name
    try:
        if path.exists():
            return path
        return _composed(folder, name) if not name.isascii() else None
    except (OSError, ValueError):
        return None


def _composed(folder: Path, name: str) -> Path | None:
    """The path whose parts are those of a name but for how their letters are composed."""
    path = folder
    for part in Path(name).parts:
        if (path / part).exists():
            path /= part
            continue
        wanted = unicodedata.normalize("NFC", part)
        same = next((one for one in path.iterdir() if unicodedata.normalize("NFC", one.name) == wanted), None)
        if same is None:
            return None
        path = same
    return path
