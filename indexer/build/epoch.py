"""Epochs: what is learned of a catalog's photos, and carried byte for byte from version to version until it no longer fits.

Projection, lists and codes decide what the rows of all segments look like, so that another of them means that all are written
anew: a new epoch. It begins when there is need, with the reason in the manifest.
"""

from __future__ import annotations

import hashlib

from packsight.indexer.build.parameters import FitParameters, RowParameters
from packsight.indexer.build.segments import Parent
from packsight.shared.catalog.codebook import CODEBOOK_NAME
from packsight.shared.catalog.detail_index import DETAILS_INDEX
from packsight.shared.catalog.manifest import FORMAT, Epoch
from packsight.shared.catalog.recipe import Recipe
from packsight.shared.catalog.vector_index import VECTOR_INDEX
from packsight.shared.parameters import MATCHING, WORDS, digest

LEARNED = ("projection.mean.npy", "projection.matrix.npy", f"{VECTOR_INDEX}.faiss", f"{DETAILS_INDEX}.faiss")
"""Files of a version that are its epoch's."""
LEARNING = 1
"""Raised whenever the same parameters learn in another way."""


def rules_of(recipe: Recipe, parameters: FitParameters) -> str:
    """Name that changes when rows are made otherwise, or what they are made by is learned otherwise."""
    values = [digest(part) for part in (parameters.index, parameters.details, parameters.projection, MATCHING.spread)]
    values += map(str, (parameters.points, parameters.min_points, parameters.local_bytes, parameters.thumbnail_quality))
    values += [str(MATCHING.colours.side), str(WORDS.min_confidence), CODEBOOK_NAME]
    values += [recipe.embedder, recipe.spotter, recipe.details]
    return f"epoch-{LEARNING}-{hashlib.sha256(' '.join(values).encode()).hexdigest()[:12]}"


def reason_to_begin(parent: Parent | None, rules: str, dimension: int) -> str:
    """Why no version of these rules, of embeddings of so many values, can have the parent's epoch; empty when it can."""
    if parent is None:
        return "the first version"
    before = parent.manifest
    if before.format != FORMAT or before.epoch is None:
        return f"the version before has format {before.format}"
    if before.epoch.rules != rules:
        return "rows are made, or learned from, in another way"
    if before.dimension != dimension:
        return f"embeddings have {dimension} values instead of {before.dimension}"
    return "" if parent.folder is not None else "the files of the version before are not at hand"


def reason_to_end(epoch: Epoch, photos: int, added: int, parameters: RowParameters) -> str:
    """Why so many photos, `added` of them new, are too far from those that an epoch was learned of; empty if they are not."""
    come = epoch.added + added
    if come >= parameters.added * epoch.photos:
        return f"{come} photos have come since it was learned among {epoch.photos}"
    if photos < parameters.left * epoch.photos:
        return f"{photos} photos are left where it was learned among {epoch.photos}"
    return ""
