from __future__ import annotations

from dataclasses import replace

import pytest

from packsight.producer.evaluation.calibration import BAND, calibration_band, expected_calibration_error, reliability
from packsight.shared.shares import Share


def test_calibration_error_is_the_mean_gap_of_the_bins_weighted_by_their_photos() -> None:
    assert expected_calibration_error([0.95, 0.95, 0.95, 0.95], [True, True, True, False]) == pytest.approx(0.2)
    assert expected_calibration_error([0.95, 0.95, 0.15], [True, False, False]) == pytest.approx((2 * 0.45 + 0.15) / 3)
    assert expected_calibration_error([1.0, 0.0], [True, False]) == 0
    assert expected_calibration_error([], []) is None


def test_bins_compare_mean_confidence_with_the_share_of_right_answers() -> None:
    low, high = reliability([0.12, 0.18, 0.9, 1.0, 0.95, 0.91], [False, True, True, True, True, False])
    assert (low.low, low.high, low.count, low.accuracy) == (0.1, 0.2, 2, Share(1, 2))
    assert low.confidence == pytest.approx(0.15)
    assert (high.low, high.high, high.count, high.accuracy) == (0.9, 1.0, 4, Share(3, 4))
    assert reliability([], []) == []


def band_end(confidences: list[float], **changes: float) -> float:
    band = calibration_band(confidences, replace(BAND, **changes))  # type: ignore[arg-type]
    assert band is not None and band[0] == 0
    return band[1]


def test_the_band_ends_where_the_binomial_distribution_says() -> None:
    # Of X ~ B(100, 1/2): P(|X - 50| <= 9) = 0.943, P(|X - 50| <= 10) = 0.965, so the error stays below 0.10 in 95 of 100.
    assert band_end([0.5] * 100, runs=10_000) == pytest.approx(0.10)
    # One photo of 0.7 is wrong by 0.3 in 70 of 100 systems, by 0.7 in the others.
    assert band_end([0.7]) == pytest.approx(0.7)
    assert band_end([0.7], level=0.6) == pytest.approx(0.3)


def test_the_bins_of_a_band_make_up_one_error() -> None:
    # 0.25 and 0.75 are off by a quarter each in 9 of 16 systems, by a quarter and three quarters in 6, by three in 1.
    assert band_end([0.25, 0.75], level=0.5) == pytest.approx(0.25)
    assert band_end([0.25, 0.75], level=0.75) == pytest.approx(0.5)
    assert band_end([0.25, 0.75], level=0.99) == pytest.approx(0.75)


def test_what_leaves_nothing_to_chance_has_no_band() -> None:
    assert band_end([1.0, 1.0, 0.0]) == 0
    assert calibration_band([]) is None


def test_the_band_narrows_with_more_photos_and_is_the_same_at_each_call() -> None:
    assert band_end([0.3, 0.8] * 500) < band_end([0.3, 0.8] * 10) / 4
    uneven = [number / 97 for number in range(97)]
    assert band_end(uneven) == band_end(uneven) != band_end(uneven, seed=1)
