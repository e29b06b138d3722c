"""Descriptors of a catalog's key points in 32 bytes instead of 128.

Product codes (Jégou, Douze & Schmid, "Product quantization for nearest neighbor search", PAMI 2011): four values at a time, half
the histogram of one of SIFT's 16 cells, are told by the number of the most similar of 256 quadruples. Photos of all kinds share
them, so that they are shipped and nothing is learned of a catalog. What customers' photos show is compared as it is, which loses
less than codes on both sides.
"""

from __future__ import annotations

import numpy as np

from packsight.shared.catalog.codebook import CODEBOOK_FILE
from packsight.shared.vision.features import ByteArray

CODEBOOK: ByteArray = np.load(CODEBOOK_FILE, allow_pickle=False)
"""Quadruples [32, 256, 4] of each part of a descriptor."""
CODE_BYTES = len(CODEBOOK)
DESCRIPTOR = CODE_BYTES * CODEBOOK.shape[2]
"""Values of a descriptor."""

# One number of four bytes for each quadruple is taken at a time: a photo's 600 points cost 0.05 ms.
_FLAT = CODEBOOK.view(np.uint32).ravel()
_FIRST = CODEBOOK.shape[1] * np.arange(CODE_BYTES)


def decode(codes: ByteArray) -> ByteArray:
    """Descriptors [n, 128] that codes [n, 32] stand for."""
    return np.asarray(_FLAT.take(codes + _FIRST).view(np.uint8))
