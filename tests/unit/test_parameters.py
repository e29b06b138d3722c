"""Parameters are values, and whatever was made with them bears their name."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any

import pytest

from packsight.indexer.build.fingerprint import fit_fingerprint
from packsight.indexer.build.parameters import FIT
from packsight.indexer.build.prior import PRIOR
from packsight.shared.catalog.decision_model import Stage
from packsight.shared.catalog.evidence import STAGES
from packsight.shared.matching.fingerprint import matching_fingerprint
from packsight.shared.parameters import DETAILS, MATCHING, WORDS
from packsight.shared.vision.models import details_fingerprint


def varied(parameters: Any) -> list[Any]:
    """The parameters with one number after the other changed."""
    found = []
    for field in fields(parameters):
        value = getattr(parameters, field.name)
        if is_dataclass(value):
            found += [replace(parameters, **{field.name: one}) for one in varied(value)]
        else:
            other = (*value, value[-1]) if isinstance(value, tuple) else value + 1
            found.append(replace(parameters, **{field.name: other}))
    return found


def test_every_number_that_decides_enters_the_name_of_the_matching() -> None:
    names = [matching_fingerprint(one) for one in varied(MATCHING)]
    names += [matching_fingerprint(words=one) for one in varied(WORDS)]
    assert len({matching_fingerprint(), *names}) == len(names) + 1 > 40


def test_every_number_that_fits_and_every_weight_of_the_prior_enters_the_name_of_the_fit() -> None:
    names = [fit_fingerprint(one) for one in varied(FIT)]
    for stage in STAGES:
        weights = getattr(PRIOR, stage).weights
        names += [
            fit_fingerprint(prior=PRIOR.model_copy(update={stage: Stage(weights={**weights, name: weight + 1})}))
            for name, weight in weights.items()
        ]
    names += [fit_fingerprint(prior=PRIOR.model_copy(update={name: 0.5})) for name in ("matched", "sure", "told", "enough")]
    assert len({fit_fingerprint(), *names}) == len(names) + 1 > 40


def test_every_number_of_key_points_enters_their_name() -> None:
    names = [details_fingerprint(one) for one in varied(DETAILS)]
    assert len({details_fingerprint(), *names}) == len(names) + 1


def test_a_parameter_cannot_be_changed_in_place() -> None:
    with pytest.raises(AttributeError):
        MATCHING.candidates.near_photos = 128  # type: ignore[misc]
