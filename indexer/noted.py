"""How a sync ended, noted for whoever watches; what cannot be noted keeps no sync from ending as it does."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import redis

from packsight.indexer.examination import RefusedError
from packsight.indexer.report import SyncReport
from packsight.indexer.undecided import DeletedError, UndecidedError
from packsight.shared.queue import syncs
from packsight.shared.queue.syncs import Ending

log = logging.getLogger(__name__)


@contextmanager
def noted(client: redis.Redis, catalog: str) -> Iterator[Callable[[SyncReport], None]]:
    """Note how what is done inside ends: with a report, which it hands over, or with an error, which goes on."""
    began = time.monotonic()

    def note(ending: Ending, why: str = "", *, feed_changed: bool = False) -> None:
        try:
            syncs.note(client, catalog, ending, time.monotonic() - began, why=why, feed_changed=feed_changed)
        except (redis.RedisError, OSError) as error:
            log.warning("how the sync of catalog %s ended cannot be noted: %s", catalog, type(error).__name__)

    def ended(report: SyncReport) -> None:
        changed = bool(report.added or report.removed or report.changed)
        note(Ending.PUBLISHED if report.published else Ending.UNCHANGED, feed_changed=changed)

    try:
        yield ended
    except DeletedError:
        raise  # nothing is told of a catalog that was deleted
    except UndecidedError as error:
        note(Ending.HELD_BACK, str(error))
        raise
    except RefusedError as error:
        note(Ending.REFUSED, "; ".join(reason.text for reason in error.summary.reasons))
        raise
    except Exception as error:
        note(Ending.FAILED, str(error) or type(error).__name__)
        raise
