"""`packsight catalog sync|versions|show|rollback` and `packsight indexer`."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Annotated

import typer
from redis.exceptions import RedisError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from indexer import tables
from indexer.fleet import Fleet
from indexer.report import SyncRequest
from shared.catalog import CatalogStore
from shared.errors import UserError
from shared.messages import CATALOG_NAME, INDEXER_QUEUE
from shared.settings import settings
from shared.store import ObjectStore

WAIT_SECONDS = 30.0
"""How long `--wait` waits for the replicas."""

app = typer.Typer()
catalog_app = typer.Typer(no_args_is_help=True, help="Publish catalog versions and look at them.")
app.add_typer(catalog_app, name="catalog")
out = Console()


def _name(value: str) -> str:
    if not re.match(CATALOG_NAME, value):
        raise typer.BadParameter("lower-case letters, digits, _ and -, 63 at most")
    return value


CatalogOption = Annotated[str, typer.Option("--catalog", help="Name of the catalog.", callback=_name)]


@catalog_app.command()
def sync(
    feed: Annotated[str, typer.Option(help="YML feed, or TSV/CSV table: a file, http(s)://… or s3://…; gzip is fine.")],
    photos: Annotated[str, typer.Option(help="Extra photos: DIR/<vendor code>/* or s3://bucket/prefix.")] = "",
    catalog: CatalogOption = "default",
    force: Annotated[bool, typer.Option("--force", help="Publish in spite of losses or a worse self-check.")] = False,
    wait: Annotated[bool, typer.Option(help="Wait until the running workers serve the version.")] = True,
) -> None:
    """Bring a catalog in step with the shop's feed and publish it as a new version, if anything changed."""
    from indexer.sync import run_sync  # noqa: PLC0415 - Faiss and friends load only when needed

    config = settings()
    with _reachable(), _progress() as progress:
        report = run_sync(SyncRequest(feed, photos, catalog, force), config, progress)
    out.print(tables.sync_summary(report))
    if failures := tables.failures(report):
        out.print(failures)
    for note in report.notes:
        out.print(f"[yellow]![/] {note}", highlight=False)
    if wait and report.version is not None:
        with _reachable():
            _wait(catalog, report.version)


def _wait(catalog: str, version: str) -> None:
    with closing(Fleet(settings())) as fleet:
        late = fleet.wait_for(catalog, version, WAIT_SECONDS)
        serving = fleet.serving(catalog)
    if late:
        out.print(
            f"[yellow]![/] not serving it after {WAIT_SECONDS:.0f} s: {', '.join(late)}. Look at `packsight status`."
        )
    elif serving:
        out.print(f"{len(serving)} worker host{'s' if len(serving) > 1 else ''} serving {version}.")
    else:
        out.print("No worker is up; workers take the version up when they start.")


@catalog_app.command()
def versions(catalog: CatalogOption = "default") -> None:
    """List the versions of a catalog, oldest first."""
    with closing(ObjectStore(settings().s3)) as store:
        versions_ = CatalogStore(store, catalog)
        current = versions_.current()
        manifests = versions_.versions()
    if not manifests:
        raise UserError(
            f"Catalog {catalog} has no versions. Publish one with `packsight catalog sync --catalog {catalog} --feed …`."
        )
    out.print(tables.versions(manifests, current.version if current is not None else None))


@catalog_app.command()
def show(
    version: Annotated[str, typer.Argument(help="Version; the current one when left out.")] = "",
    catalog: CatalogOption = "default",
) -> None:
    """Show a version: what it holds, which models made it, how well it recognises itself."""
    with closing(ObjectStore(settings().s3)) as store:
        catalogs = CatalogStore(store, catalog)
        current = catalogs.current()
        if not version and current is None:
            raise UserError(
                f"Catalog {catalog} was never published. Publish it with `packsight catalog sync --catalog {catalog} --feed …`."
            )
        manifest = catalogs.manifest(version or (current.version if current is not None else ""))
    out.print(tables.manifest(manifest, is_current=current is not None and current.version == manifest.version))
    for note in manifest.notes:
        out.print(f"[yellow]![/] {note}", highlight=False)


@catalog_app.command()
def rollback(
    version: Annotated[str, typer.Argument(help="Version to go back to; the current one's parent when left out.")] = "",
    catalog: CatalogOption = "default",
    wait: Annotated[bool, typer.Option(help="Wait until the running workers serve the version.")] = True,
) -> None:
    """Let an earlier version be the current one; workers take it up without a restart."""
    from indexer.publish import roll_back  # noqa: PLC0415

    with closing(ObjectStore(settings().s3)) as store:
        target = roll_back(CatalogStore(store, catalog), version or None)
    out.print(f"Catalog {catalog} is at {target} again. The next sync with a changed feed publishes on top of it.")
    with _reachable():
        with closing(Fleet(settings())) as fleet:
            fleet.announce(catalog)
        if wait:
            _wait(catalog, target)


@app.command()
def indexer() -> None:
    """Run the indexer in the foreground: the periodic sync of PACKSIGHT_CATALOG__FEED and the reconciler."""
    line = [sys.executable, "-m", "celery", "-A", "indexer.app", "worker", "--beat", "--hostname", "indexer@%h"]
    line += [
        "--queues",
        INDEXER_QUEUE,
        "--concurrency",
        "2",
        "--without-gossip",
        "--without-mingle",
        "--loglevel",
        "INFO",
    ]
    os.execv(line[0], line)  # noqa: S606 - replaces this process, so that signals reach Celery itself


@contextmanager
def _reachable() -> Iterator[None]:
    try:
        yield
    except RedisError as error:
        raise UserError(
            f"Redis does not answer ({error}). Start the stack with `packsight up` or check PACKSIGHT_RESULT_URL."
        ) from None


class _Bars:
    """Progress bars, one for each step that reports."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._steps: dict[str, TaskID] = {}

    def __call__(self, step: str, done: int, total: int) -> None:
        if step not in self._steps:
            self._steps[step] = self._progress.add_task(step, total=total)
        self._progress.update(self._steps[step], completed=done, total=total)


@contextmanager
def _progress() -> Iterator[_Bars]:
    columns = (TextColumn("{task.description:>9}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield _Bars(progress)
