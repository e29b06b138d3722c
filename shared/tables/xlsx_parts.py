"""The parts of an .xlsx and their XML; what a damaged part would say is left out."""

from __future__ import annotations

import io
import posixpath
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import IO
from urllib.parse import unquote
from xml.parsers import expat

Attributes = Mapping[str, str]
_DAMAGED = (KeyError, ValueError, EOFError, OSError, RuntimeError, zlib.error, zipfile.BadZipFile, expat.ExpatError)
"""What reading a damaged part raises."""


class Archive:
    """The parts of a workbook, whose names are the same in letters of either case."""

    def __init__(self, data: bytes) -> None:
        self._file = zipfile.ZipFile(io.BytesIO(data))
        self._names = {name.lower(): name for name in self._file.namelist()}

    def __contains__(self, part: str) -> bool:
        return part.lower() in self._names

    def open(self, part: str) -> IO[bytes]:
        """A part to be read; raises KeyError where there is none."""
        return self._file.open(self._names[part.lower()])


@contextmanager
def undamaged() -> Iterator[None]:
    """Leave out what a damaged part would say."""
    try:
        yield
    except _DAMAGED:
        return


def related_to(archive: Archive, part: str) -> dict[str, tuple[str, str]]:
    """By the identity of each relationship of a part its kind, and the part, or the address, that it leads to."""
    folder, name = posixpath.split(part)
    relations = f"{folder}/_rels/{name}.rels"
    if relations not in archive:
        return {}
    found: dict[str, tuple[str, str]] = {}
    told: list[Attributes] = []
    with undamaged():
        told = elements(archive, relations, "Relationship")
    for one in told:
        target = one.get("Target", "")
        if one.get("TargetMode") != "External":
            target = posixpath.normpath(posixpath.join("/", folder, target)).lstrip("/")
        elif "://" not in target:
            target = unquote(target)
        found[one.get("Id", "")] = (posixpath.basename(one.get("Type", "")), target)
    return found


def elements(archive: Archive, part: str, wanted: str) -> list[Attributes]:
    """The attributes of the elements of a part that have this name."""
    found: list[Attributes] = []
    parse(archive, part, lambda name, attributes: found.append(attributes) if name == wanted else None)
    return found


def parse(
    archive: Archive,
    part: str,
    start: Callable[[str, Attributes], None],
    end: Callable[[str], None] | None = None,
    text: Callable[[str], None] | None = None,
) -> None:
    """Read a part, telling of elements by their names without their spaces'."""
    parser = expat.ParserCreate()
    parser.StartElementHandler = lambda name, attributes: start(name.rpartition(":")[2], attributes)
    if end is not None:
        parser.EndElementHandler = lambda name: end(name.rpartition(":")[2])
    if text is not None:
        parser.CharacterDataHandler = text
    with archive.open(part) as file:
        parser.ParseFile(file)


def by_name(attributes: Attributes, name: str) -> str:
    """The attribute of this name, whatever space it is of."""
    return next((value for key, value in attributes.items() if key.rpartition(":")[2] == name and ":" in key), "")
