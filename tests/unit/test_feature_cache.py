"""The format in which the cache keeps what was seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from packsight.shared.contract.outcomes import WordRead
from packsight.shared.vision.features import Features, make_features
from packsight.worker.pipeline.feature_cache import decode_features, encode_features

SHA256 = "3f" * 32


def seen(lines: int, barcodes: tuple[int, ...] | None = None) -> Features:
    chance = np.random.default_rng(5)
    words = [
        WordRead(
            text=f"Молоко 3,2 % “{number}”\n",
            confidence=round(float(chance.random()), 4),
            box=[(round(float(x), 1), round(float(y), 1)) for x, y in chance.uniform(0, 9000, (4, 2))],
        )
        for number in range(lines)
    ]
    return make_features(SHA256, (3024, 4032), chance.gamma(0.4, 2.0, 1024).astype(np.float32), words, barcodes=barcodes)


@pytest.mark.parametrize("lines", [0, 1, 60])
def test_features_come_back_to_the_last_bit(lines: int) -> None:
    before = seen(lines)
    after = decode_features(SHA256, encode_features(before))
    assert after is not None
    assert (after.sha256, after.width, after.height) == (SHA256, 3024, 4032)
    assert after.embedding.dtype == np.float32
    assert np.array_equal(after.embedding, before.embedding)
    assert after.words == before.words
    assert [word.model_dump_json() for word in after.words] == [word.model_dump_json() for word in before.words]


@pytest.mark.parametrize("barcodes", [None, (), (96385074, 4006381333931)])
def test_barcodes_come_back_and_so_does_whether_anybody_looked(barcodes: tuple[int, ...] | None) -> None:
    after = decode_features(SHA256, encode_features(seen(2, barcodes)))
    assert after is not None
    assert after.barcodes == barcodes
    assert after.words == seen(2).words


def test_bytes_that_hold_no_features_are_no_features() -> None:
    whole = encode_features(seen(3, (96385074,)))
    cut = [decode_features(SHA256, whole[:length]) for length in range(0, len(whole), 7)]
    assert cut == [None] * len(cut)
    other = [b"\xff" * 4000, b'{"version": 2}' * 90, whole + b"]", whole[:-1] + b', "one more"]', b"\0" * 14 + b"null"]
    assert [decode_features(SHA256, value) for value in other] == [None] * len(other)


def test_both_looks_at_a_photo_come_back() -> None:
    before = replace(seen(2), middle=np.arange(1024, dtype=np.float32))
    after = decode_features(SHA256, encode_features(before))
    assert after is not None
    assert np.array_equal(after.looks, before.looks)
    assert after.looks.shape == (2, 1024)
    assert after.words == before.words
