"""What `packsight catalog` prints, as rich tables."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from packsight.indexer.report import SyncReport
from packsight.indexer.version_report.summary import TITLES, Summary, Verdict
from packsight.shared import advice
from packsight.shared.catalog.canary import Canary
from packsight.shared.catalog.health import LISTS as HEALTH
from packsight.shared.catalog.health import HealthList
from packsight.shared.catalog.manifest import Manifest
from packsight.shared.contract.outcomes import Status
from packsight.shared.contract.references import shown

if TYPE_CHECKING:
    import pyarrow as pa

    from packsight.indexer.product_view import ProductView
    from packsight.indexer.rehearsal import Rehearsal
    from packsight.shared.queue.tried import Side

_FAILURES = 20
SHOWN = 10
"""Rows of a list that are printed."""


def _facts(rows: Sequence[tuple[str, object]], title: str) -> RenderableType:
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, escape(str(value)))
    return Group(title, table)


def sync_summary(report: SyncReport) -> RenderableType:
    """Counts of a sync."""
    title = f"Nothing to publish: {report.catalog} is at {report.version}"
    if report.built is not None:
        tried = f" as a canary: it answers {report.canary:.3g} of the messages" if report.canary else ""
        title = f"[green]Published {report.catalog} {report.built.version}{tried}[/]"
    rows: list[tuple[str, object]] = [
        ("products", f"{report.products} ({report.added} new, {report.removed} gone, {report.changed} changed)"),
        ("photos", report.photos),
        ("pictures asked for", _asked(report)),
        ("fetched", report.fetched),
        ("described", report.described),
    ]
    if report.built is not None:
        rows += [("fit", fit_basis(report.built)), *_rows(report.built)]
    if report.kept_old:
        rows.append(("kept as before", report.kept_old))
    if report.failures:
        rows.append(("photos not used", len(report.failures)))
    return _facts(rows, title)


def _asked(report: SyncReport) -> str:
    put_off = f", {report.put_off} put off for their hosts' sake" if report.put_off else ""
    return f"{report.asked} ({report.not_due} not due{put_off})"


def failures(report: SyncReport) -> RenderableType | None:
    """The first photos that could not be used, each with its remedy; None when there are none."""
    if not report.failures:
        return None
    table = Table("photo", "why", "what to do", title="Photos that could not be used", title_justify="left")
    for failure in report.failures[:_FAILURES]:
        table.add_row(escape(shown(failure.source)), escape(failure.message), escape(failure.remedy))
    if len(report.failures) > _FAILURES:
        table.caption = f"and {len(report.failures) - _FAILURES} more"
    return table


def versions(manifests: Sequence[Manifest], served: Collection[str], tried: Collection[str] = ()) -> RenderableType:
    """All versions of a catalog, those that workers are served marked, those apart that are tried."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column()
    table.add_column("version", no_wrap=True)  # whole, since it is there to be copied
    for name in ("products", "photos", "size", "self-check"):
        table.add_column(name, justify="right")
    for made in manifests:
        table.add_row(
            _mark(made, served, tried),
            made.version,
            str(made.products),
            str(made.photos),
            size(sum(entry.size for entry in made.files.values())),
            f"{made.self_check.top1:.1%}" if made.self_check.photos else "–",
        )
    return table


def _mark(made: Manifest, served: Collection[str], tried: Collection[str]) -> str:
    if made.version in tried:
        return "[yellow]canary[/]"
    return "[green]CURRENT[/]" if made.version in served else "[red]refused[/]" if made.refused else ""


def canary(tried: Canary, endings: Mapping[Side, Mapping[str, int]]) -> RenderableType:
    """A version that is tried: on what share, and how the photos ended that it and the other version answered."""
    title = f"Canary: {tried.version} answers {tried.share:.3g} of the messages"
    table = Table("answered by", *(status.value for status in Status), box=SIMPLE_HEAD, pad_edge=False)
    for side, counts in endings.items():
        table.add_row(side, *(f"{counts.get(status.value, 0):,}" for status in Status))
    return Group(title, table) if endings else Group(title)


def manifest(made: Manifest, *, is_served: bool, is_canary: bool = False) -> RenderableType:
    """One version in full."""
    check = made.self_check
    rows: list[tuple[str, object]] = [
        ("made", f"{made.created_at:%Y-%m-%d %H:%M:%S %Z}"),
        ("parent", made.parent or "–"),
        ("products", made.products),
        ("photos", made.photos),
        ("embedder", made.embedder),
        ("spotter", made.spotter),
        ("details", made.details or "of an older release"),
        ("matching", made.matching or "of an older release"),
        ("vectors", f"{made.dimension} values, projected to {made.projected}"),
        ("index", f"{made.index} (Faiss {made.faiss})"),
        *_rows(made),
    ]
    if check.photos:
        rows += [
            ("self-check", f"{check.top1:.1%} of {check.photos} photos recognised, each left out"),
            ("matched", f"{check.share_matched:.1%}, of them right {check.precision_matched:.1%}"),
        ]
    if made.made_check.photos:
        easy = made.made_check
        rows.append(("made photos", f"{easy.top1:.1%} of {easy.photos} recognised, each made of a product's only one"))
    rows.append(("fit", fit_basis(made)))
    rows += [(name, size(entry.size)) for name, entry in sorted(made.files.items())]
    rows.append(("together", size(sum(entry.size for entry in made.files.values()))))
    return _facts(rows, f"{made.catalog} {made.version}{' (canary)' if is_canary else ' (CURRENT)' if is_served else ''}")


