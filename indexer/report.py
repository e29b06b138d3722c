"""What a sync is asked for and what it says of itself."""

from __future__ import annotations

from dataclasses import dataclass, field

from packsight.indexer.plan import Plan, Settled

_NOTED_FAILURES = 20


@dataclass(frozen=True, slots=True)
class SyncRequest:
    """What to sync: a feed or table, extra photos (folder or s3:// prefix, empty for none), into which catalog."""

    feed: str
    photos: str = ""
    catalog: str = "default"
    force: bool = False
    """Publish in spite of losses and a worse self-check, describe photos again that could not be described."""


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


def failures_of(settled: Settled) -> list[PhotoFailure]:
    """Every photo that could not be used, in the feed's order."""
    return [
        PhotoFailure(source, failure.code.value, failure.message, failure.remedy)
        for (source, _), failure in settled.failures.items()
    ]


def first_failure(settled: Settled) -> str:
    """One sentence on why there is no photo."""
    first = next(iter(failures_of(settled)), None)
    return (
        f"{first.source}: {first.message}. {first.remedy}"
        if first
        else "The feed names no pictures and there are no extra photos."
    )


def notes_of(made: Plan, settled: Settled) -> tuple[str, ...]:
    """What the version's manifest should tell an operator."""
    failures = failures_of(settled)
    lines = [f"photo not used: {failure.source}: {failure.message}" for failure in failures[:_NOTED_FAILURES]]
    if len(failures) > _NOTED_FAILURES:
        lines.append(f"and {len(failures) - _NOTED_FAILURES} more photos that could not be used")
    return (*made.notes, *settled.notes, *lines)


def report_of(
    request: SyncRequest,
    made: Plan,
    settled: Settled,
    *,
    version: str | None,
    published: bool = False,
    fetched: int,
    described: int = 0,
) -> SyncReport:
    """Sum up a sync."""
    return SyncReport(
        catalog=request.catalog,
        version=version,
        published=published,
        products=len(settled.rows.products),
        photos=len(settled.rows.photos),
        fetched=fetched,
        described=described,
        kept_old=settled.kept_old,
        added=made.added,
        removed=made.removed,
        changed=made.changed,
        failures=failures_of(settled),
        notes=[*made.notes, *settled.notes],
    )
