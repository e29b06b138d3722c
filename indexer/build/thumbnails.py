"""Thumbnails as a version keeps them: as many pixels as colours are compared on, of the ones that a photo's features have."""

from __future__ import annotations

import cv2
import numpy as np

from packsight.indexer.build.parameters import FIT, CodeParameters


def small_thumbnail(jpeg: bytes, parameters: CodeParameters = FIT.codes) -> bytes:
    """A WebP of a thumbnail; nothing of one that cannot be read, which is compared with nothing then."""
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR) if jpeg else None
    if image is None:
        return b""
    scale = parameters.thumbnail_side / max(image.shape[:2])
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    done, encoded = cv2.imencode(".webp", small, [cv2.IMWRITE_WEBP_QUALITY, parameters.thumbnail_quality])
    if not done:
        raise RuntimeError("OpenCV could not encode a WebP")
    return bytes(encoded)
