"""From what the networks saw on a photo's pixels to its features, and how much of a photo is read."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.contract.outcomes import WordRead
from packsight.shared.matching.candidates import Query
from packsight.shared.matching.matcher import decided
from packsight.shared.vision.decode import Photo
from packsight.shared.vision.features import Features, FloatArray, make_features

log = logging.getLogger(__name__)


class Enough:
    """Lets the spotter stop reading a photo as soon as the catalog matches it by looks and the words read so far."""

    def __init__(self, photos: Sequence[Photo], embeddings: FloatArray, snapshot: Snapshot) -> None:
        self._photos = photos
        self._embeddings = embeddings
        self._snapshot = snapshot
        self._queries: dict[int, Query] = {}  # searched with once, however often they are asked about
        self.decided: set[int] = set()
        """Photos that were not read to the end."""

    def __call__(self, index: int, words: Sequence[WordRead]) -> bool:
        """Tell whether a photo need not be read further; a matcher that fails is asked again when all was read."""
        try:
            query = self._queries.get(index)
            if query is None:
                looks = features_of(self._photos[index], self._embeddings[index], ())
                query = self._queries[index] = Query.of(looks, self._snapshot)
            if decided(query.with_words(words, self._snapshot), self._snapshot):
                self.decided.add(index)
        except Exception:
            log.exception("whether a photo need be read further is not known")
        return index in self.decided


def features_of(
    photo: Photo, embedding: FloatArray, words: Sequence[WordRead], sha256: str = "", *, complete: bool = True
) -> Features:
    """Features of a photo, without local ones, from what the networks saw on its pixels."""
    size = (photo.width, photo.height)
    return make_features(sha256, size, embedding, in_original_pixels(words, photo), complete=complete)


def in_original_pixels(words: Sequence[WordRead], photo: Photo) -> list[WordRead]:
    """Words as features keep them: boxes in pixels of the original, whose reduced copy the spotter saw."""
    height, width = photo.pixels.shape[:2]
    sx, sy = photo.width / width, photo.height / height
    return [
        WordRead(
            text=word.text,
            confidence=round(word.confidence, 4),
            box=[(round(x * sx, 1), round(y * sy, 1)) for x, y in word.box],
        )
        for word in words
    ]
