"""Straight strips of text, each warped once from the photo's own pixels."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from packsight.worker.networks.base import Image
from packsight.worker.networks.spotters.ppocr.boxes import Floats
from packsight.worker.networks.spotters.ppocr.parameters import SPOTTING, StripParameters


def reading_order(boxes: Floats, parameters: StripParameters = SPOTTING.strips) -> Floats:
    """Start each box [n, 4, 2] at its text's top left, taking tall boxes for lines that read downwards."""
    tall = _tall(boxes, parameters.tall)
    turned = boxes.copy()
    turned[tall] = np.roll(boxes[tall], -1, axis=1)
    return turned


def sideways(boxes: Floats, parameters: StripParameters = SPOTTING.strips) -> bool:
    """Tell whether a photo with these boxes lies on its side: most of several lines run up or down."""
    tall = _tall(boxes, parameters.tall)
    return len(boxes) >= parameters.sideways_lines and bool(tall.mean() >= parameters.sideways_share)


def _tall(boxes: Floats, ratio: float) -> npt.NDArray[np.bool_]:
    width = np.linalg.norm(boxes[:, 1] - boxes[:, 0], axis=1)
    height = np.linalg.norm(boxes[:, 3] - boxes[:, 0], axis=1)
    return np.asarray(height > ratio * width)


def strip_width(box: Floats, height: int) -> int:
    """Width in pixels of a box [4, 2] scaled to `height`."""
    width = float(np.linalg.norm(box[1] - box[0]))
    return max(1, int(np.ceil(width * height / max(1.0, float(np.linalg.norm(box[3] - box[0]))))))


def strip(image: Image, box: Floats, width: int, parameters: StripParameters = SPOTTING.strips) -> Image:
    """Warp the content of a box [4, 2] to a strip [height, width, 3]."""
    height = parameters.height
    shrink = float(np.linalg.norm(box[3] - box[0])) / height
    target = np.array([[0, 0], [width, 0], [0, height]], np.float32)
    if shrink > parameters.max_shrink:
        image, box = _reduced(image, box, shrink, parameters)
    transform = cv2.getAffineTransform(box[[0, 1, 3]], target)
    return cv2.warpAffine(image, transform, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[return-value]


def _reduced(image: Image, box: Floats, shrink: float, parameters: StripParameters) -> tuple[Image, Floats]:
    """Cut out the surroundings of the box and bring them near their final size."""
    around = parameters.surroundings
    low = np.clip(np.floor(box.min(axis=0)) - around, 0, None).astype(int)
    high = np.clip(np.ceil(box.max(axis=0)) + around, 0, image.shape[1::-1]).astype(int)
    part = image[low[1] : high[1], low[0] : high[0]]
    if part.size == 0:
        return image, box
    width, height = (max(1, round(side / shrink * parameters.first_size)) for side in (part.shape[1], part.shape[0]))
    scale = np.array((width / part.shape[1], height / part.shape[0]), np.float32)
    return cv2.resize(part, (width, height), interpolation=cv2.INTER_AREA), (box - low.astype(np.float32)) * scale  # type: ignore[return-value]
