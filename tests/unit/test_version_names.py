"""Names of versions: in the order in which they were made, whichever clock says when that was."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from packsight.shared.catalog.manifest import made_at, new_version


@pytest.mark.parametrize("ahead", ["29990101T000000-000abc", "29990101T000000-f42abc", "29991231T235958-fffabc"])
def test_a_name_sorts_after_one_that_a_clock_ahead_of_ours_gave(ahead: str) -> None:
    names = [ahead]
    for _ in range(5):
        names.append(new_version(names[-1]))
    assert names == sorted(names) and len(set(map(made_at, names))) == len(names)


@pytest.mark.parametrize("before", ["", "v1", "20200101T000000-000abc", "99999999T999999-000abc", "20200101T000000-xyz"])
def test_a_name_is_of_now_after_one_of_the_past_and_one_that_tells_no_time(before: str) -> None:
    made = made_at(new_version(before))
    assert made is not None and abs(datetime.now(UTC) - made) < timedelta(seconds=5)
