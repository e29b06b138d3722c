"""Which features of the release before are still made in the same way."""

from __future__ import annotations

import pytest

from packsight.shared.settings import Models, Precision
from packsight.worker.networks.load import load_spotter

FORMER = {"f32": "ppocr-b05b75ac9222", "bf16": "ppocr-a3200d73ea1e"}
"""What that release called the bundled spotter, by precision."""


@pytest.mark.parametrize("precision", FORMER)
def test_words_of_the_bundled_spotter_are_not_read_again(precision: str) -> None:
    described = load_spotter(Models(precision=Precision.F32, alphabet=""), 1).description
    today = described.model_copy(update={"precision": precision}).fingerprint()
    assert FORMER[precision] == today, "if words are read in another way now, this test can go, and what it holds with it"
