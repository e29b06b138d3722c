"""Files below a folder, with those of linked folders, and without what systems put beside people's own."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

ASIDE = frozenset(
    (
        "@eadir", "#recycle", "@recycle", "#snapshot", "@recently-snapshot", "$recycle.bin", ".trash", "lost+found",
        "system volume information",
    )
)  # fmt: skip
"""Folders of thumbnails, of deleted files and of former states that storage servers and systems make, in lower case."""


def files_below(root: Path, skipped: Counter[str], failed: Callable[[OSError], None] | None = None) -> Iterator[Path]:
    """Yield the files below a folder, each folder's sorted by name before those of its folders.

    Links to folders are followed, and each folder once: rather under its own name than under that of a link beside it. One that
    leads to a folder above the first is not: all that lies there was not meant.
    Folders that are left out, hidden ones, those in ASIDE and those that were entered by another name, are counted in `skipped`
    by their names with a slash; one that cannot be listed is told to `failed`.
    """
    seen = set[tuple[int, int]]()
    for one in (root, *root.resolve().parents):
        with suppress(OSError):  # whoever lists the first says what is wrong with it
            seen.add(_identity(one))
    for folder, folders, files in os.walk(root, onerror=failed, followlinks=True):
        links_last = sorted(folders, key=lambda name: (Path(folder, name).is_symlink(), name))
        folders[:] = sorted(name for name in links_last if _entered(Path(folder, name), seen, skipped))
        yield from (Path(folder, name) for name in sorted(files))


def is_aside(folder: str) -> bool:
    """Whether a folder of this name holds nothing that people put there: hidden ones, and those in ASIDE."""
    return folder.startswith(".") or folder.lower() in ASIDE


def _entered(folder: Path, seen: set[tuple[int, int]], skipped: Counter[str]) -> bool:
    if is_aside(folder.name):
        skipped[f"{folder.name}/"] += 1
        return False
    try:
        here = _identity(folder)
    except OSError:
        return True  # whoever lists it says why it cannot be
    if here in seen:
        skipped[f"{folder.name}/"] += 1
        return False
    seen.add(here)
    return True


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino
