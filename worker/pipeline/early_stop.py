"""When is enough known of a photo? The question that is asked after each piece of evidence."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.contract.outcomes import WordRead
from packsight.shared.matching.decision import by_barcode, by_barcodes
from packsight.shared.matching.stages import rank_by_details
from packsight.shared.matching.stopping import early_ranking, is_confident, is_enough_read
from packsight.shared.matching.telling import telling_lines
from packsight.shared.vision.features import Features, FloatArray
from packsight.worker.pipeline.extracted import Extracted, in_original_pixels
from packsight.worker.pipeline.several import Asked, find_several

log = logging.getLogger(__name__)


class EarlyStop:
    """Stops as soon as the catalog matches a photo by its barcode, by its details, by its lines that tell, or by all that is
    known with the words read so far.

    Without a snapshot everything is extracted of every photo; where all is to be read no photo is decided, but its lines that
    tell are known. What was searched is left with the photo. A matcher that fails is asked again when all is known.

    Where several products are looked for, barcodes decide when there are as many, details when all that they show is settled, and
    else every line is read: the next one may name one more.
    """

    def __init__(self, snapshot: Snapshot | None, products: int = 1, *, read_all: bool = False) -> None:
        self._snapshot = snapshot
        self._products = products
        self._read_all = read_all

    @property
    def asks(self) -> bool:
        """False when there is no catalog to be asked about details."""
        return self._snapshot is not None and not (self._read_all and self._products > 1)

    @property
    def may_stop_reading(self) -> bool:
        """False when every line is to be read unless the photo was decided before."""
        return self._snapshot is not None and self._products == 1 and not self._read_all

    def lacks_lines(self, known: Features, version: str) -> bool:
        """Tell whether lines are still to be cut out of a known photo where this version says that they tell."""
        if self._snapshot is None or self._products > 1 or known.cut_for == version:
            return False
        return self._read_all or by_barcode(known.barcodes, self._snapshot) is None

    def by_barcode(self, photo: Extracted) -> bool:
        """Tell whether the barcodes on a photo decide."""
        if self._snapshot is not None and not photo.decided and not self._read_all:
            if self._products == 1:
                photo.decided = by_barcode(photo.barcodes, self._snapshot) is not None
            else:
                photo.decided = len(by_barcodes(photo.barcodes or (), self._snapshot)) >= self._products
        return photo.decided

    def by_details(self, photo: Extracted) -> bool:
        """Tell whether a photo's key points decide; its query and ranking are left with it."""
        if self._snapshot is None or photo.decided:
            return photo.decided
        try:
            photo.query = photo.ask(self._snapshot, photo.barcodes)
            ranking = rank_by_details(photo.query, self._snapshot)
            if self._products > 1:
                whole = Asked.of(photo.query, ranking, self._snapshot)
                photo.several = find_several(whole, self._snapshot, photo.look, self._products)
                photo.decided = photo.several.settled
            else:
                photo.ranking = ranking
                photo.decided = is_confident(ranking, self._snapshot) and not self._read_all
        except Exception:
            log.exception("whether a photo's details are enough is not known")
        return photo.decided

    def telling(self, photo: Extracted) -> FloatArray:
        """Corners [lines, 4, 2] in pixels of the decoded photo of lines that may decide; none where details tell nothing."""
        nowhere = np.zeros((0, 4, 2), np.float32)
        if photo.query is None or photo.ranking is None or self._snapshot is None:
            return nowhere
        try:
            rules = self._snapshot.parameters.telling
            sure = is_confident(photo.ranking, self._snapshot)
            shares = telling_lines(photo.ranking, self._snapshot, rules.checked if sure else rules.lines)
            height, width = photo.photo().pixels.shape[:2]
            original = photo.query.frame.pixels(shares.reshape(-1, 2).astype(np.float32)).reshape(-1, 4, 2)
            return np.asarray(original * (width / photo.photo().width, height / photo.photo().height), np.float32)
        except Exception:
            log.exception("which lines of a photo may decide is not known")
            return nowhere

    def by_lines(self, photo: Extracted) -> bool:
        """Tell whether a photo is decided, given its lines that tell: by them, or by its details, which they may overrule.

        Nothing is known of its looks yet. The ranking that decides is left with it.
        """
        if self._snapshot is None or photo.query is None or photo.ranking is None or not photo.cut or self._read_all:
            return photo.decided
        try:
            query = photo.query.with_words(photo.described().cut, photo.query.frame, self._snapshot)
            photo.early = early_ranking(query, photo.ranking, self._snapshot)
            photo.decided = photo.early is not None
        except Exception:
            log.exception("whether the lines of a photo that tell are enough is not known")
        return photo.decided

    def by_words(self, photo: Extracted, words: Sequence[WordRead]) -> bool:
        """Tell whether a photo need not be read further."""
        if self._snapshot is None or photo.decided or not words:
            return photo.decided
        try:
            if photo.query is None:
                photo.query = photo.ask(self._snapshot, photo.barcodes)
            if not len(photo.query.looks):
                photo.query = photo.query.with_looks(photo.described().looks, self._snapshot)
            lines = in_original_pixels(words, photo.photo())
            read = photo.query.with_words(lines, photo.query.frame, self._snapshot)
            photo.decided = is_enough_read(read, self._snapshot)
        except Exception:
            log.exception("whether a photo need be read further is not known")
        return photo.decided
