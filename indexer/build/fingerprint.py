"""The name of the fit: of every parameter by which a version's weights, curves, projection and index are chosen."""

from __future__ import annotations

FITTING = 1
"""Raised whenever the same parameters fit in another way."""


def fit_fingerprint() -> str:
    """Name that changes when the same photos and products may give other weights."""
    return f"fit-{FITTING}"
