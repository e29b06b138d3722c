"""The name of the matching: of its word rules, its evidence and every parameter that decides."""

from __future__ import annotations

import hashlib

from packsight.shared.catalog.codebook import CODEBOOK_NAME
from packsight.shared.catalog.evidence import DETAILS, FULL
from packsight.shared.catalog.recipe import Recipe
from packsight.shared.parameters import MATCHING as PARAMETERS
from packsight.shared.parameters import WORDS, MatchingParameters, WordParameters, digest
from packsight.shared.vision.models import details_fingerprint

MATCHING = 5
"""Raised whenever the same parameters decide in another way."""


def matching_fingerprint(parameters: MatchingParameters = PARAMETERS, words: WordParameters = WORDS) -> str:
    """Name that changes when the same features and the same catalog may get another answer."""
    values = " ".join((*DETAILS, *FULL, digest(parameters, words), CODEBOOK_NAME))
    return f"matching-{MATCHING}-{hashlib.sha256(values.encode()).hexdigest()[:12]}"


def recipe(embedder: str, spotter: str) -> Recipe:
    """What this release answers with, given the fingerprints of its networks."""
    return Recipe(
        embedder=embedder, spotter=spotter, details=details_fingerprint(), matching=matching_fingerprint()
    )
