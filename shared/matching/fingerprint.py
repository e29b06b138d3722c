"""The name of the matching: of its word rules, its evidence and every parameter that decides."""

from __future__ import annotations

from packsight.shared.catalog.recipe import Recipe
from packsight.shared.vision.models import details_fingerprint

MATCHING = 1
"""Raised whenever the same parameters decide in another way."""


def matching_fingerprint() -> str:
    """Name that changes when the same features and the same catalog may get another answer."""
    return f"matching-{MATCHING}"


def recipe(embedder: str, spotter: str) -> Recipe:
    """What this release answers with, given the fingerprints of its networks."""
    return Recipe(
        embedder=embedder, spotter=spotter, details=details_fingerprint(), matching=matching_fingerprint()
    )
