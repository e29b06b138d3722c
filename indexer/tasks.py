"""The indexer's two tasks: the periodic sync and the reconciler that re-enqueues what was lost on the way."""

from __future__ import annotations

import logging
from contextlib import closing
from dataclasses import asdict
from typing import Any

from packsight.indexer.app import indexer_app
from packsight.indexer.lock import LockHeldError
from packsight.indexer.reconcile import reconcile
from packsight.indexer.report import SyncReport, SyncRequest
from packsight.shared.contract.errors import PacksightError, UserError
from packsight.shared.contract.messages import RECONCILE, SYNC
from packsight.shared.contract.references import shown
from packsight.shared.settings import Settings, settings
from packsight.shared.storage.objects import ObjectStore

log = logging.getLogger(__name__)
app = indexer_app()

SYNC_LIMIT = 24 * 3600
"""Seconds; the first import of a million photos takes hours."""


@app.task(name=SYNC, time_limit=SYNC_LIMIT, throws=(UserError, PacksightError))
def sync_catalog() -> dict[str, Any]:
    """Bring the configured catalog in step with its feed, unless another sync goes on or a person has to decide; then collect."""
    # Imported late, here as below, so that the child that reconciles every few seconds never loads Faiss.
    from packsight.indexer.collection.collect import collect_when_due  # noqa: PLC0415
    from packsight.indexer.signing import sign_former  # noqa: PLC0415

    config = settings()
    sign_former(config)
    try:
        told = _sync(config)
    except (UserError, PacksightError) as error:
        collect_when_due(config, unsure=str(error))  # what clients send grows also while no sync succeeds
        raise
    collect_when_due(config, unsure=told.get("skipped", ""))
    return told


def _sync(config: Settings) -> dict[str, Any]:
    from packsight.indexer.sync import run_sync  # noqa: PLC0415
    from packsight.indexer.undecided import DeletedError, UndecidedError  # noqa: PLC0415

    rules = config.catalog
    request = SyncRequest(rules.feed, rules.photos, rules.name, canary=rules.canary, by_clock=True)
    try:
        report = run_sync(request, config)
    except DeletedError as error:
        log.info("sync skipped: %s", error)
        return {"deleted": str(error)}  # so it needs nothing, and all else can be collected
    except (LockHeldError, UndecidedError) as error:
        log.info("sync skipped: %s", error)
        return {"skipped": str(error)}
    except (UserError, PacksightError) as error:
        log.error("sync of catalog %s failed: %s", request.catalog, error, extra={"action": "sync_failed"})
        raise
    for failure in report.failures:
        log.warning("photo not used: %s: %s %s", shown(failure.source), failure.message, failure.remedy)
    log.info(
        "sync of catalog %s: %d products, %d photos, %d pictures asked for (%d not due, %d put off), %d described, "
        "version %s, %s",
        report.catalog,
        report.products,
        report.photos,
        report.asked,
        report.not_due,
        report.put_off,
        report.described,
        report.version,
        _published(report) if report.published else "nothing changed",
        extra={"action": "sync_ended"},
    )
    return {**asdict(report), "failures": len(report.failures)}


def _published(report: SyncReport) -> str:
    return f"published for {report.canary:.3g} of the messages" if report.canary else "published"


@app.task(name=RECONCILE, ignore_result=True, send_events=False)
def reconcile_jobs() -> None:
    """Enqueue again what was handed out and has neither an outcome nor a message; sign what could not be signed before."""
    from packsight.indexer.signing import sign_former  # noqa: PLC0415

    config = settings()
    sign_former(config)
    with closing(ObjectStore(config.s3)) as store:
        again = reconcile(config, app, store)
    if again:
        log.warning(
            "%d batches had neither result nor message and were enqueued again", again, extra={"action": "reconciled"}
        )
