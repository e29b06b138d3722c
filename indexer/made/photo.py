"""A photo as a customer might take it, made of a catalog photo."""

from __future__ import annotations

import hashlib

import numpy as np

from packsight.indexer.made.camera import taken
from packsight.indexer.made.cutout import Pixels, cut_out
from packsight.indexer.made.parameters import MADE, MadeParameters
from packsight.indexer.made.scene import scene_with

MAKING = 1
"""Raised whenever the same parameters make other pixels."""


def made_photo(source: str, pixels: Pixels, other: Pixels | None, parameters: MadeParameters = MADE) -> bytes:
    """A JPEG of the pack of a catalog photo, elsewhere and in other light.

    source: sha256 of the catalog photo, which decides everything that is left to chance; pixels: what it shows, of any size;
    other: those of another photo, of which a blurred piece may be behind the pack.
    """
    chance = np.random.default_rng(list(hashlib.sha256(source.encode()).digest()))
    pack, mask = cut_out(pixels, parameters.cutout)
    return taken(scene_with(pack, mask, other, chance, parameters.scene), chance, parameters.camera)
