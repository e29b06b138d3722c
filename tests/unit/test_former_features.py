"""Which features of the release before are still made in the same way."""

from __future__ import annotations

import pytest

from packsight.shared.settings import Models, Precision
from packsight.shared.storage.former_features import RENAMED
from packsight.shared.vision.models import details_fingerprint
from packsight.worker.networks.load import load_spotter

FORMER = {"f32": "ppocr-b05b75ac9222", "bf16": "ppocr-a3200d73ea1e"}
"""What that release called the bundled spotter, by precision."""


@pytest.mark.parametrize("precision", FORMER)
def test_words_of_the_bundled_spotter_are_not_read_again(precision: str) -> None:
    described = load_spotter(Models(precision=Precision.F32), 1).description
    today = described.model_copy(update={"precision": precision}).fingerprint()
    former = FORMER[precision]
    assert RENAMED.get(former, former) == today, (
        f"if words are still read in the same way, RENAMED should say {former!r}: {today!r}; if not, this test can go"
    )


def test_key_points_are_not_made_again() -> None:
    assert RENAMED["2"] == details_fingerprint(), "if key points are made in another way now, both lines can go"
