"""Where photos come from: folders, image files, lists of references and s3:// prefixes."""

from __future__ import annotations

import os
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath, PurePosixPath

from packsight.producer.lists import STANDARD_INPUT, SUFFIXES, Entry, read_list, read_standard_input
from packsight.shared.contract.errors import UserError
from packsight.shared.contract.references import shown
from packsight.shared.storage.names import find, without_scheme
from packsight.shared.storage.objects import ObjectStore
from packsight.shared.storage.walk import files_below, is_aside
from packsight.shared.vision.suffixes import IMAGE_SUFFIXES

_TOLD = 3
"""Sources that are named of a job."""
_AROUND = {'""', "''", "<>"}
"""Pairs of marks that lists have around addresses, none of which may stand in one."""
_EMPTY = "A source is empty: a shell variable may not be set. Name a folder, a file or an address."


@dataclass(frozen=True, slots=True)
class Item:
    """A photo to submit: the name that its row will carry, and a local file or a reference that workers can fetch."""

    name: str
    where: Path | str
    """Empty where an entry of a list names no photo: its row says so."""
    extra: Mapping[str, str] = field(default_factory=dict)
    """The caller's own columns."""


Source = str | os.PathLike[str] | Item
"""What programs name: a folder, file, list, address or prefix, or a photo with its name and columns."""


def each(sources: object) -> Iterable[object]:
    """Several sources, or the one: taken for several, a text would be single characters, of which `/` is the whole disk."""
    if isinstance(sources, Iterable) and not isinstance(sources, (str, bytes, bytearray, memoryview, os.PathLike)):
        return sources
    return [sources]


def spelt(source: object) -> str:
    """A path or address as text; raises UserError for what names nothing, such as a photo's bytes."""
    found = os.fspath(source) if isinstance(source, os.PathLike) else source
    if isinstance(found, str):
        # Standard input is asked for by a text; a path names a file or a folder.
        return f"./{found}" if found == STANDARD_INPUT and found is not source else found
    raise UserError(f"Photos are named by paths or addresses, not by {type(source).__name__}. Write bytes to a file first.")


def expand(
    sources: Sequence[str], store: ObjectStore, column: str | None = None, skipped: Counter[str] | None = None
) -> Iterator[Item]:
    """Yield the photos of all sources in order, folders sorted by path.

    A file named on the command line is taken whatever its suffix, except those of lists of references; `-` is a list on
    standard input. `column` is the column of references where a list has columns; by default the first of
    packsight.producer.lists.COLUMNS. `skipped` counts, by suffix, the files of folders and prefixes that are no photos.

    Raises UserError for a source that does not exist or a list without that column, StorageError when a prefix cannot
    be listed.
    """
    counts: Counter[str] = Counter() if skipped is None else skipped
    for source in map(without_scheme, sources):
        if source == STANDARD_INPUT:
            yield from resolve(read_standard_input(column), Path())
        elif source.startswith("s3://"):
            yield from _prefix(source, store, counts)
        elif "://" in source:
            yield single(source)
        elif not source:
            raise UserError(_EMPTY)
        elif (path := Path(source)).is_dir():
            yield from _folder(path, counts)
        elif not path.is_file():
            raise UserError(
                f"{source} is neither a file nor a folder. Check the path; addresses need https:// or s3://."
            )
        elif path.suffix.lower() in SUFFIXES:
            yield from resolve(read_list(path, column), path.parent)
        else:
            yield Item(printable_path(source), path)


def in_words(photos: Mapping[str, int]) -> str:
    """Say what a job came from, by how many photos each source had: `photos/ (131 photos)`."""
    told = [f"{shown(source)} ({count:,} {'photo' if count == 1 else 'photos'})" for source, count in photos.items()]
    return ", ".join(told[:_TOLD]) + (f" and {len(told) - _TOLD:,} more" if len(told) > _TOLD else "")


def single(image: str) -> Item:
    """One photo, named by an address or a path of any suffix; raises UserError when the path is no file."""
    image = without_scheme(image)
    if not image:
        raise UserError(_EMPTY)
    if "://" not in image and not Path(image).is_file():
        if Path(image).is_dir():
            asked = f"packsight submit {shlex.quote(image)} --wait"
            raise UserError(f"{image} is a folder. `{asked}` has all of its photos recognised.")
        raise UserError(f"{image} is not a file. Check the path; addresses need https:// or s3://.")
    return Item(printable_path(image), printable_path(image) if "://" in image else Path(image))


def resolve(entries: Iterable[Entry], folder: Path) -> Iterator[Item]:
    """Turn a list's entries into photos: addresses stay, as does what names none; paths start at the list's own folder."""
    for reference, extra in entries:
        path = without_scheme(reference)
        as_written = not path or "://" in path
        yield Item(reference, _bare(path) if as_written else find(folder, path), extra)


def _bare(address: str) -> str:
    """An address without the quotation marks or angle brackets that it stands in."""
    return address[1:-1] if address[:1] + address[-1:] in _AROUND else address


def is_photo(path: PurePath) -> bool:
    """Whether a file's name promises a photo."""
    return not path.name.startswith(".") and path.suffix.lower() in IMAGE_SUFFIXES


def is_photo_below(prefix: str, key: str) -> bool:
    """The same of a key that begins with a prefix, where what lies in folders that are left out of a local one is none."""
    return is_photo(PurePosixPath(key)) and not any(map(is_aside, _folders(prefix, key)))


def _folders(prefix: str, key: str) -> list[str]:
    """Folders on the way from a prefix to a key, without one whose name the prefix begins: that was asked for."""
    return key.removeprefix(prefix).split("/")[0 if not prefix or prefix.endswith("/") else 1 : -1]


def _kind(path: PurePath) -> str:
    """What is told of a file that is no photo: its suffix, or its name; of hidden photos, that they are hidden."""
    suffix = path.suffix.lower()
    return f".*{suffix}" if path.name.startswith(".") and suffix in IMAGE_SUFFIXES else suffix or path.name


def _folder(root: Path, skipped: Counter[str]) -> Iterator[Item]:
    for path in files_below(root, skipped, refuse_folder):
        if not is_photo(path):
            skipped[_kind(path)] += 1
        else:
            yield Item(printable_path(str(path)), path)


def refuse_folder(error: OSError) -> None:
    """Raise UserError for a folder that cannot be listed."""
    raise UserError(f"{error.filename} cannot be listed: {error.strerror}. Give read access or leave the folder out.")


def _prefix(source: str, store: ObjectStore, skipped: Counter[str]) -> Iterator[Item]:
    bucket, _, prefix = source.removeprefix("s3://").partition("/")
    if not bucket:
        raise UserError(f"{source} names no bucket. Use s3://bucket/prefix.")
    for key in store.list(prefix, bucket=bucket):
        if key != prefix and not is_photo_below(prefix, key):
            aside = next((f"{one}/" for one in _folders(prefix, key) if is_aside(one)), "")
            skipped[aside or _kind(PurePosixPath(key))] += 1
        elif not key.endswith("/"):  # some tools write an empty object for a folder
            yield Item(f"s3://{bucket}/{key}", f"s3://{bucket}/{key}")


def printable_path(name: str) -> str:
    """File names may hold bytes that are not UTF-8; messages and tables may not."""
    return os.fsencode(name).decode("utf-8", errors="replace")
