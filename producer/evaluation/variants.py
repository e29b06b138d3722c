"""Ways to answer that are compared with each other: from what is known of a photo and a catalog to a product, or to none."""

from __future__ import annotations

from enum import StrEnum

from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.matching.candidates import Query
from packsight.shared.matching.decision import Decision, by_barcode, decision
from packsight.shared.matching.exclusion import Exclusion
from packsight.shared.matching.ranking import Ranking
from packsight.shared.matching.stages import rank_by_all, rank_by_details, rank_by_one
from packsight.shared.matching.stopping import as_served
from packsight.shared.vision.features import Features


class Variant(StrEnum):
    """How to decide; all but `fitted` exist to be compared with it."""

    FITTED = "fitted"
    """As workers do, by the first that decides."""
    EVERYTHING = "everything"
    """By all evidence, also where details decide."""
    DETAILS = "details"
    """By key points and colours alone."""
    APPEARANCE = "appearance"
    """By the nearest photo alone."""
    WORDS = "words"
    """By the share of words explained alone."""


def match(features: Features, snapshot: Snapshot, *, top_k: int, variant: Variant = Variant.FITTED) -> Decision:
    """Decide which product a photo shows when everything is known of it; pure and deterministic.

    Raises CatalogError when the embedding has another length than the version's.
    """
    if coded := by_barcode(features.barcodes, snapshot):
        return coded
    query = Query.of(features, snapshot)
    return decision(query, rank(query, snapshot, variant=variant), snapshot, top_k=top_k)


def rank(
    query: Query, snapshot: Snapshot, *, variant: Variant, exclusion: Exclusion | None = None
) -> Ranking:
    """Order the candidates in one of these ways; `exclusion` as if a photo or product were not in the catalog."""
    match variant:
        case Variant.FITTED:
            return as_served(query, snapshot, exclusion)
        case Variant.EVERYTHING:
            return rank_by_all(query, snapshot, exclusion)
        case Variant.DETAILS:
            return rank_by_details(query, snapshot, exclusion)
        case Variant.APPEARANCE:
            return rank_by_one("appearance", query, snapshot, exclusion)
        case Variant.WORDS:
            return rank_by_one("word_share", query, snapshot, exclusion)
