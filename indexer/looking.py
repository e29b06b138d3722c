"""What `packsight catalog report`, `diff` and `product` do: look at versions, and change nothing."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from packsight.indexer import tables
from packsight.indexer.commands import current_of, opened, out, print_notes
from packsight.indexer.gate.changes import changes
from packsight.indexer.gate.tables import Tables
from packsight.indexer.product_view import product_view
from packsight.indexer.version_report.keeping import Reports, as_text, lines_of
from packsight.indexer.version_report.page import page_of_lines
from packsight.indexer.version_report.summary import Summary
from packsight.shared.catalog import health as catalog_health
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.catalog.versions import CatalogStore
from packsight.shared.contract.errors import UserError
from packsight.shared.settings import settings
from packsight.shared.storage.files import must_be_files, unwritable, written_aside
from packsight.shared.storage.objects import ObjectStore
from packsight.shared.tables.spreadsheet import csv_lines


def report(version: str, catalog: str, *, html: Path | None, jsonl: Path | None) -> None:
    """Show the report on a version, the current one for "", and write it where that is asked for."""
    must_be_files(html, jsonl)
    with _opened(catalog) as (catalogs, reports):
        summary = _summary(version or current_of(catalogs).version, reports)
        if html is not None:
            _write(html, [page_of_lines(summary, reports.lines(summary.version))])
        if jsonl is not None:
            _write(jsonl, map(as_text, reports.lines(summary.version)))
    out.print(tables.report(summary))
    out.print(tables.counts(summary))
    print_notes(tables.remarks(summary))


def health(name: str, catalog: str, *, csv: Path | None) -> None:
    """Show what wants looking at in the version that is served: how many of each kind, or one list; all of that into a file."""
    if csv is not None and not name:
        raise UserError(f"--csv writes one list. Name it: {', '.join(catalog_health.LISTS)}.")
    must_be_files(csv)
    with opened(catalog) as catalogs, closing(ObjectStore(settings().s3)) as store:
        version = current_of(catalogs).version
        if not name:
            out.print(tables.health(version, catalog_health.counts(store, catalog, version)))
            return
        wanted = catalog_health.health_list(name)
        rows = list(catalog_health.rows(store, catalog, version, name))
    if csv is not None:
        try:
            with written_aside(csv) as part, part.open("w", encoding="utf-8", newline="") as file:
                file.writelines(csv_lines(wanted.columns, rows))
        except OSError as error:
            raise unwritable(csv, error) from None
        out.print(f"Wrote {csv}: {len(rows):,} rows.", highlight=False)
        return
    out.print(tables.health_rows(wanted, rows[: tables.SHOWN], len(rows)))


def diff(before: str, after: str, catalog: str, *, jsonl: Path | None) -> None:
    """Show what differs between two versions."""
    must_be_files(jsonl)
    with _opened(catalog) as (catalogs, reports):
        reports.require_built(before, after)
        found = changes(Tables.read(catalogs, before), Tables.read(catalogs, after))
    lists = found.lists
    counts = {name: len(table) for name, table in lists.items()}
    if jsonl is not None:
        _write(jsonl, lines_of(lists))
    for listed in tables.lists({name: table.slice(0, tables.SHOWN) for name, table in lists.items()}, counts):
        out.print(listed)
    if not any(counts.values()):
        out.print(f"{before} and {after} hold the same products, fields and photos.", highlight=False)


def product(identity: str, version: str, catalog: str) -> None:
    """Show a product of a version, the current one for ""."""
    with _opened(catalog) as (catalogs, reports):
        name = version or current_of(catalogs).version
        reports.require_built(name)
        view = product_view(identity, Snapshot.open(_copy(catalogs, name)), reports.answers(name))
    for part in tables.product(view):
        out.print(part)


@contextmanager
def _opened(name: str) -> Iterator[tuple[CatalogStore, Reports]]:
    with opened(name) as catalogs, closing(ObjectStore(settings().s3)) as store:
        yield catalogs, Reports(store, name)


def _summary(version: str, reports: Reports) -> Summary:
    summary = reports.summary(version)
    if summary is None:
        raise UserError(
            f"There is no report on version {version}. It is of an older release, or removed; `packsight catalog versions` lists "
            "what is there."
        )
    return summary


def _copy(catalogs: CatalogStore, version: str) -> Path:
    """A copy of a version to look at; that of the one looked at before goes."""
    home = settings().home / "looked-at" / catalogs.name
    folder = catalogs.download(version, home)
    for other in home.iterdir():
        if other.is_dir() and other != folder and not other.name.startswith("."):
            shutil.rmtree(other, ignore_errors=True)
    return folder


def _write(path: Path, texts: Iterable[str]) -> None:
    """Write a file whole, or not at all."""
    try:
        with written_aside(path) as part, part.open("w", encoding="utf-8") as file:
            file.writelines(f"{text}\n" for text in texts)
    except OSError as error:
        raise unwritable(path, error) from None
