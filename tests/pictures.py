"""Pictures for the tests of embedders, and what is said beside a network's file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]


def drawn(height: int = 300, width: int = 200) -> Image:
    """A bottle of coloured stripes on a gradient."""
    rows, columns = np.mgrid[0:height, 0:width]
    image = np.stack([rows * 255 // height, columns * 255 // width, (rows + columns) % 256], axis=2).astype(np.uint8)
    image[height // 4 : -height // 8, width // 3 : -width // 3] = (200, 40, 60)
    image[height // 2 : height // 2 + 20, width // 3 : -width // 3] = (250, 250, 240)
    return image


def noise(count: int) -> list[Image]:
    rng = np.random.default_rng(7)
    return [rng.integers(0, 256, (90 + 10 * i, 150 - 10 * i, 3), np.uint8) for i in range(count)]


def cosine(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> float:
    return float((a * b).sum() / np.linalg.norm(a) / np.linalg.norm(b))


def describe(file: Path, **fields: Any) -> None:
    file.with_name(file.name + ".json").write_text(json.dumps(fields))
