"""What a sync is asked for and what it says of itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from packsight.indexer.plan import Plan, ResolvedRows
from packsight.shared.catalog.manifest import Manifest
from packsight.shared.contract.references import shown

_NOTED_FAILURES = 20


@dataclass(frozen=True, slots=True)
class SyncRequest:
    """What to sync: a feed or table, extra photos (folder or s3:// prefix, empty for none), into which catalog."""

    feed: str
    photos: str = ""
    catalog: str = "default"
    force: bool = False
    """Publish in spite of all that the gate refuses, describe photos again that could not be described."""
    dry_run: bool = False
    """Only say what would be done."""


@dataclass(frozen=True, slots=True)
class PhotoFailure:
    """A photo that could not be used."""

    source: str
    code: str
    message: str
    remedy: str


@dataclass(frozen=True, slots=True)
class SyncReport:
    """What a sync did."""

    catalog: str
    version: str | None
    """The version that is current now."""
    published: bool
    products: int
    photos: int
    fetched: int = 0
    described: int = 0
    kept_old: int = 0
    added: int = 0
    removed: int = 0
    changed: int = 0
    failures: list[PhotoFailure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    built: Manifest | None = None
    """The version that was published, if one was."""


def failures_of(resolved: ResolvedRows) -> list[PhotoFailure]:
    """Every photo that could not be used, in the feed's order."""
    return [
        PhotoFailure(source, failure.code.value, failure.message, failure.remedy)
        for (source, _), failure in resolved.failures.items()
    ]


def first_failure(resolved: ResolvedRows) -> str:
    """One sentence on why there is no photo."""
    first = next(iter(failures_of(resolved)), None)
    return (
        f"{shown(first.source)}: {first.message}. {first.remedy}"
        if first
        else "The feed names no pictures and there are no extra photos."
    )


def notes_of(plan: Plan, resolved: ResolvedRows) -> tuple[str, ...]:
    """What the version's manifest should tell an operator."""
    failures = failures_of(resolved)
    lines = [f"photo not used: {shown(failure.source)}: {failure.message}" for failure in failures[:_NOTED_FAILURES]]
    if len(failures) > _NOTED_FAILURES:
        lines.append(f"and {len(failures) - _NOTED_FAILURES} more photos that could not be used")
    return (*plan.notes, *resolved.notes, *lines)


def report_of(
    request: SyncRequest,
    plan: Plan,
    resolved: ResolvedRows,
    *,
    version: str | None,
    built: Manifest | None = None,
    fetched: int,
    described: int = 0,
    notes: Sequence[str] = (),
) -> SyncReport:
    """Sum up a sync."""
    return SyncReport(
        catalog=request.catalog,
        version=version,
        published=built is not None,
        products=len(resolved.rows.products),
        photos=len(resolved.rows.photos),
        fetched=fetched,
        described=described,
        kept_old=resolved.kept_old,
        added=plan.added,
        removed=plan.removed,
        changed=plan.changed,
        failures=failures_of(resolved),
        notes=[*plan.notes, *resolved.notes, *notes],
        built=built,
    )
