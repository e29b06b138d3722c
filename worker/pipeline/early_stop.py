"""When is enough known of a photo? The question that is asked after each piece of evidence."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.contract.outcomes import WordRead
from packsight.shared.matching.candidates import Query
from packsight.shared.matching.matcher import by_barcode, is_confident
from packsight.worker.pipeline.extracted import Extracted

log = logging.getLogger(__name__)


class EarlyStop:
    """Stops as soon as the catalog matches a photo by its barcode, or by its appearance and the words read so far.

    Without a snapshot everything is extracted of every photo. The catalog is searched once per photo, however often it
    is asked about; what was searched is left with the photo.
    """

    def __init__(self, snapshot: Snapshot | None) -> None:
        self._snapshot = snapshot

    @property
    def may_stop(self) -> bool:
        """False when everything is to be extracted, so that nobody need ask."""
        return self._snapshot is not None

    def __call__(self, photo: Extracted, words: Sequence[WordRead] = ()) -> bool:
        """Tell whether a photo need not be looked at further; a matcher that fails is asked again when all is known.

        Appearance alone never suffices: siblings look alike, so without a word there is nothing to ask about.
        """
        if self._snapshot is None or photo.decided:
            return photo.decided
        try:
            if not words:
                photo.decided = by_barcode(photo.barcodes, self._snapshot) is not None
                return photo.decided
            if photo.query is None:
                photo.query = Query.of(photo.described(), self._snapshot)
            photo.decided = is_confident(photo.query.with_words(words, self._snapshot), self._snapshot)
        except Exception:
            log.exception("whether a photo need be looked at further is not known")
        return photo.decided
