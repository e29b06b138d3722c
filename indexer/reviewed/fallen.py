"""Whether a catalog knows its own photos worse with what people confirmed: then that is left out again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from packsight.indexer.gate.questions import by_photo
from packsight.shared.catalog.told import MADE, OWN, Asked


def fallen(before: Sequence[Asked], after: Sequence[Asked], confirmed: Collection[str]) -> Mapping[str, Asked]:
    """Products for which more photos of others are taken than before, than photos of their own are known anew; with the first.

    before, after: what the version before and the new one answered to photos of the catalog, each left out, and to made ones.
    confirmed: ids of the products that have new confirmed photos; others are not looked at.
    """
    first: dict[str, Asked] = {}
    balance = Counter[str]()
    for kind in OWN, MADE:
        old = by_photo(before, kind)
        for key, now in by_photo(after, kind).items():
            was = old.get(key)
            if was is None:
                continue
            if was.right and not now.right and now.answer.first in confirmed:
                balance[now.answer.first] += 1
                first.setdefault(now.answer.first, now)
            elif now.right and not was.right and now.photo.product in confirmed:
                balance[now.photo.product] -= 1
    return {product: one for product, one in first.items() if balance[product] > 0}
