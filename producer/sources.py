"""Where photos come from: folders, image files, lists of references (.txt, or a table) and s3:// prefixes."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from packsight.shared.contract.errors import UserError
from packsight.shared.contract.references import shown
from packsight.shared.storage.names import find
from packsight.shared.storage.objects import ObjectStore
from packsight.shared.storage.walk import files_below
from packsight.shared.tables.columns import KNOWN
from packsight.shared.tables.encoding import Recoder
from packsight.shared.tables.table import SUFFIXES, named, read_table
from packsight.shared.vision.suffixes import IMAGE_SUFFIXES

COLUMNS = ("image", "picture", "reference", *KNOWN["picture"], "url")
"""Names under which a table's column of references is found, in this order; `url` last, which is also what a product's page is
called."""
_TOLD = 3
"""Sources that are named of a job."""


@dataclass(frozen=True, slots=True)
class Item:
    """A photo to submit: the name that its row will carry, and a local file or a reference that workers can fetch."""

    name: str
    where: Path | str
    extra: Mapping[str, str] = field(default_factory=dict)
    """The caller's own columns."""


def expand(
    sources: Sequence[str], *, store: ObjectStore, column: str | None = None, skipped: Counter[str] | None = None
) -> Iterator[Item]:
    """Yield the photos of all sources in order, folders sorted by path.

    A file named on the command line is taken whatever its suffix, except `.txt` and those of tables, which are lists of
    references. `column` is the tables' column; by default the first of COLUMNS. `skipped` counts, by suffix, the files
    of folders and prefixes that are no photos.

    Raises UserError for a source that does not exist or a table without its column, StorageError when a prefix cannot
    be listed.
    """
    counts: Counter[str] = Counter() if skipped is None else skipped
    for source in sources:
        if source.startswith("s3://"):
            yield from _prefix(source, store, counts)
        elif "://" in source:
            yield single(source)
        elif not source:
            raise UserError("A source is empty: a shell variable may not be set. Name a folder, a file or an address.")
        elif (path := Path(source)).is_dir():
            yield from _folder(path, counts)
        elif not path.is_file():
            raise UserError(
                f"{source} is neither a file nor a folder. Check the path; addresses need https:// or s3://."
            )
        elif path.suffix.lower() == ".txt":
            yield from resolve(_lines(path), path.parent)
        elif path.suffix.lower() in SUFFIXES:
            yield from resolve(_cells(path, column), path.parent)
        else:
            yield Item(_printable(source), path)


def in_words(photos: Mapping[str, int]) -> str:
    """Say what a job came from, by how many photos each source had: `photos/ (131 photos)`."""
    told = [f"{shown(source)} ({count:,} {'photo' if count == 1 else 'photos'})" for source, count in photos.items()]
    return ", ".join(told[:_TOLD]) + (f" and {len(told) - _TOLD:,} more" if len(told) > _TOLD else "")


def single(image: str) -> Item:
    """One photo, named by an address or a path of any suffix; raises UserError when the path is no file."""
    if "://" not in image and not Path(image).is_file():
        raise UserError(f"{image} is not a file. Check the path; addresses need https:// or s3://.")
    return Item(_printable(image), _printable(image) if "://" in image else Path(image))


def resolve(references: Iterable[str], folder: Path) -> Iterator[Item]:
    """Turn a list's entries into photos: addresses stay, paths start at the list's own folder, blanks are left out."""
    for reference in references:
        if text := reference.strip():
            yield Item(text, text if "://" in text else find(folder, text))


def _cells(path: Path, column: str | None) -> Iterator[str]:
    """The cells of a table's column of references."""
    found: str | None = None
    for row in read_table(path):
        if found is None:
            found = named(row, (column,) if column else COLUMNS)
        if found is None:
            wanted = column or "of photos (say image, picture or url)"
            raise UserError(f"{path} has no column {wanted}; it has {', '.join(row)}. Name it with --column.")
        yield row[found]


def _lines(path: Path) -> Iterator[str]:
    try:
        text = Recoder().recode(path.read_bytes(), final=True).decode()
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is no text ({error}). A .txt source is a list, one reference per line.") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from None
    yield from (line for line in text.splitlines() if not line.lstrip().startswith("#"))


def _folder(root: Path, skipped: Counter[str]) -> Iterator[Item]:
    for path in files_below(root, skipped, _refuse):
        if path.name.startswith(".") or path.suffix.lower() not in IMAGE_SUFFIXES:
            skipped[path.suffix.lower() or path.name] += 1
        else:
            yield Item(_printable(str(path)), path)


def _refuse(error: OSError) -> None:
    raise UserError(f"{error.filename} cannot be listed: {error.strerror}. Give read access or leave the folder out.")


def _prefix(source: str, store: ObjectStore, skipped: Counter[str]) -> Iterator[Item]:
    bucket, _, prefix = source.removeprefix("s3://").partition("/")
    if not bucket:
        raise UserError(f"{source} names no bucket. Use s3://bucket/prefix.")
    for key in store.list(prefix, bucket=bucket):
        if key != prefix and PurePosixPath(key).suffix.lower() not in IMAGE_SUFFIXES:
            skipped[PurePosixPath(key).suffix.lower() or PurePosixPath(key).name] += 1
        elif not key.endswith("/"):  # some tools write an empty object for a folder
            yield Item(f"s3://{bucket}/{key}", f"s3://{bucket}/{key}")


def _printable(name: str) -> str:
    """File names may hold bytes that are not UTF-8; messages and tables may not."""
    return os.fsencode(name).decode("utf-8", errors="replace")
