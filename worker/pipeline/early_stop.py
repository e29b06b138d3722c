"""When is enough known of a photo? The question that is asked after each piece of evidence."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.contract.outcomes import WordRead
from packsight.shared.matching.candidates import Query
from packsight.shared.matching.matcher import by_barcode, is_confident, name_is_read, rank, rank_by_details
from packsight.worker.pipeline.extracted import Extracted

log = logging.getLogger(__name__)


class EarlyStop:
    """Stops as soon as the catalog matches a photo by its barcode, by its details, or by all that is known with the words
    read so far.

    Without a snapshot everything is extracted of every photo. What was searched is left with the photo. A matcher that fails
    is asked again when all is known.
    """

    def __init__(self, snapshot: Snapshot | None) -> None:
        self._snapshot = snapshot

    @property
    def may_stop(self) -> bool:
        """False when everything is to be extracted, so that nobody need ask."""
        return self._snapshot is not None

    def by_barcode(self, photo: Extracted) -> bool:
        """Tell whether the barcodes on a photo decide."""
        if self._snapshot is not None and not photo.decided:
            photo.decided = by_barcode(photo.barcodes, self._snapshot) is not None
        return photo.decided

    def by_details(self, photo: Extracted) -> bool:
        """Tell whether a photo's key points decide; its query and, if they do, its ranking are left with it."""
        if self._snapshot is None or photo.decided:
            return photo.decided
        try:
            photo.query = Query.of_details(*photo.details(), self._snapshot, photo.barcodes or ())
            ranking = rank_by_details(photo.query, self._snapshot)
            if is_confident(ranking, self._snapshot):
                photo.ranking, photo.decided = ranking, True
        except Exception:
            log.exception("whether a photo's details are enough is not known")
        return photo.decided

    def by_words(self, photo: Extracted, words: Sequence[WordRead]) -> bool:
        """Tell whether a photo need not be read further."""
        if self._snapshot is None or photo.decided or not words:
            return photo.decided
        try:
            if photo.query is None:
                photo.query = Query.of_details(*photo.details(), self._snapshot, photo.barcodes or ())
            if not photo.query.vector.any():
                photo.query = photo.query.with_embedding(photo.described().embedding, self._snapshot)
            height, width = photo.photo().pixels.shape[:2]
            ranking = rank(photo.query.with_words(words, (width, height), self._snapshot), self._snapshot)
            photo.decided = is_confident(ranking, self._snapshot) and name_is_read(ranking, self._snapshot)
        except Exception:
            log.exception("whether a photo need be read further is not known")
        return photo.decided
