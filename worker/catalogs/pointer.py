"""Which version of each catalog the children of this host should serve: a small file beside the downloaded versions."""

from __future__ import annotations

import json
from pathlib import Path

from packsight.shared.storage.files import write_whole


def local_pointer(home: Path, name: str) -> Path:
    """File of a worker host that names the version its children should serve."""
    return home / "replica" / name / "CURRENT"


def write_local_pointer(home: Path, name: str, version: str) -> None:
    """Let the children of this host take up a version that has been downloaded and checked."""
    write_whole(local_pointer(home, name), json.dumps({"version": version}))


def read_local_pointer(home: Path, name: str) -> Path | None:
    """Folder of the version that this host serves, or None."""
    try:
        version = json.loads(local_pointer(home, name).read_text())["version"]
    except FileNotFoundError:
        return None
    return home / "replica" / name / "versions" / str(version)
