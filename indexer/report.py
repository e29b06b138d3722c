"""What a sync is asked for and what it says of itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from packsight.indexer.plan import Plan
from packsight.indexer.state import resolution
from packsight.indexer.state.database import State
from packsight.indexer.state.resolution import Summary
from packsight.indexer.state.schedule import Agenda
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
    all_pictures: bool = False
    """Ask for every picture, whether it is due or not, as `force` does too."""
    canary: float = 0.0
    """Share of the messages that the new version is to answer beside the one that is current; 0 = all, in its place."""
    by_clock: bool = False
    """Whether nobody asked for it just now."""


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
    asked: int = 0
    """Pictures whose sources were asked; of the others some are not due, and some were put off, since their host had enough."""
    not_due: int = 0
    put_off: int = 0
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
    canary: float = 0.0
    """Share of the messages that it answers, if it is tried beside the current one."""


def failures_of(state: State) -> list[PhotoFailure]:
    """Every photo that could not be used, in the feed's order."""
    return [
        PhotoFailure(source, failure.code.value, failure.message, failure.remedy)
        for source, failure in resolution.failures(state)
    ]


def first_failure(state: State) -> str:
    """One sentence on why there is no photo."""
    first = next(iter(failures_of(state)), None)
    return (
        f"{shown(first.source)}: {first.message}. {first.remedy}"
        if first
        else "The feed names no pictures and there are no extra photos."
    )


def notes_of(plan: Plan, summary: Summary, state: State) -> tuple[str, ...]:
    """What the version's manifest should tell an operator."""
    failures = failures_of(state)
    lines = [f"photo not used: {shown(failure.source)}: {failure.message}" for failure in failures[:_NOTED_FAILURES]]
    if len(failures) > _NOTED_FAILURES:
        lines.append(f"and {len(failures) - _NOTED_FAILURES} more photos that could not be used")
    return (*plan.notes, *summary.notes, *lines)


def report_of(
    request: SyncRequest,
    plan: Plan,
    summary: Summary,
    *,
    agenda: Agenda,
    failures: list[PhotoFailure],
    version: str | None,
    built: Manifest | None = None,
    fetched: int,
    described: int = 0,
    canary: float = 0.0,
    notes: Sequence[str] = (),
) -> SyncReport:
    """Sum up a sync."""
    return SyncReport(
        catalog=request.catalog,
        version=version,
        published=built is not None,
        products=summary.products,
        photos=summary.photos,
        asked=agenda.asked,
        not_due=agenda.not_due,
        put_off=agenda.put_off,
        fetched=fetched,
        described=described,
        kept_old=summary.kept_old,
        added=plan.added,
        removed=plan.removed,
        changed=plan.changed,
        failures=failures,
        notes=[*plan.notes, *summary.notes, *notes],
        built=built,
        canary=canary,
    )
