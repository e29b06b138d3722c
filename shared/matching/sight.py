"""Could a product have been seen on a photo? Only then does `no_match` say something about the catalog.

What a photo shows is what the stages saw on it: a word that was surely read, of a poor picture several, or, unless it is tiny,
a catalog photo that lies over it, be it only a sibling's. How good the picture is, its thumbnail and its size tell.
"""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
import numpy.typing as npt

from packsight.shared.contract.lacking import Lack
from packsight.shared.matching.candidates import Query
from packsight.shared.matching.close import Laid
from packsight.shared.parameters import SightParameters

Grey = npt.NDArray[np.float32]


def lacks(query: Query, laid: Iterable[Laid], parameters: SightParameters) -> tuple[Lack, ...]:
    """What the photo lacks, the most important first; nothing where a product could have been seen on it."""
    faults = _faults(query, parameters)
    over_it = Lack.RESOLUTION not in faults and any(one.match.inliers for one in laid)
    if over_it or letters(query, parameters) >= (parameters.letters if faults else parameters.word):
        return ()
    return faults or (Lack.NOTHING_FOUND,)


def _faults(query: Query, parameters: SightParameters) -> tuple[Lack, ...]:
    """What is wrong with the picture itself."""
    found = [Lack.RESOLUTION] if 1 < min(query.frame.width, query.frame.height) < parameters.small else []
    grey = _grey(query.thumbnail)
    if grey is None:
        return tuple(found)
    shade, middle, light = np.percentile(grey, [100 * parameters.few, 50, 100 - 100 * parameters.few]).tolist()
    if light < parameters.dark:
        return (Lack.LIGHT, *found)
    if middle > parameters.bright and shade > parameters.veiled:
        return (Lack.OVEREXPOSED, *found)
    if not found and light - shade >= parameters.contrast and sharpness(grey, parameters) < parameters.sharp:
        return (Lack.SHARPNESS,)
    return tuple(found)


def letters(query: Query, parameters: SightParameters) -> int:
    """Letters and digits of the lines that were surely read."""
    return sum(sum(map(str.isalnum, line.text)) for line in query.lines if line.confidence >= parameters.surely)


def sharpness(grey: Grey, parameters: SightParameters) -> float:
    """How fast the steepest edges turn: strongest second derivative ÷ strongest first, [height, width] of grey levels.

    It depends on the edges' width alone, not on the contrast: near 0.3 where they are as steep as pixels allow.
    """
    second = np.abs(cv2.Laplacian(grey, cv2.CV_32F))
    first = np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))
    rank = 100 - 100 * parameters.few
    return float(np.percentile(second, rank) / max(np.percentile(first, rank), 1.0))


def _grey(jpeg: bytes) -> Grey | None:
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_GRAYSCALE) if jpeg else None
    return None if image is None else image.astype(np.float32)
