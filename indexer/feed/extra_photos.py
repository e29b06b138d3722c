"""Extra photos of products: image files in folders that are named after vendor codes, on disk or in object storage."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from packsight.shared.contract.errors import UserError
from packsight.shared.contract.references import is_whole, printable
from packsight.shared.storage.objects import ObjectStore
from packsight.shared.storage.walk import files_below
from packsight.shared.vision.suffixes import IMAGE_SUFFIXES


def extra_photos(location: str, store: ObjectStore, skipped: Counter[str] | None = None) -> Iterator[tuple[str, str]]:
    """List extra photos: the vendor code that each is for, and its name below the folder, or its whole address in object storage.

    `location`: a folder or `s3://bucket/prefix`. A photo's vendor code is the name of the folder it lies in, at any
    depth: `<vendor code>/1.heic` and `<group>/<vendor code>/1.heic` both count; each code's photos come in the order of their
    names. `skipped` counts, by suffix or folder, what is left out. Raises UserError without such a folder.
    """
    counts: Counter[str] = Counter() if skipped is None else skipped
    return _stored(location, store, counts) if _is_stored(location) else _local(Path(location), counts)


def check_folder(location: str) -> None:
    """Raise UserError when extra photos are to lie in a folder that is none; an empty location names none."""
    if not is_whole(location):
        raise UserError(f"{printable(location)}: this name is not written in UTF-8. Rename the folder.")
    if location and not _is_stored(location) and not Path(location).is_dir():
        raise UserError(f"{location} is not a folder. Give the folder that holds one folder of photos per vendor code.")


def _is_stored(location: str) -> bool:
    return location.startswith("s3://")


def _is_photo(name: PurePosixPath) -> bool:
    return name.suffix.lower() in IMAGE_SUFFIXES and not name.name.startswith(".")


def _code(name: PurePosixPath) -> str:
    """The vendor code of a photo, its letters composed as those of feeds; macOS takes accents apart."""
    return unicodedata.normalize("NFC", name.parent.name)


def _local(folder: Path, skipped: Counter[str]) -> Iterator[tuple[str, str]]:
    check_folder(str(folder))
    for path in files_below(folder, skipped):
        name = PurePosixPath(path.relative_to(folder).as_posix())
        if not is_whole(str(name)):
            skipped["with names that are not UTF-8"] += 1
        elif _is_photo(name) and name.parent.name:
            yield _code(name), str(name)
        else:
            skipped[name.suffix.lower() or name.name] += 1


def _stored(location: str, store: ObjectStore, skipped: Counter[str]) -> Iterator[tuple[str, str]]:
    bucket, _, prefix = location.removeprefix("s3://").partition("/")
    prefix = prefix.rstrip("/") + "/" if prefix.strip("/") else ""
    for key in store.list(prefix, bucket=bucket):
        name = PurePosixPath(key.removeprefix(prefix))
        if _is_photo(name) and name.parent.name:
            yield _code(name), f"s3://{bucket}/{key}"
        elif not key.endswith("/"):
            skipped[name.suffix.lower() or name.name] += 1
