"""What networks see on the photos to judge by, measured against what they saw before."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from packsight.shared.contract.outcomes import WordRead
from packsight.shared.settings import Decode
from packsight.shared.vision.features import FloatArray
from packsight.worker.networks.base import Embedder, Spotter
from packsight.worker.quantise.answers import Answers
from packsight.worker.quantise.judge import MAX_LOST_PHOTOS, MAX_LOST_WORDS, Measure, nearest_right, word_agreement
from packsight.worker.quantise.material import Material, Shot

Words = list[list[WordRead]]


class Examination:
    """Compares an embedder or a spotter, one network of which is in int8, with the one that the settings name.

    answers: None where the catalog was made by other networks, so that nothing can be asked of it.
    exact: the spotter in float32, whose words both are measured against.
    """

    def __init__(
        self, material: Material, limits: Decode, embedder: Embedder, spotter: Spotter, exact: Spotter, answers: Answers | None
    ) -> None:
        self._limits, self._answers = limits, answers
        self._own = [*material.judged, *material.calibration]
        self._asked = [*material.judged, *material.labelled]
        self._judged, self._labelled = np.arange(len(material.judged)), material.labelled
        self._products = np.array([shot.product for shot in self._own], np.int64)
        self._looks = self._look(embedder)
        self._words, self._exact = self._read(spotter), self._read(exact)
        self._right = self._answered(self._looks, self._words)

    def embedder(self, other: Embedder) -> list[Measure]:
        """Nearest photos among the catalog's own, and answers."""
        looks = self._look(other)
        before, after = (
            nearest_right(some[: len(self._own)], self._products, self._judged) for some in (self._looks, looks)
        )
        near = Measure("nearest photo right", before, after, len(self._judged), MAX_LOST_PHOTOS)
        return [near, *self._answers_lost(looks, self._words)]

    def spotter(self, other: Spotter) -> list[Measure]:
        """Words, and answers."""
        words = self._read(other)
        (before, count), (after, _) = (word_agreement(self._exact, some) for some in (self._words, words))
        same = Measure("words as in float32", before, after, count, MAX_LOST_WORDS)
        return [same, *self._answers_lost(self._looks, words)]

    def _answers_lost(self, looks: FloatArray, words: Words) -> list[Measure]:
        if self._right is None:
            return []
        after = self._answered(looks, words)
        return [Measure("answers right", self._right, after or 0.0, len(self._asked), MAX_LOST_PHOTOS)]

    def _answered(self, looks: FloatArray, words: Words) -> float | None:
        if self._answers is None:
            return None
        asked = np.concatenate([looks[self._judged], looks[len(self._own) :]])
        return self._answers.right(asked, words)

    def _look(self, embedder: Embedder) -> FloatArray:
        """Raw embeddings of the catalog's own photos, then of the labelled ones."""
        shots: Sequence[Shot] = [*self._own, *self._labelled]
        return np.concatenate([embedder.embed([shot.photo(self._limits).pixels]) for shot in shots])

    def _read(self, spotter: Spotter) -> Words:
        return [spotter.spot([shot.photo(self._limits).pixels])[0] for shot in self._asked]
