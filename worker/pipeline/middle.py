"""The middle of a photo, where people hold the pack that they ask about."""

from __future__ import annotations

from packsight.shared.parameters import MATCHING, LookParameters
from packsight.worker.networks.base import Image


def middle(photo: Image, parameters: LookParameters = MATCHING.looks) -> Image:
    """The part around the centre of RGB pixels [height, width, 3], at least one of them; a view, nothing is copied."""
    height, width = photo.shape[:2]
    rows, columns = (max(round(parameters.middle * side), 1) for side in (height, width))
    top, left = (height - rows) // 2, (width - columns) // 2
    return photo[top : top + rows, left : left + columns]
