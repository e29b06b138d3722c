"""The name of the matching: of its word rules, its evidence and every parameter that decides."""

from __future__ import annotations

MATCHING = 1
"""Raised whenever the same parameters decide in another way."""


def matching_fingerprint() -> str:
    """Name that changes when the same features and the same catalog may get another answer."""
    return f"matching-{MATCHING}"
