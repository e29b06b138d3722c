"""Bring catalog photos into object storage as `photos/<sha256>`: what is due is asked for, what changed is downloaded."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from packsight.indexer.feed.source import operator_settings, reference_of, root_of
from packsight.indexer.state import resolution
from packsight.indexer.state.database import State
from packsight.indexer.state.schedule import Agenda, Asked, Hosts, after_failure, after_success, agenda
from packsight.shared.contract.errors import ErrorCode, PacksightError
from packsight.shared.contract.outcomes import Failure
from packsight.shared.settings import Settings
from packsight.shared.storage import layout
from packsight.shared.storage.fetch import Fetcher
from packsight.shared.storage.objects import ObjectStore

STEP = 200
"""Photos after which progress is written down."""
_HOSTS_FAULT = frozenset((ErrorCode.HOST_UNREACHABLE, ErrorCode.FETCH_TIMEOUT))


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look at a picture's source found: bytes that are in object storage, or a failure."""

    sha256: str = ""
    validator: str = ""
    failure: Failure | None = None
    downloaded: bool = False
    skipped: bool = False
    """Its host fails so often that it was not asked."""


def fetch_photos(
    state: State,
    due: Agenda,
    *,
    feed: str,
    extras: str,
    settings: Settings,
    store: ObjectStore,
    clock: Callable[[], float],
    progress: Callable[[int], None] = lambda _: None,
) -> tuple[Agenda, int]:
    """Look at the source of every picture on the agenda, a bounded number at a time, and note what is there.

    Returns how many were asked for in the end, and how many of them were downloaded. A source that fails is noted with its
    failure; only a broken object store raises. What was seen is kept from step to step.
    """
    hosts, downloads, skipped, looked = Hosts(), 0, 0, 0
    with (
        closing(Fetcher(operator_settings(settings, feed, root_of(feed)), store)) as pictures,
        closing(Fetcher(operator_settings(settings, f"{extras.rstrip('/')}/", Path(extras)), store)) as folder,
        ThreadPoolExecutor(settings.fetch.threads, thread_name_prefix="fetch") as pool,
    ):

        def look(asked: Asked) -> Seen:
            if hosts.is_down(asked.host):
                return Seen(skipped=True)
            fetcher, reference = (folder, asked.source) if asked.extra else (pictures, reference_of(asked.source, feed))
            seen = _look(asked, reference, fetcher, store)
            hosts.note(asked.host, failed=seen.failure is not None and _is_hosts_fault(seen.failure))
            return seen

        for step in agenda(state, STEP):
            found: list[tuple[Asked, Seen]] = []
            progress(looked)
            try:
                for asked, seen in zip(step, pool.map(look, step), strict=True):
                    found.append((asked, seen))
                    downloads += seen.downloaded
                    skipped += seen.skipped
                    looked += 1
                    progress(looked)
            finally:
                with state.transaction():
                    _note(state, found, settings, clock())
        with state.transaction():
            hosts.keep(state, settings.catalog, clock())
    return Agenda(due.asked - skipped, due.not_due, due.put_off + skipped), downloads


def _look(asked: Asked, reference: str, fetcher: Fetcher, store: ObjectStore) -> Seen:
    """Ask for a picture unless it is still as it is known, and put its bytes into object storage."""
    known = bool(asked.sha256) and (asked.described or store.exists(layout.photo(asked.sha256)))
    try:
        fetched = fetcher.fetch_if_changed(reference, asked.validator if known else "")
    except PacksightError as error:
        return Seen(failure=Failure.of(error))
    if fetched is None:
        return Seen(asked.sha256, asked.validator)
    sha256 = hashlib.sha256(fetched.data).hexdigest()
    if not store.exists(layout.photo(sha256)):
        store.write(layout.photo(sha256), fetched.data)
    return Seen(sha256, fetched.validator, downloaded=True)


def _is_hosts_fault(failure: Failure) -> bool:
    return failure.code in _HOSTS_FAULT or (failure.code is ErrorCode.HTTP_STATUS and failure.retryable)


def _note(state: State, found: list[tuple[Asked, Seen]], settings: Settings, now: float) -> None:
    rules = settings.catalog
    refused: dict[str, str] = {}
    for _, seen in found:
        if seen.sha256 and (failure := state.value("SELECT failure FROM refused WHERE sha256 = ?", seen.sha256)):
            refused[seen.sha256] = failure
    rows, touched = [], []
    for asked, seen in found:
        if seen.skipped:
            if not asked.sha256 and not asked.failure:
                touched.append(asked.number)
                failure = Failure.of_code(ErrorCode.HOST_UNREACHABLE, f"{asked.host} fails, so it was not asked for this one")
                rows.append((failure.model_dump_json(), False, "", "", asked.changed, 0.0, 0, asked.number))
            continue
        if seen.failure is not None:
            failure_text, of_bytes, sha256, validator = seen.failure.model_dump_json(), False, asked.sha256, asked.validator
            changed, tries = asked.changed, asked.tries + 1
            due = after_failure(rules, tries, now)
        else:
            failure_text, of_bytes = refused.get(seen.sha256, ""), seen.sha256 in refused
            sha256, validator = seen.sha256, seen.validator
            changed = asked.changed if asked.sha256 == sha256 and asked.changed else now
            tries, due = 0, after_success(rules, changed, now)
        if (sha256, failure_text == "") != (asked.sha256, asked.failure == "") or bool(asked.of_bytes) != of_bytes:
            touched.append(asked.number)
        rows.append((failure_text, of_bytes, sha256, validator, changed, due, tries, asked.number))
    state.many(
        "UPDATE pictures SET failure = ?, of_bytes = ?, sha256 = ?, validator = ?, changed = ?, due = ?, tries = ? "
        "WHERE number = ?",
        rows,
    )
    resolution.touch(state, touched)
