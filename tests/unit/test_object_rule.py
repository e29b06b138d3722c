"""References reach photos in object storage and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packsight.shared.contract.errors import ErrorCode, ImageError, UserError
from packsight.shared.settings import Settings, load_settings
from packsight.shared.storage import layout
from packsight.shared.storage.object_rule import ObjectRule

OWN = "shelf"
OPENED = ("s3://photos/", "s3://mixed/open/", "s3://shelf/more/", "s3://shelf/")


def refused(rule: ObjectRule, bucket: str, key: str) -> bool:
    try:
        rule.check(bucket, key)
    except ImageError as error:
        assert error.code is ErrorCode.REFERENCE_REFUSED
        assert not error.retryable
        assert "PACKSIGHT_FETCH__ALLOWED_PREFIXES" in error.remedy
        assert key.split("/", maxsplit=1)[0] in error.message
        return True
    return False


@pytest.mark.parametrize(
    ("bucket", "key", "open_at_once", "open_by_setting"),
    [
        (OWN, layout.upload("0" * 64), True, True),
        (OWN, layout.photo("0" * 64), True, True),
        (OWN, layout.made("by", "0" * 64), True, True),
        (OWN, "incoming/полка/1.jpg", True, True),
        (OWN, "more/1.jpg", False, True),
        (OWN, "1.jpg", False, True),
        (OWN, layout.pointer("default"), False, False),
        (OWN, layout.version("default", "v1", "products.parquet"), False, False),
        (OWN, layout.job("20260101-000000-abcdef", layout.MANIFEST), False, False),
        (OWN, layout.features("words", "f", "s"), False, False),
        (OWN, f"{layout.INT8}key/model.xml", False, False),
        (OWN, "uploads/../jobs/manifest.json", False, False),
        (OWN, "uploads/./1.jpg", False, False),
        (OWN, "/jobs/manifest.json", False, False),
        (OWN, "//catalogs/default/CURRENT.json", False, False),
        (OWN, "uploads/..", False, False),
        (OWN, "uploads", False, True),
        ("photos", "any/1.jpg", False, True),
        ("photos", "jobs/1.jpg", False, True),
        ("photos2", "any/1.jpg", False, False),
        ("mixed", "open/1.jpg", False, True),
        ("mixed", "opened/1.jpg", False, False),
        ("mixed", "open/../closed/1.jpg", False, False),
        ("other", "uploads/1.jpg", False, False),
    ],
)
def test_references_reach_rooms_of_photos_and_what_the_operator_opened(
    bucket: str, key: str, open_at_once: bool, open_by_setting: bool
) -> None:
    assert refused(ObjectRule(OWN, ()), bucket, key) is not open_at_once
    assert refused(ObjectRule(OWN, OPENED), bucket, key) is not open_by_setting


@given(st.sampled_from(layout.CLOSED), st.text(), st.lists(st.sampled_from(OPENED)))
def test_nothing_opens_the_rooms_that_packsight_keeps_for_itself(room: str, rest: str, opened: list[str]) -> None:
    assert refused(ObjectRule(OWN, opened), OWN, room + rest)


@pytest.mark.parametrize("wrong", ["photos/", "s3://photos", "s3:///x", "https://photos/", "S3://photos/", ""])
def test_a_prefix_that_names_no_bucket_is_refused_when_settings_are_read(
    wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PACKSIGHT_FETCH__ALLOWED_PREFIXES", f'["{wrong}"]')
    with pytest.raises(UserError, match="write it as s3://bucket/"):
        load_settings()


def test_prefixes_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PACKSIGHT_FETCH__ALLOWED_PREFIXES", '["s3://photos/", "s3://mixed/open/"]')
    assert Settings(_env_file=None).fetch.allowed_prefixes == ("s3://photos/", "s3://mixed/open/")
