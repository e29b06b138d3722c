"""Room on the disk of a stack: below which its services keep nothing more."""

from __future__ import annotations

import shutil
from pathlib import Path

_NEEDED = 1_000_000_000
"""Bytes that a sync or the broker's append-only file may soon want."""
_REFUSED = 100
"""SeaweedFS keeps no further object when less than a hundredth of its disk is free; as one process it has no option for that."""


def scarce(folder: Path, *, objects: bool) -> str:
    """What is wrong with the room at a folder, "" where there is enough; it need not be there yet.

    objects: whether SeaweedFS keeps its data there.
    """
    disk = shutil.disk_usage(next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists()))
    refused = disk.total // _REFUSED if objects else 0
    if disk.free >= refused + _NEEDED:
        return ""
    why = f"; object storage keeps nothing when less than {refused / 1e6:,.0f} MB are" if refused else ""
    return f"{disk.free / 1e6:,.0f} MB are free at {folder}{why}"
