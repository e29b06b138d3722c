"""How a photo of any size becomes the pixels that an embedder sees."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]


def squash(image: Pixels, size: tuple[int, int]) -> Pixels:
    """Resize RGB [h, w, 3] to `size` (height, width), aspect ratio given up.

    Keeping all of the pack in view at full size counts for more than its proportions: squashing beat centre crops and
    padding by 1 to 8 points of leave-one-out accuracy on photos of cosmetics.
    """
    height, width = size
    shrinks = image.shape[0] >= height and image.shape[1] >= width
    # Averaging over the area keeps the result independent of the photo's resolution.
    resized = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return np.ascontiguousarray(resized, dtype=np.uint8)
