"""Refused versions are kept for a look, the last few of them, and reports as long as what they are about."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from packsight.indexer.gate.case import case_of, made_for
from packsight.indexer.gate.rules import Refusal
from packsight.indexer.gate.tables import Tables
from packsight.indexer.publish import made_at
from packsight.indexer.version_report.keeping import Reports
from packsight.indexer.version_report.summary import Verdict
from packsight.shared.catalog.versions import CatalogStore, Current
from packsight.shared.contract.errors import CatalogError
from packsight.shared.settings import Catalog

log = logging.getLogger(__name__)


def prune_refused(catalogs: CatalogStore, reports: Reports, keep: int, age: timedelta) -> list[str]:
    """Remove refused versions beyond the last `keep`, or older, unless the pointer names them; return what was removed.

    So go reports on what was refused before it was built, and those on versions that are not there.
    """
    whole, named = catalogs.versions(), catalogs.served()
    last = _last([one.version for one in whole if one.refused and one.version not in named], keep, age)
    removed = [one.version for one in whole if one.refused and one.version not in named and one.version not in last]
    for version in removed:
        catalogs.remove(version)
    unbuilt = _last([one.version for one in reports.unbuilt()], keep, age)
    reports.prune({one.version for one in whole} - set(removed) | unbuilt)
    return removed


def set_aside(catalogs: CatalogStore, reports: Reports, version: str, why: Refusal, case: str = "") -> None:
    """Keep a version as a refused one; case: what it is known by when the same shop comes again, where its report has none yet.

    Raises CatalogError when it is not there.
    """
    catalogs.mark_refused(version, (why.text,))
    if (summary := reports.summary(version)) is not None:
        changed = {"verdict": Verdict.REFUSED, "reasons": (*summary.reasons, why), "case": case or summary.case}
        reports.judge(summary.model_copy(update=changed))


def leave(catalogs: CatalogStore, reports: Reports, limits: Catalog, before: Current | None) -> list[str]:
    """Set aside what somebody has just gone back from, and return these versions; the caller holds the catalog's lock.

    before: the pointer as it was. So the next sync does not publish the same shop after all. A version that cannot be read is
    left as it is: who goes back from a damaged one wants it built again.
    """
    now, left = catalogs.current(), []
    for version in sorted(set(before.versions.values()) if before is not None else ()):
        try:
            manifest = catalogs.manifest(version)
            target = now.version_for(manifest.recipe) if now is not None else None
            if target is None or target >= version:  # names are in the order in which they were made
                continue
            summary = reports.summary(version)
            made = made_for(manifest.recipe, manifest.fit, manifest.reviewed.digest)
            queries = summary.queries if summary is not None else ()
            case = case_of(Tables.read(catalogs, version), made, catalogs.manifest(target), queries, limits)
            why = Refusal(gate="rolled back", text=f"It was served, and given up for {target}.")
            set_aside(catalogs, reports, version, why, case)
        except CatalogError as error:
            log.warning("version %s of catalog %s is not kept for a look: %s", version, catalogs.name, error)
            continue
        left.append(version)
    return left


def _last(versions: Sequence[str], keep: int, age: timedelta) -> set[str]:
    now = datetime.now(UTC)
    young = [version for version in sorted(versions, reverse=True) if (made := made_at(version)) is None or now - made <= age]
    return set(young[:keep])
