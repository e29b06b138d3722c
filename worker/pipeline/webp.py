"""WebP by OpenCV: by the same libwebp it has the pixels that Pillow gives it, for 6 to 9 bytes each at the peak, not 16."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from packsight.shared.vision.structure import Size

_ROWS = 256
"""That are turned from blue, green and red at a time: whoever turns a picture in its place copies it."""


def is_still(image: Image.Image) -> bool:
    """Whether an opened picture is a WebP of one frame; of an animation OpenCV reads more than the first."""
    return image.format == "WEBP" and not getattr(image, "is_animated", False)


def pixels(data: bytes, size: Size) -> npt.NDArray[np.uint8]:
    """RGB or RGBA uint8 [height, width, 3 or 4] of a file with a still picture of this size.

    One with colours that is transparent all over is opaque, as for `load`. Raises EOFError where the file ends too early or is
    damaged, as Pillow does.
    """
    found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if found is None or found.shape[:2] != size[::-1]:
        raise EOFError("no picture of its size can be decoded")
    decoded = found.astype(np.uint8, copy=False)
    code = cv2.COLOR_BGRA2RGBA if decoded.shape[2] == 4 else cv2.COLOR_BGR2RGB
    for top in range(0, len(decoded), _ROWS):
        part = decoded[top : top + _ROWS]
        cv2.cvtColor(part, code, dst=part)
    if decoded.shape[2] == 4 and not decoded[:, :, 3].any() and decoded.any():
        decoded[:, :, 3] = 255
    return decoded
