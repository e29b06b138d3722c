"""The codes of a version's key points: learned once of an epoch, written for each segment."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from packsight.indexer.build.detail_index import Descriptors
from packsight.indexer.build.growing import GrowingArray
from packsight.indexer.build.parameters import FIT, CodeParameters
from packsight.shared.catalog.arrays import evenly_spread
from packsight.shared.catalog.point_code import Codebook

_BATCH = 65_536
"""Descriptors encoded at a time, which bounds the memory."""


def learn_codebook(descriptors: Descriptors, parameters: CodeParameters = FIT.codes) -> Codebook:
    """What codes stand for, learned from descriptors [points, 128]."""
    some = descriptors[evenly_spread(descriptors.shape[0], parameters.learned_from)]
    return Codebook.learn(some, parameters.bytes, parameters.rounds)


def write_codes(descriptors: Descriptors, codebook: Codebook, path: Path) -> None:
    """Write the codes [points, parts] of descriptors."""
    with GrowingArray(path, np.uint8, codebook.parts) as codes:
        for start in range(0, descriptors.shape[0], _BATCH):
            codes.append(codebook.encode(descriptors[start : start + _BATCH]))
