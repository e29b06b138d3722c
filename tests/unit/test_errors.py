"""Errors keep their type, code and advice wherever they are carried."""

from __future__ import annotations

import pickle

import pytest

from packsight.shared.contract.errors import (
    CatalogError,
    ErrorCode,
    ImageError,
    MessageError,
    ObjectMissing,
    PacksightError,
    StorageError,
    TaskError,
)
from packsight.shared.contract.outcomes import Failure
from packsight.shared.storage.objects import Conflict


@pytest.mark.parametrize(
    "error",
    [
        Conflict(ErrorCode.CONFLICT, "catalogs/a name with blanks/CURRENT was changed"),
        StorageError(ErrorCode.FETCH_FAILED, "jobs/x broke off"),
        ObjectMissing(ErrorCode.OBJECT_MISSING, "jobs/x is missing", remedy="Submit it again."),
        ImageError(ErrorCode.FETCH_FAILED, "a.jpg", retryable=False),
        MessageError(message="no images"),
        CatalogError(ErrorCode.CATALOG_REFUSED, "other models"),
        TaskError(ErrorCode.TIME_LIMIT, "too long"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_is_pickled_whole(error: PacksightError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert vars(again) == vars(error)


def test_a_failure_of_a_code_says_the_same_as_that_of_an_error() -> None:
    for code in ErrorCode:
        assert Failure.of_code(code, "what happened") == Failure.of(PacksightError(code, "what happened"))
