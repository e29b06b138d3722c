"""Words and looks of drawn photos without a network, whose output differs between processors.

Words are what a pack says, some lost or misread on a photo that is asked about, all in one corner; the embedding is a direction
of its family, one of its own and chance; key points and thumbnail are those of the drawn photo.
"""

from __future__ import annotations

import hashlib

import numpy as np

from bench.stress import ASKED, LOST, misread
from packsight.deploy.demo.shop.packs import SMALL_PRINT
from packsight.deploy.demo.shop.products import Item
from packsight.shared.contract.outcomes import WordRead
from packsight.shared.settings import Decode
from packsight.shared.vision.features import Features, make_features
from packsight.worker.pipeline.decode import decode
from packsight.worker.pipeline.local_features import catalog_features, thumbnail

DIMENSION = 256
"""Of a drawn photo's embedding."""
OWN, CHANCE = 0.5, 0.7
"""Lengths of the product's own direction and of chance in an embedding, beside its family's 1."""
BOX = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)]


def described(data: bytes, item: Item, number: int) -> Features:
    """Features of a drawn photo."""
    photo, worn = decode(data, Decode()), number == ASKED
    chance = np.random.default_rng([3, number, int(item.id)])
    family = item.family
    texts = [family.brand, family.line, item.variant, f"{family.what} {family.size}".strip(),
             SMALL_PRINT[family.code % len(SMALL_PRINT)]]  # fmt: skip
    if worn:
        texts = [misread(text, chance) for text in texts if chance.random() >= LOST]
    look = _direction([1, family.code]) + OWN * _direction([2, int(item.id)])
    look = look + (2 if worn else 1) * CHANCE * chance.normal(size=DIMENSION)
    return make_features(
        hashlib.sha256(data).hexdigest(), (photo.width, photo.height), (5 + look).astype(np.float32),
        [WordRead(text=text, confidence=0.95, box=BOX) for text in texts], catalog_features(photo), thumbnail(photo),
    )  # fmt: skip


def _direction(seed: list[int]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.random.default_rng(seed).normal(size=DIMENSION)
