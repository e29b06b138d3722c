"""Key points as they are stored: places as bytes, descriptors as product codes.

Each part of a histogram is stored as the number of the one like it in a codebook (Jégou, Douze & Schmid, "Product quantization
for nearest neighbor search", PAMI 2011). Only what is stored is coarse: a photo that is asked about keeps its descriptors as they
are, and is compared with what the codes stand for (asymmetric distances, as there).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

from packsight.shared.catalog.arrays import open_array
from packsight.shared.vision.features import ByteArray, FloatArray

CODEBOOK = "codebook.npy"
_WORDS = 256
"""Of each part: what a byte tells apart."""
_VALUES = 128
"""Of a descriptor."""
_STEPS = 256
"""Of a photo's side: an inlier may lie four of them from where the homography puts it."""


def stored_places(points: FloatArray) -> ByteArray:
    """Places [n, 2], shares of a photo's sides, as bytes."""
    return np.clip(np.floor(points * _STEPS), 0, _STEPS - 1).astype(np.uint8)


def places(stored: ByteArray) -> FloatArray:
    """What bytes [n, 2] stand for: the middle of their step."""
    return (stored.astype(np.float32) + np.float32(0.5)) / np.float32(_STEPS)


@dataclass(frozen=True, slots=True)
class Codebook:
    """words: [parts, 256, 128 ÷ parts] what each byte of a code stands for, in the units of descriptors."""

    words: ByteArray

    @property
    def parts(self) -> int:
        """Bytes of a code."""
        return len(self.words)

    def encode(self, descriptors: ByteArray) -> ByteArray:
        """Codes [n, parts] of descriptors [n, 128]."""
        return np.asarray(self._quantizer().compute_codes(descriptors.astype(np.float32)), np.uint8)

    def decode(self, codes: ByteArray) -> ByteArray:
        """Descriptors [n, 128] that codes [n, parts] stand for."""
        return np.asarray(self.words[np.arange(self.parts), codes].reshape(len(codes), _VALUES))

    def _quantizer(self) -> Any:
        quantizer: Any = faiss.ProductQuantizer(_VALUES, self.parts, 8)
        faiss.copy_array_to_vector(self.words.astype(np.float32).ravel(), quantizer.centroids)
        return quantizer

    def save(self, folder: Path) -> None:
        """Write `codebook.npy`."""
        np.save(folder / CODEBOOK, self.words)

    @classmethod
    def open(cls, folder: Path) -> Codebook:
        """Map what `save` wrote; raises OSError or ValueError when it is damaged."""
        words: npt.NDArray[Any] = open_array(folder / CODEBOOK)
        if words.dtype != np.uint8 or words.ndim != 3 or words.shape[1] != _WORDS or words.shape[0] * words.shape[2] != _VALUES:
            raise ValueError(f"a codebook of {words.dtype} {words.shape} is none of descriptors")
        return cls(words)

    @classmethod
    def learn(cls, descriptors: ByteArray, parts: int, rounds: int) -> Codebook:
        """The words of each part that come nearest to those of descriptors [n, 128], by so many rounds of k-means.

        Of fewer descriptors than words there are several times the same; without any, all words are zero.
        """
        if not len(descriptors):
            return cls(np.zeros((parts, _WORDS, _VALUES // parts), np.uint8))
        quantizer: Any = faiss.ProductQuantizer(_VALUES, parts, 8)
        quantizer.cp.niter, quantizer.cp.min_points_per_centroid = rounds, 1
        rows = np.arange(max(len(descriptors), _WORDS)) % len(descriptors)
        quantizer.train(descriptors[rows].astype(np.float32))
        words = faiss.vector_to_array(quantizer.centroids).reshape(parts, _WORDS, -1)
        return cls(np.clip(np.rint(words), 0, 255).astype(np.uint8))
