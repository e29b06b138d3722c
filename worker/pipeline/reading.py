"""Photos to their lines of text, long ones part by part."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import cv2
import numpy as np

from packsight.shared.contract.outcomes import WordRead
from packsight.shared.matching.candidates import Frame
from packsight.shared.vision.features import FloatArray
from packsight.worker.networks.base import Enough, Spotter
from packsight.worker.pipeline.decode import Photo
from packsight.worker.pipeline.extracted import part_of
from packsight.worker.pipeline.long_photos import LONG_PHOTOS, parts

_SAME = 0.5
"""Share of a line's box inside others from which it is the same text, as where the spotter itself looks twice."""


def read_in_parts(spotter: Spotter, photos: Sequence[Photo], enough: Enough | None = None) -> list[list[WordRead]]:
    """Lines of each photo, boxes in pixels of its decoded copy; `enough` is asked with the lines of all parts read so far."""
    frames = [(index, frame) for index, photo in enumerate(photos)
              for frame in parts((photo.width, photo.height), LONG_PHOTOS.read)]  # fmt: skip
    so_far: list[list[WordRead]] = [[] for _ in frames]

    def together(index: int) -> list[WordRead]:
        placed = [_placed(words, frame, photos[index])
                  for (owner, frame), words in zip(frames, so_far, strict=True) if owner == index]  # fmt: skip
        return placed[0] if len(placed) == 1 else _once(word for words in placed for word in words)

    def ask(number: int, words: list[WordRead]) -> bool:
        so_far[number], index = words, frames[number][0]
        return enough is not None and enough(index, together(index))

    images = [part_of(photos[index], frame).pixels for index, frame in frames]
    so_far[:] = spotter.spot(images, ask if enough is not None else None)
    return [together(index) for index in range(len(photos))]


def _placed(words: Sequence[WordRead], part: Frame, photo: Photo) -> list[WordRead]:
    """Lines of a part, given in pixels of the original, with boxes in those of the whole decoded copy."""
    left, top = int(part.left * photo.pixels.shape[1] / photo.width), int(part.top * photo.pixels.shape[0] / photo.height)
    if not left and not top:
        return list(words)
    return [word.model_copy(update={"box": [(x + left, y + top) for x, y in word.box]}) for word in words]


def _once(words: Iterable[WordRead]) -> list[WordRead]:
    """Lines from top to bottom, of those at one place the largest: at the end of a part a line is cut off."""
    kept: list[tuple[FloatArray, WordRead]] = []
    boxes = [(np.array(word.box, np.float32), word) for word in words]
    for box, word in sorted(boxes, key=lambda pair: -cv2.contourArea(pair[0])):
        shared = sum(cv2.intersectConvexConvex(box, other)[0] for other, _ in kept)
        if shared < _SAME * max(cv2.contourArea(box), 1e-6):
            kept.append((box, word))
    return [word for box, word in sorted(kept, key=lambda pair: (pair[0][0, 1], pair[0][0, 0]))]
