"""The matcher's answers to photos, given what networks saw on them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.contract.outcomes import Status, WordRead
from packsight.shared.matching.candidates import Query
from packsight.shared.matching.decision import status_of
from packsight.shared.matching.stages import rank_by_all
from packsight.shared.settings import Decode
from packsight.shared.vision.features import FloatArray, LocalFeatures, make_features
from packsight.worker.pipeline.decode import Photo
from packsight.worker.pipeline.extracted import in_original_pixels
from packsight.worker.pipeline.local_features import query_features, thumbnail
from packsight.worker.quantise.material import Shot


@dataclass(frozen=True, slots=True)
class Asked:
    """A photo to be answered, with what no network has a part in."""

    shot: Shot
    photo: Photo
    """Its pixels are all black and take no memory: only their number counts."""
    local: LocalFeatures
    thumbnail: bytes


class Answers:
    """The matcher's answers to photos, whatever the networks saw on them."""

    def __init__(self, snapshot: Snapshot, shots: Sequence[Shot], limits: Decode) -> None:
        self._snapshot = snapshot
        self._asked = list(_asked(shots, limits))

    def right(self, looks: FloatArray, words: Sequence[Sequence[WordRead]]) -> float:
        """Share of photos answered rightly, given raw embeddings [photos, dimension] and the words on each.

        Right is the product as first candidate, or any status but `matched` where the catalog does not hold it.
        """
        given = zip(self._asked, looks, words, strict=True)
        return float(np.mean([self._right(asked, look, lines) for asked, look, lines in given]))

    def _right(self, asked: Asked, look: FloatArray, lines: Sequence[WordRead]) -> bool:
        size = (asked.photo.width, asked.photo.height)
        read = in_original_pixels(lines, asked.photo)
        features = make_features("", size, np.nan_to_num(look), read, asked.local, asked.thumbnail)
        ranking = rank_by_all(Query.of(features, self._snapshot), self._snapshot, exclusion=asked.shot.exclusion)
        if asked.shot.product < 0:
            return status_of(ranking, self._snapshot) is not Status.MATCHED
        return len(ranking.order) > 0 and int(ranking.order[0]) == asked.shot.product


def _asked(shots: Sequence[Shot], limits: Decode) -> Iterator[Asked]:
    for shot in shots:
        photo = shot.photo(limits)
        shape_alone = np.broadcast_to(np.zeros(3, np.uint8), photo.pixels.shape)
        yield Asked(shot, Photo(shape_alone, photo.width, photo.height), query_features(photo), thumbnail(photo))
