"""Packs of one line that differ in a band's colour only: geometry lays them over each other, colour decides."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from packsight.producer.evaluation.variants import Variant, match
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.contract.outcomes import WordRead
from packsight.shared.vision.features import Features, make_features
from packsight.worker.pipeline.local_features import catalog_features, thumbnail
from tests.packs import pack, shoot
from tests.unit.matching_catalog import BOX, build, product

BANDS = [(200, 40, 40), (40, 90, 200), (40, 160, 60), (230, 190, 40)]


def describe(band: int, seed: int) -> Features:
    shot = shoot(pack(0, BANDS[band]), seed)
    look = np.ones(8, np.float32) + 0.1 * np.random.default_rng(seed).normal(size=8)
    return make_features(
        hashlib.sha256(f"{band}-{seed}".encode()).hexdigest(), (420, 420), look.astype(np.float32),
        [WordRead(text="ARVELO KEFIR", confidence=0.99, box=BOX)], catalog_features(shot), thumbnail(shot),
    )  # fmt: skip


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    products = [product(number, "Arvelo", "Kefir") for number in range(4)]
    photos = {f"p{number}": [describe(number, 10 * number + shot) for shot in range(2)] for number in range(4)}
    return build(tmp_path_factory.mktemp("family") / "v", products, photos)


def right(family: Snapshot, variant: Variant) -> int:
    queries = [(band, describe(band, 100 + 10 * band + shot)) for band in range(4) for shot in range(3)]
    answers = [match(query, family, top_k=4, variant=variant).candidates[0].product.id for _, query in queries]
    return sum(answer == f"p{band}" for (band, _), answer in zip(queries, answers, strict=True))


def test_the_close_look_tells_siblings_of_another_colour_apart(family: Snapshot) -> None:
    assert max(right(family, Variant.APPEARANCE), right(family, Variant.WORDS)) < 8
    assert right(family, Variant.DETAILS) >= 10
    assert right(family, Variant.FITTED) >= 11


def test_the_details_in_agreement_are_told(family: Snapshot) -> None:
    evidence = match(describe(1, 500), family, top_k=1).candidates[0].evidence
    assert evidence.inliers is not None and evidence.inliers >= 8
