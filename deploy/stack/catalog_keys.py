"""The keys by which a stack's workers know the catalogs of its indexer: made once, the private one in a file of its folder."""

from __future__ import annotations

import json
import os
from pathlib import Path

from packsight.deploy.stack.state import StackFolder
from packsight.shared.catalog.signatures import create_key, public_key, read_key


def of_everyone(folder: StackFolder) -> dict[str, str]:
    """What every process of the stack is told; makes the keys where there are none. Raises UserError for a damaged file."""
    if (file := _file(folder)) is None:
        return {}
    private = read_key(file) if file.exists() else create_key(file)
    return {"PACKSIGHT_CATALOG__PUBLIC_KEYS": json.dumps([public_key(private)])}


def of_publishers(folder: StackFolder) -> dict[str, str]:
    """What the indexer is told beside it, and whoever types its commands."""
    return {} if (file := _file(folder)) is None else {"PACKSIGHT_CATALOG__SIGNING_KEY": file.read_text()}


def _file(folder: StackFolder) -> Path | None:
    """None where the environment names keys of its own."""
    named = any(name.startswith(("PACKSIGHT_CATALOG__SIGNING_KEY", "PACKSIGHT_CATALOG__PUBLIC_KEYS")) for name in os.environ)
    return None if named else folder.catalog_key
