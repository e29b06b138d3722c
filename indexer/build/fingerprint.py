"""The name of the fit: of every parameter by which a version's vectors, index, weights and thresholds are chosen."""

from __future__ import annotations

import hashlib

from packsight.indexer.build.parameters import FIT, FitParameters
from packsight.indexer.build.prior import PRIOR
from packsight.shared.catalog.decision_model import Model
from packsight.shared.parameters import digest

FITTING = 1
"""Raised whenever the same parameters fit in another way."""


def fit_fingerprint(parameters: FitParameters = FIT, prior: Model = PRIOR) -> str:
    """Name that changes when the same photos and products may give other weights."""
    values = f"{digest(parameters)} {prior.model_dump_json()}"
    return f"fit-{FITTING}-{hashlib.sha256(values.encode()).hexdigest()[:12]}"