def _rows(made: Manifest) -> list[tuple[str, object]]:
    """Where a version has its photos, and since when; nothing for one of an older format."""
    if made.epoch is None:
        return []
    rows, epoch = sum(segment.rows for segment in made.segments), made.epoch
    return [
        ("segments", f"{len(made.segments)}, of their {rows} rows {rows - made.photos} gone"),
        ("epoch", f"since {epoch.began}, {epoch.added} photos ago: {epoch.reason}"),
    ]


def fit_basis(made: Manifest) -> str:
    """How sure a version's fit is: what could be left out, and of how many products nothing."""
    basis = f"by {made.self_check.photos} photos, each left out" if made.self_check.photos else "by the prior alone"
    if made.made_check.photos:
        basis = f"{basis}, thresholds also by {made.made_check.photos} photos made of only ones"
    if not made.single:
        return basis
    return f"{basis}; {made.single} of {made.products} products have one photo, which cannot be left out"


def size(count: float) -> str:
    """Bytes for people."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def rehearsal(found: Rehearsal) -> RenderableType:
    """What a sync would do."""
    counts = found.summary.counts
    told = ", ".join(f"{counts[name]} {what}" for name, what in _DIFFERENCES.items() if name in counts)
    return _facts(
        [
            ("products", f"{found.summary.levels.products}{f' ({told})' if told else ''}"),
            ("pictures", f"{found.pictures} ({found.new} at addresses that the published version does not have)"),
        ],
        f"Dry run: what a sync of {found.summary.catalog} would do",
    )


_DIFFERENCES = {
    "added": "new", "gone": "gone", "renamed": "with another name", "changed": "with changed fields",
    "reidentified": "back under another id", "photoless": "that had photos without any picture",
}  # fmt: skip


def report(summary: Summary) -> RenderableType:
    """The head of a report: verdict, reasons, comparisons, counts."""
    colour = "green" if summary.verdict is Verdict.ACCEPTED else "red"
    levels = summary.levels
    rows: list[tuple[str, object]] = [
        ("made", f"{summary.made_at:%Y-%m-%d %H:%M:%S %Z}"),
        ("follows", summary.parent or "–"),
        ("products", f"{levels.products}, {levels.names} distinct names"),
    ]
    if levels.photos is not None:
        rows.append(("photos", f"{levels.photos}, {levels.pictures} distinct pictures"))
    rows += [("compared", line) for line in summary.compared]
    return _facts(rows, f"{escape(summary.catalog)} {escape(summary.version)}: [{colour}]{summary.verdict}[/]")


def counts(summary: Summary) -> RenderableType:
    """How many of what a report names, nothing left out that there is."""
    rows: list[tuple[str, object]] = [(TITLES[name], summary.counts[name]) for name in TITLES if summary.counts.get(name)]
    of = advice.of_catalog(summary.catalog)
    return _facts(rows, f"More: packsight catalog report {escape(summary.version)}{escape(of)} --html FILE")


def remarks(summary: Summary) -> list[str]:
    """What an operator should read of a report."""
    forced = "published in spite of" if summary.verdict is Verdict.FORCED else "refused"
    return [*(f"{forced}: {reason.text}" for reason in summary.reasons), *summary.notes]


def lists(tables: Mapping[str, pa.Table], counts: Mapping[str, int]) -> Iterator[RenderableType]:
    """Lists of a report, those that have rows, as far as they are given; counts: how many rows each has."""
    for name, title in TITLES.items():
        if name in tables and len(tables[name]):
            table = Table(*tables[name].column_names, title=f"{title}: {counts[name]}", title_justify="left", box=SIMPLE_HEAD)
            for row in tables[name].to_pylist():
                table.add_row(*(escape(shown(str(value))) for value in row.values()))
            if counts[name] > len(tables[name]):
                table.caption = f"and {counts[name] - len(tables[name])} more"
            yield table


def health(version: str, counts: Mapping[str, int]) -> RenderableType:
    """What wants looking at, how many of each kind, and what to do."""
    table = Table("List", "What", "Rows", "What to do", box=SIMPLE_HEAD, title=f"Version {escape(version)}", title_justify="left")
    for name, one in HEALTH.items():
        count = counts[name]
        table.add_row(name, one.title, f"{count:,}" if count else "[dim]0[/]", one.remedy if count else "")
    table.caption = "One of them: packsight catalog health LIST [--csv FILE]"
    return table


def health_rows(wanted: HealthList, rows: Sequence[Mapping[str, object]], count: int) -> RenderableType:
    """The first rows of such a list."""
    table = Table(*wanted.columns, title=f"{wanted.title}: {count:,}", title_justify="left", box=SIMPLE_HEAD)
    for row in rows:
        table.add_row(*(escape(shown(str(row[column]))) for column in wanted.columns))
    more = f"and {count - len(rows):,} more with --csv FILE. " if count > len(rows) else ""
    table.caption = f"{more}{wanted.remedy}"
    return table


def product(view: ProductView) -> Iterator[RenderableType]:
    """A product with its photos, words and neighbours."""
    yield _facts([(name, value) for name, value in view.fields.items() if value], f"{escape(view.id)} in {escape(view.version)}")
    for title, columns, rows in (
        ("Photos", ("source", "sha256", "words read on it", "asked without it"), view.photos),
        ("Words", ("word", "in the name", "photos that show it", "products that have it"), view.words),
        ("Most like it", ("product", "name", "looks", "details that agree"), view.neighbours),
    ):
        table = Table(*columns, title=title, title_justify="left", box=SIMPLE_HEAD)
        for row in rows:
            table.add_row(*(escape(shown(str(value))) for value in row))
        if rows:
            yield table
