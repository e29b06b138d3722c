"""How a version is judged, beside the limits that are settings (packsight.shared.settings.Catalog)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True)
class GateParameters:
    """Numbers of the gate, each with its reason."""

    compared: int = 5
    """Versions whose best a new one is held against: as many as are kept by default."""
    few: int = 5
    """Products that may be renamed, pictured anew or listed under another id whatever their share: a person changes that many in
    a sitting, and in a catalog of ten a share says nothing."""
    placeholder: int = 20
    """Products from which a picture that stands for too large a share is refused: a line of colours may share one."""
    noted: int = 5
    """Products from which a picture that they share is noted: most shops have lines of two to four that do."""
    own_photos: int = 200
    """Photos of its own that a version is asked about, each left out. With 200 pairs, 7 that are recognised no longer and none
    that is anew are seen as a loss."""
    significance: float = 0.01
    """Probability of as many losses among the answers that differ, if losses and gains were equally likely, from which they count
    as a loss (sign test). A catalog that is synced every quarter of an hour changes a few times a day."""
    tolerance: float = 0.02
    """Share of the pairs that may be lost on top: what is surely worse by less is not worth a standstill."""
    queries: int = 500
    """Stored queries that are asked, the first by name: each takes two versions a tenth of a second."""
    changed_answers: int = 2
    """Answers that may change whatever their share: of ten queries, one is a tenth."""
    taken_for: float = 0.3
    """Probability from which a product that comes first for another's photo is called its twin: two that are all alike get
    nearly half each."""
    contradicted: float = 0.5
    """Share of a name's words, weighed by their rarity, that is read on no photo of the product, from which the name contradicts
    the pack. Of 50 cosmetics, 13 of whose names do, that names 17: 11 of these, four whose packs show the brand alone, and two
    whose names are there."""
    words_read: int = 3
    """Different words that must have been read on the product's photos for that."""
    refused_age: timedelta = timedelta(days=14)
    """How long a refused version is kept: over a holiday."""


GATE = GateParameters()
