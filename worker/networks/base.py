"""What a worker needs of its networks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from packsight.shared.contract.outcomes import WordRead
from packsight.shared.vision.features import FloatArray
from packsight.shared.vision.models import EmbedderDescription, SpotterDescription

Image = npt.NDArray[np.uint8]
"""RGB pixels [height, width, 3], upright."""


Enough = Callable[[int, list[WordRead]], bool]
"""Given the number of an image and the lines read so far: may its other lines stay unread?"""


class Embedder(Protocol):
    """Turns looks into numbers."""

    @property
    def description(self) -> EmbedderDescription:
        """What the embeddings depend on."""
        ...

    def embed(self, images: Sequence[Image]) -> FloatArray:
        """Return raw embeddings [n, dimension]; an image's embedding does not depend on its neighbours."""
        ...

    def warm_up(self) -> None:
        """Run a synthetic image, so that the first real one finds everything built."""
        ...


class Spotter(Protocol):
    """Reads the lines of text on a photo."""

    @property
    def description(self) -> SpotterDescription:
        """What the words depend on."""
        ...

    def spot(self, images: Sequence[Image], enough: Enough | None = None) -> list[list[WordRead]]:
        """Return the lines of each image, from top to bottom, boxes in pixels of that image.

        A spotter that reads line by line begins with the most prominent and asks `enough` now and then.
        """
        ...

    def read_at(self, images: Sequence[Image], corners: Sequence[FloatArray]) -> list[list[WordRead]]:
        """Read lines of each image whose places are known: corners [lines, 4, 2] in its pixels, from the text's top left on.

        A spotter that cannot read without having found the text itself returns no line.
        """
        ...

    def warm_up(self) -> None:
        """Run the common declared shapes, so that the first real photo finds everything built."""
        ...
