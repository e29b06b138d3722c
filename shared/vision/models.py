"""What a model is, apart from what runs it: a frozen description whose fingerprint names the numbers it produces."""

from __future__ import annotations

import hashlib
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from packsight.shared.parameters import DETAILS, DetailParameters, digest


class Pooling(StrEnum):
    """How activations of shape [channels, height, width] become one vector [channels]."""

    NONE = "none"
    AVERAGE = "average"
    GEM = "gem"
    """Generalised mean, (mean of x^p)^(1/p) (Radenović et al., Fine-tuning CNN Image Retrieval, 2018)."""


class _Description(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    def fingerprint(self) -> str:
        """Short name of everything that the model's numbers depend on: `<name>-<12 hex digits>`."""
        digest = hashlib.sha256(self.model_dump_json(exclude_none=True).encode()).hexdigest()[:12]
        return f"{self.name}-{digest}"  # type: ignore[attr-defined]


class EmbedderDescription(_Description):
    """An image embedder."""

    name: str
    source: str
    """Where the file came from: a package and its version, a URL, or `file`."""
    sha256: str
    licence: str
    input_size: tuple[int, int]
    """Height and width in pixels."""
    channels: str
    """`RGB` or `BGR`."""
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    """Subtracted and divided by, in the order of `channels`, on the scale 0…255."""
    layer: str
    pooling: Pooling
    gem_p: float = 3.0
    dimension: int
    precision: str
    preprocessing: int = 2
    """Raised whenever decoding or resizing changes the pixels that the network sees."""


class SpotterDescription(_Description):
    """A text detector with its recogniser."""

    name: str
    source: str
    sha256: dict[str, str]
    """Of each model file, by role."""
    licence: str
    precision: str
    shapes: dict[str, list[tuple[int, int]]]
    """Declared heights and widths in pixels, by role."""
    preprocessing: int = 1
    """Raised whenever the same parameters read a photo in another way."""
    parameters: str | None = None
    """Digest of the numbers by which photos are read; None for a spotter without, or for those of `preprocessing` alone."""
    scripts: tuple[str, ...] = Field(default=(), exclude=True)
    """Scripts whose letters it names, as Unicode calls them; the files' hashes tell, so that no fingerprint does."""


LOCAL_FEATURES = 3
"""Raised whenever the same parameters make key points or thumbnails in another way."""


def details_fingerprint(parameters: DetailParameters = DETAILS) -> str:
    """Name of the way in which key points and thumbnails are made."""
    return f"details-{LOCAL_FEATURES}-{digest(parameters)}"


def describe_key(embedder: str, spotter: str) -> str:
    """Name under which features of this pair of fingerprints are stored."""
    return f"{embedder}+{spotter}+{details_fingerprint().removeprefix('details-')}"
