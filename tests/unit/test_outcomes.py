"""Outcomes as they are read back, also those of the release before."""

from __future__ import annotations

from packsight.shared.contract.outcomes import Outcome


def test_a_stage_that_was_renamed_is_read_under_its_new_name() -> None:
    old = '{"image": "a.jpg", "status": "no_match", "timings": {"fetch": 0.1, "recall": 0.02, "match": 0.003}}'
    assert Outcome.model_validate_json(old).timings == {"fetch": 0.1, "cache": 0.02, "match": 0.003}
