"""Failures in words for people who look at many photos."""

from __future__ import annotations

from packsight.producer.http.page.failures import FAILURES
from packsight.shared.contract.errors import ErrorCode


def test_every_failure_has_words_of_its_own() -> None:
    assert set(FAILURES) == set(ErrorCode)
    assert len(set(FAILURES.values())) == len(FAILURES)
