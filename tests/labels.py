"""Photos with a barcode stuck on."""

from __future__ import annotations

import cv2
import numpy as np

from bench.barcode_print import MODULE, Code, printed

SIZE = 2
"""Pixels of the narrowest bar."""


def labelled(photo: bytes, code: Code) -> bytes:
    """The photo with a label in its upper left corner, as JPEG."""
    pixels = cv2.imdecode(np.frombuffer(photo, np.uint8), cv2.IMREAD_COLOR)
    assert pixels is not None
    label = cv2.resize(printed(code), None, fx=SIZE / MODULE, fy=SIZE / MODULE, interpolation=cv2.INTER_AREA)
    pixels[: label.shape[0], : label.shape[1]] = label
    return cv2.imencode(".jpg", pixels)[1].tobytes()
