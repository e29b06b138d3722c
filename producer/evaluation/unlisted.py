"""Labels that name a product which the catalog lacks: a mistake in the labels or in the catalog, not in the answers."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain

from packsight.producer.evaluation.metrics import Answer
from packsight.shared.tables.labels import Label

_NAMED = 10
_SPREADSHEET = re.compile(r"['=]*0*(.+?)(?:\.0+)?")
"""Around what is left of a number: leading zeros, which a spreadsheet takes away, and marks and decimals, which it adds."""
_SCIENTIFIC = re.compile(r"\d+(?:[.,]\d+)?[Ee][+]?\d{1,2}")


@dataclass(frozen=True, slots=True)
class Unlisted:
    """Photos that count in no measure, since a product id of their label is not in the catalog, and these ids."""

    ids: tuple[str, ...] = ()
    answers: tuple[Answer, ...] = ()
    alike: Mapping[str, str] = field(default_factory=dict)
    """Of these ids an id of the catalog that differs by what spreadsheets do to numbers alone, where there is one."""

    def hint(self, catalog: str) -> str:
        """What is wrong and what to do about it; empty when nothing is."""
        if not self.ids:
            return ""
        more = f" and {len(self.ids) - _NAMED} more" if len(self.ids) > _NAMED else ""
        named = ", ".join(map(self._named, self.ids[:_NAMED])) + more
        matched = sum(answer.matched for answer in self.answers)
        return (
            f"Labels name products that catalog {catalog} does not hold: {named}. Photos with such labels: {len(self.answers)}, "
            f"of them matched: {matched}; they count in no measure. Sync the catalog with a feed that lists them, correct "
            "the ids or --catalog, or leave product_id empty where the catalog is not meant to hold the product."
            + (" Spreadsheets change ids like numbers: keep the column as text." if self.alike else "")
        )

    def _named(self, product: str) -> str:
        return f"{product} (it holds {self.alike[product]})" if product in self.alike else product


def missing(of: Label | Answer, listed: Collection[str]) -> set[str]:
    """The product ids of a label that are not among those listed."""
    return {product for product in (of.product_id, of.nearest_id) if product and product not in listed}


def part(found: Iterable[Answer], listed: Mapping[str, Collection[str]]) -> tuple[list[Answer], Unlisted]:
    """Take apart what cannot be measured.

    listed: the product ids of each version that answered. A photo that none of them answered is looked up in all.
    """
    everywhere = set().union(*listed.values())
    measured: list[Answer] = []
    lacking: list[tuple[Answer, set[str]]] = []
    for answer in found:
        if ids := missing(answer, listed.get(answer.version, everywhere)):
            lacking.append((answer, ids))
        else:
            measured.append(answer)
    named = dict.fromkeys(chain.from_iterable(sorted(ids) for _, ids in lacking))
    return measured, Unlisted(tuple(named), tuple(answer for answer, _ in lacking), _alike(named, everywhere))


def _alike(lacking: Collection[str], listed: Collection[str]) -> dict[str, str]:
    wanted = {_bare(product) for product in lacking}
    of_several_the_first = sorted(listed, reverse=True) if wanted else ()
    found = {_bare(product): product for product in of_several_the_first if _bare(product) in wanted}
    like = {product: found.get(_bare(product), product) for product in lacking}
    return {product: one for product, one in like.items() if one != product}  # another version may hold the id itself


def _bare(product: str) -> str:
    """The id without what a spreadsheet takes from numbers or adds to them."""
    match = _SPREADSHEET.fullmatch(product)
    bare = match[1] if match else product
    return str(int(float(bare.replace(",", ".")))) if _SCIENTIFIC.fullmatch(bare) else bare
