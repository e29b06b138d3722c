"""How much a product looks like another one of the catalog: products of one line share faces.

Found when it is first asked for, by asking the catalog about the product's own photo without the product, and kept with the
snapshot.
"""

from __future__ import annotations

import numpy as np

from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.matching.exclusion import NO_PHOTO, Exclusion
from packsight.shared.matching.geometry import verify
from packsight.shared.matching.votes import vote
from packsight.shared.parameters import DETAILS


def kinship(product: int, snapshot: Snapshot, exclusion: Exclusion | None = None) -> float:
    """ln(1 + key points in agreement with the closest other product) ÷ ln of as many as count in full."""
    kin = snapshot.kin.get(product)
    if kin is None:
        kin = snapshot.kin[product] = _closest(product, snapshot)
    left_out = exclusion.product if exclusion is not None and exclusion.whole_product else None
    inliers = max((count for other, count in kin if other != left_out), default=0)
    return float(np.log1p(inliers) / np.log(snapshot.parameters.close.full_inliers))


def _closest(product: int, snapshot: Snapshot) -> tuple[tuple[int, int], ...]:
    """The products most like this one, with the key points in agreement."""
    photos = snapshot.photos(product)
    if not len(photos):
        return ()
    local = snapshot.local.features(photos[0])[: DETAILS.indexed]
    votes = vote(local, snapshot, Exclusion(product, NO_PHOTO, np.zeros(0, np.int64)))
    found = []
    for other in votes.products[: snapshot.parameters.close.kin].tolist():
        rows = np.asarray(snapshot.photos(other))
        best = int(rows[votes.of_photos(rows).argmax()])
        found.append((other, verify(local, snapshot.local.features(best), snapshot.parameters.geometry).inliers))
    return tuple(found)
