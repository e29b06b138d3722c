"""Refused versions are kept for a look, the last few of them, and reports as long as what they are about."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from packsight.indexer.publish import for_a_look
from packsight.indexer.version_report.keeping import Reports
from packsight.shared.catalog.manifest import made_at
from packsight.shared.catalog.versions import CatalogStore


def prune_refused(catalogs: CatalogStore, reports: Reports, keep: int, age: timedelta) -> list[str]:
    """Remove refused versions beyond the last `keep`, or older, unless they are or were served; return what was removed.

    So go reports on what was refused before it was built, and those on versions that are not there.
    """
    whole, named = catalogs.versions(), catalogs.served()
    looked_at = for_a_look(whole, named)
    removed = sorted(looked_at - _last(sorted(looked_at), keep, age))
    for version in removed:
        catalogs.remove(version)
    unbuilt = _last([one.version for one in reports.unbuilt()], keep, age)
    reports.prune({one.version for one in whole} - set(removed) | unbuilt)
    return removed


def _last(versions: Sequence[str], keep: int, age: timedelta) -> set[str]:
    now = datetime.now(UTC)
    young = [version for version in sorted(versions, reverse=True) if (made := made_at(version)) is None or now - made <= age]
    return set(young[:keep])
