"""A sync, from the shop's feed and photos to the versions that workers serve, in four phases that read top to bottom.

Wanted: what the shop offers, and how far that is from what is published. Resolved: what is at the sources of its photos
now. Built: a version for every recipe that needs one, in a folder, checked. Published: uploaded, pointed at, announced.

Everything up to the pointer can be interrupted at any point and run again: photos are stored under their hash, what was
seen at their sources is kept, features are in shards, a version without a manifest is invisible. What is worked out from the feed
and the published versions is kept in the state, a file that may be lost at any time; only what changed is worked out anew.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import ExitStack, closing

from packsight.indexer.completion import Progress
from packsight.indexer.deletion import forget_here, is_deleted
from packsight.indexer.extraction import QueueExtractor
from packsight.indexer.fleet import Fleet
from packsight.indexer.lock import require_known, sync_lock
from packsight.indexer.noted import noted
from packsight.indexer.phases.built import Built, build
from packsight.indexer.phases.published import Published, publish
from packsight.indexer.phases.resolved import resolve
from packsight.indexer.phases.run import Run
from packsight.indexer.phases.wanted import want
from packsight.indexer.plan import without_useless
from packsight.indexer.report import SyncReport, SyncRequest, failures_of, report_of
from packsight.indexer.state import resolution
from packsight.indexer.state.database import DamagedStateError, State, discard, opened
from packsight.indexer.undecided import DeletedError
from packsight.shared.catalog.trust import Trust
from packsight.shared.catalog.versions import catalog_names
from packsight.shared.contract.errors import PacksightError
from packsight.shared.settings import Settings
from packsight.shared.storage.objects import ObjectStore

log = logging.getLogger(__name__)


def run_sync(
    request: SyncRequest, settings: Settings, progress: Progress = lambda *_: None, remark: Callable[[str], None] = lambda _: None
) -> SyncReport:
    """Sync under the catalog's lock, with the running workers.

    remark: hears what keeps them from describing photos, and "" when nothing does.

    Raises LockHeldError when another sync of the catalog is going on, or a collection that cannot know of it, UserError and
    PacksightError when this one fails.
    """
    Trust.of_publisher(settings).keyring.require_own()
    with ExitStack() as stack:
        store = stack.enter_context(closing(ObjectStore(settings.s3, pool_size=settings.fetch.threads + 4)))
        fleet = stack.enter_context(closing(Fleet(settings)))
        lease = stack.enter_context(sync_lock(fleet.redis, request.catalog, "a sync"))
        require_known(fleet.redis, request.catalog, lambda: catalog_names(store))
        with noted(fleet.redis, request.catalog) as note:
            store.ensure_bucket()
            report = sync(Run(request, settings, store, fleet, QueueExtractor(settings, fleet, remark), lease, progress))
            note(report)
            return report


def sync(run: Run) -> SyncReport:
    """Bring the catalog in step with its feed; raises UserError and PacksightError when that fails.

    Of a catalog that was deleted nothing counts that was known of it, and the clock alone does not bring it back (DeletedError).
    What goes wrong without the lock went wrong for that: whoever has it by then has cleared away what was needed here.
    """
    try:
        return _remembering(run)
    except PacksightError:
        run.lease.check()
        raise


def _remembering(run: Run) -> SyncReport:
    """Sync with what the indexer's memory holds, or with a new one where it is damaged."""
    if is_deleted(run.store, run.request.catalog, Trust.of_publisher(run.settings)):
        if run.request.by_clock:
            raise DeletedError(run.request.catalog)
        forget_here(run.settings, run.request.catalog)
    try:
        with opened(run.state_file) as state:
            return _sync(run, state)
    except DamagedStateError as error:
        log.warning("the indexer's memory is made anew: %s", error)
        discard(run.state_file)
    with opened(run.state_file) as state:
        return _sync(run, state)


def _for_all(run: Run, built: Built, published: Published) -> tuple[str, ...]:
    """Why a share was asked for and all messages are answered anew."""
    if not run.request.canary or not built.versions or published.canary:
        return ()
    return ("published for all messages: only prices and texts changed, or there is no version to try it beside",)


def _sync(run: Run, state: State) -> SyncReport:
    wanted = want(run, state)
    resolved = resolve(run, state, wanted)
    built = build(run, state, wanted)
    summary, failures = resolution.summary(state, wanted.plan.parent), failures_of(state)
    reviews = wanted.harvest.notes(state, wanted.plan.parent)
    plan = without_useless(state, wanted.plan)
    published = publish(run, state, wanted, built, summary)
    return report_of(
        run.request,
        plan,
        summary,
        agenda=resolved.agenda,
        failures=failures,
        version=published.version,
        built=built.versions[-1].manifest if built.versions else None,
        fetched=resolved.downloads,
        described=built.described,
        canary=run.request.canary if published.canary else 0.0,
        notes=(*wanted.notes, *built.notes, *reviews, *_for_all(run, built, published)),
    )
