"""The formula that this system began with in 2020, for comparison: one row per photo, no "not in the catalog".

Text weight of a row: t = 1000·o / Σo where o > 0, o being the number of words read that are among the row's keywords
(words of vendor and model and the words read on that photo); plus 0.5 per word read that equals a one-word vendor,
or 0.1 per word of a longer vendor; plus 0.1 per word read that stands in the model's name. Visual weight of the 25
nearest rows: v = 0.9 - d / Σd, d being the squared L2 distance of the raw embeddings; else 0. Result r = (t + v) /
2; rows with v = 0 and t at least the mean of the positive t get r = (mean of the positive v + t) / 2. The row with
the largest r wins.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.catalog.words.normalise import tokens
from packsight.shared.matching.candidates import Query
from packsight.shared.matching.exclusion import Exclusion, IntArray
from packsight.shared.vision.features import Features, FloatArray

NEAREST = 25
_ROWS = 4096
"""Photos compared at a time, which bounds the memory."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """The formula over a catalog version, whose vectors are projected: it compares what the network itself gave.

    embeddings: [photos, dimension] raw; rows of nan for photos of which none is known, which look like nothing then.
    """

    snapshot: Snapshot
    embeddings: FloatArray

    @classmethod
    def of(cls, snapshot: Snapshot, features: Mapping[str, Features]) -> Baseline:
        """Take the embeddings of the catalog's photos from their features, by sha256."""
        embeddings = np.full((len(snapshot.photo_product), snapshot.manifest.dimension), np.nan, np.float32)
        for row, sha256 in enumerate(snapshot.photo_table.column("sha256")):
            if sha256 in features:
                embeddings[row] = features[sha256].embedding
        return cls(snapshot, embeddings)

    def __call__(self, query: Query, exclusion: Exclusion | None = None) -> tuple[IntArray, npt.NDArray[np.float64]]:
        """Products by falling result with that result, each product by its best row."""
        owner = self.snapshot.photo_product
        rows = np.arange(len(owner))
        if exclusion is not None:
            rows = rows[(owner != exclusion.product) if exclusion.whole_product else (rows != exclusion.photo)]
        text = _text(query, self.snapshot)[rows]
        distance = self._distances(query)[rows]
        visual = np.zeros(len(rows))
        near = np.argsort(distance, kind="stable")[:NEAREST]
        near = near[np.isfinite(distance[near])]
        visual[near] = 0.9 - distance[near] / max(float(distance[near].sum()), 1e-12)
        result = (text + visual) / 2
        if (text > 0).any() and (visual > 0).any():
            worded = (visual == 0) & (text >= text[text > 0].mean())
            result[worded] = (visual[visual > 0].mean() + text[worded]) / 2
        best = np.full(len(self.snapshot.products), -np.inf)
        np.maximum.at(best, owner[rows], result)
        order = np.argsort(-best, kind="stable")
        order = order[np.isfinite(best[order])][:NEAREST]
        return order.astype(np.int64), best[order]

    def _distances(self, query: Query) -> npt.NDArray[np.float64]:
        """Squared L2 distance of each photo; nan where either embedding is not finite."""
        embedding = query.looks[0].astype(np.float32)
        parts = [
            ((self.embeddings[start : start + _ROWS] - embedding) ** 2).sum(axis=1)
            for start in range(0, len(self.embeddings), _ROWS)
        ]
        return np.concatenate([np.zeros(0), *parts]).astype(np.float64)


def _text(query: Query, snapshot: Snapshot) -> npt.NDArray[np.float64]:
    read = sorted({token.key for line in query.lines for token in tokens(line.text)})
    words = snapshot.words
    terms = {key: term for key, term in zip(read, words.vocabulary.exact(read), strict=True) if term >= 0}
    products = sorted({int(p) for term in terms.values() for p in words.postings.row(term)})
    overlap, extra = np.zeros(len(snapshot.photo_product)), np.zeros(len(snapshot.photo_product))
    for number in products:
        row = snapshot.products[number]
        vendor = [token.key for token in tokens(row.vendor)]
        model = {token.key for token in tokens(row.model)}
        bonus = sum((0.5 if len(vendor) == 1 else 0.1) for key in read if key in vendor) + 0.1 * sum(
            key in model for key in read
        )
        named = model | set(vendor)
        for photo in snapshot.photos(number):
            shown = set(words.photos.row(photo).tolist())
            overlap[photo] = sum(key in named or terms.get(key, -1) in shown for key in read)
            extra[photo] = bonus
    total = overlap.sum()
    return np.where(overlap > 0, 1000 * overlap / max(total, 1), 0.0) + extra
