"""Networks in int8: where their files are, here and in object storage, and which of them workers run.

    <cache_dir>/int8/<key>/int8.json              what was tried and measured; written last
    <cache_dir>/int8/<key>/<sha256>.xml and .bin  an accepted network; written once
    models/int8/<key>/…                           the same in object storage, from where every host gets it
"""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from packsight.shared.contract.errors import ErrorCode, PacksightError, UserError
from packsight.shared.storage import layout
from packsight.shared.storage.objects import ObjectStore
from packsight.shared.vision.models import EmbedderDescription
from packsight.worker.networks.model_files import network_sha256

COMMAND = "packsight models quantise"
SIDE_CAR = "int8.json"
OWN = "file"
"""How the source of a network begins that is the user's, up to a comma."""


@dataclass(frozen=True, slots=True)
class NetworkFile:
    """A network's file, and what it is computed in."""

    path: Path
    sha256: str
    precision: str
    int8: bool = False


class SideCar(BaseModel):
    """What is known of a network's int8."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    network: str
    """Its role and name, for people."""
    source: str
    """sha256 of the network that it was made from."""
    sha256: str
    """Of the network in int8, as worker.networks.model_files.network_sha256 counts."""
    accepted: bool
    reason: str
    nncf: str
    openvino: str
    cpu: str
    """Where it was measured."""
    photos: int
    """Number of photos that it was calibrated on."""
    photos_sha256: str
    """Hash of their hashes."""
    measured: dict[str, float]
    made_at: datetime


def key(sha256: str, *made_with: object) -> str:
    """Name of a full-precision network: its file's hash, and what else its int8 depends on, if anything."""
    return hashlib.sha256(" ".join([sha256, *map(str, made_with)]).encode()).hexdigest()[:32] if made_with else sha256[:32]


def made_with(description: EmbedderDescription) -> tuple[object, ...]:
    """What an embedder's int8 depends on besides the file: where the graph is ended, and what a side-car file may change.

    Ranges are calibrated on pixels as they are normalised, and a verdict is on vectors as they are pooled. Networks that are
    chosen by name have one way of each.
    """
    told = description
    own = told.source.partition(",")[0] == OWN
    by_side_car = (told.source, told.channels, told.mean, told.std, told.pooling, told.gem_p) if own else ()
    return (told.layer, told.input_size, *by_side_car)


def accepted(cache_dir: Path, key: str, own: NetworkFile) -> NetworkFile | None:
    """The int8 of a network, or None when it was tried and refused.

    Raises UserError when it was not tried, or its files are missing or damaged.
    """
    folder = cache_dir / "int8" / key
    remedy = f"Run `{COMMAND}` once for all hosts, or set PACKSIGHT_MODELS__PRECISION=auto."
    car = _read(folder / SIDE_CAR)
    if car is None:
        raise UserError(f"PACKSIGHT_MODELS__PRECISION=int8, but {own.path.name} has no int8 in {folder}. {remedy}")
    if not car.accepted:
        return None
    file = folder / f"{car.sha256}.xml"
    if not file.is_file() or network_sha256(file) != car.sha256:
        raise UserError(f"{file} is missing or damaged. Delete the folder {folder} and restart. {remedy}")
    return NetworkFile(file, car.sha256, f"int8+{own.precision}", int8=True)


def publish(store: ObjectStore, key: str, car: SideCar, file: Path) -> None:
    """Put a network that was tried into object storage, its side-car last; `file` (.xml) counts if it was accepted."""
    if car.accepted:
        for part in _parts(file):
            store.upload(f"{layout.INT8}{key}/{car.sha256}{part.suffix}", str(part))
    store.write(f"{layout.INT8}{key}/{SIDE_CAR}", car.model_dump_json(indent=1).encode(), content_type="application/json")


def bring(store: ObjectStore, cache_dir: Path, *, renew: bool) -> list[str]:
    """Bring what object storage has into the cache, the side-car last; return the keys that are new here.

    renew: replace what is here already. A running worker must not: its children would no longer agree.
    """
    brought = []
    for name in list(store.list(layout.INT8)):
        key, _, file = name.removeprefix(layout.INT8).partition("/")
        target = cache_dir / "int8" / key / SIDE_CAR
        if file == SIDE_CAR and (renew or not target.exists()) and _bring(store, name.removesuffix(file), target):
            brought.append(key)
    return brought


def _bring(store: ObjectStore, prefix: str, target: Path) -> bool:
    data = store.read(prefix + SIDE_CAR).data
    if target.exists() and target.read_bytes() == data:
        return False
    car = _parse(data, prefix + SIDE_CAR)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".", dir=target.parent) as temporary:
        part = Path(temporary) / f"{car.sha256}.xml"
        if car.accepted:
            for piece in _parts(part):
                store.download(prefix + piece.name, piece)
            if network_sha256(part) != car.sha256:
                raise PacksightError(
                    ErrorCode.INTERNAL, f"{prefix}{part.name} is damaged", remedy=f"Run `{COMMAND}` again.", retryable=True
                )
            # Weights first: a graph without them would look like another network.
            for piece in reversed(_parts(part)):
                piece.replace(target.with_name(piece.name))
        copy = Path(temporary) / SIDE_CAR
        copy.write_bytes(data)
        copy.replace(target)
    return True


def _parts(file: Path) -> tuple[Path, Path]:
    return file, file.with_suffix(".bin")


def _read(file: Path) -> SideCar | None:
    return _parse(file.read_bytes(), str(file)) if file.is_file() else None


def _parse(data: bytes, name: str) -> SideCar:
    try:
        return SideCar.model_validate_json(data)
    except ValidationError:
        raise UserError(f"{name} is damaged or of another release. Run `{COMMAND}` again.") from None
