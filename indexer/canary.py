"""A version that is tried on a share of the messages comes to answer all of them, or none."""

from __future__ import annotations

import logging

from packsight.indexer.gate.rules import Refusal
from packsight.indexer.publish import meanwhile, point
from packsight.indexer.version_report.keeping import Reports
from packsight.indexer.version_report.summary import Verdict
from packsight.shared.catalog.pointer import Current
from packsight.shared.catalog.versions import CatalogStore
from packsight.shared.contract.errors import CatalogError, UserError
from packsight.shared.storage.objects import Conflict

log = logging.getLogger(__name__)


def promote(catalogs: CatalogStore) -> list[str]:
    """Let every canary answer all messages, and return their versions; the caller holds the catalog's lock.

    Raises UserError when there is none, when one is not there any more, or when someone else published meanwhile.
    """
    current = _tried(catalogs)
    versions = sorted({canary.version for canary in current.canaries.values()})
    try:
        point(catalogs, [catalogs.manifest(version) for version in versions], current)
    except CatalogError as error:
        raise UserError(f"{error.message}. {error.remedy}") from None
    except Conflict:
        raise meanwhile(catalogs) from None
    log.info("catalog %s: promoted %s", catalogs.name, ", ".join(versions), extra={"action": "canary_promoted"})
    return versions


def give_up(catalogs: CatalogStore, reports: Reports) -> list[str]:
    """Let no message be answered from a canary any more, and return their versions; the caller holds the catalog's lock.

    They are marked as refused, before the pointer moves, so that the next sync does not publish the same shop after all: they
    are kept for a look as other refused ones are, and can be let be served. Raises UserError as `promote` does.
    """
    current = _tried(catalogs)
    try:
        for version, canary in sorted({canary.version: canary for canary in current.canaries.values()}.items()):
            reason = f"It was tried on {canary.share:.3g} of the messages and given up."
            catalogs.mark_refused(version, (reason,))
            if (summary := reports.summary(version)) is not None:
                given_up = Refusal(gate="given up", text=reason)
                reports.judge(summary.model_copy(update={"verdict": Verdict.REFUSED, "reasons": (*summary.reasons, given_up)}))
        catalogs.drop_canaries(expected=current)
    except CatalogError as error:
        raise UserError(f"{error.message}. {error.remedy}") from None
    except Conflict:
        raise meanwhile(catalogs) from None
    versions = sorted({canary.version for canary in current.canaries.values()})
    log.info("catalog %s: gave up %s", catalogs.name, ", ".join(versions), extra={"action": "canary_given_up"})
    return versions


def _tried(catalogs: CatalogStore) -> Current:
    current = catalogs.current()
    if current is None or not current.canaries:
        raise UserError(
            f"Catalog {catalogs.name} has no canary. `packsight catalog sync --canary 0.2` tries a new version on a fifth of the "
            "messages."
        )
    return current
