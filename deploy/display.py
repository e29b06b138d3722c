"""How the stack's commands look on a terminal."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from packsight.deploy.doctor import Finding, Level
from packsight.deploy.stack.parts import FLOWER_USER, PAGE_USER
from packsight.deploy.stack.state import StackFolder, StackState
from packsight.deploy.status import Observation, SyncSeen
from packsight.shared.queue.syncs import GOOD
from packsight.shared.settings import STACK_FILE

_MARKS = {Level.GOOD: "[green]✓[/]", Level.NOTE: "[yellow]![/]", Level.WRONG: "[red]✗[/]"}


def _table(*columns: str, title: str = "", whole: str = "") -> Table:
    """A table without lines. whole: the column whose lines are never broken, since they are there to be copied."""
    table = Table(title=title or None, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column == whole)
    return table


def started(console: Console, folder: StackFolder, state: StackState) -> None:
    """What `up` started, and how to go on."""
    table = _table("Part", "Address", "Pid", "Log")
    for part in (*state.parts, *([state.supervisor] if state.supervisor else [])):
        table.add_row(part.name, part.url or "–", str(part.pid), part.log.name)
    console.print(table)
    console.print(f"Logs: {folder.logs}", highlight=False, soft_wrap=True)
    urls = {part.name: part.url for part in state.parts}
    if "flower" in urls:
        keys = f"user {FLOWER_USER}, password {state.credentials.flower}"
        console.print(f"Flower: {urls['flower']}, {keys}", highlight=False, soft_wrap=True)
    if page := page_of(folder, state):
        console.print(page, highlight=False, soft_wrap=True)
    console.print(f"Settings: {folder.env_file}", highlight=False, soft_wrap=True)
    if folder.env_file != STACK_FILE.resolve():
        line = f"In terminals elsewhere: [bold]export PACKSIGHT_STACK_FILE={escape(shlex.quote(str(folder.env_file)))}[/]"
        console.print(line, highlight=False, soft_wrap=True)
    console.print("Next:\n  [bold]packsight catalog sync --feed FEED[/]\n  [bold]packsight submit PHOTOS --wait[/]")


def page_of(folder: StackFolder, state: StackState) -> str:
    """Where a stack's page is, and who signs in by what; empty where it has none."""
    url = next((part.url for part in state.parts if part.name == "http"), "")
    if not url:
        return ""
    from packsight.producer.http.accounts import Accounts  # noqa: PLC0415 - of a part that the core lacks, whose `status` comes by here

    own = Accounts(folder.root).sign_in(PAGE_USER, state.credentials.page) is None
    return f"Page: {url}, user {PAGE_USER}, password {'your own' if own else state.credentials.page}"


def _parts(console: Console, seen: Observation) -> None:
    parts = _table("Part", "State", "Pid", "Up", "Memory", "Address", title="Parts")
    for part in seen.parts:
        since = str(timedelta(seconds=round(part.uptime))) if part.up else "–"
        state = "[red]down[/]" if not part.up else "[red]sick[/]" if part.sick else "[green]up[/]"
        memory = f"{part.memory_mb:,.0f} MB" if part.up else "–"
        parts.add_row(part.name, state, str(part.pid), since, memory, part.url or "–")
    if seen.parts:
        console.print(parts)
    elif not seen.elsewhere:
        console.print("No stack is running in this folder (`packsight up` starts one).")


def _queues(console: Console, seen: Observation) -> None:
    queues = _table("Queue", "Waiting", "Oldest", title="\nQueues")
    oldest = seen.overview.oldest if seen.overview else {}
    for name, length in seen.queues.items():
        queues.add_row(name, f"{length:,}", duration(oldest[name]) if length and name in oldest else "–")
    queues.add_row("being worked on", f"{seen.unacked:,}", "")
    if seen.parked:
        queues.add_row("waiting for their time", f"{seen.parked:,}", "")
    console.print(queues)


def status(console: Console, seen: Observation) -> None:
    """All that `status` found, errors last."""
    _parts(console, seen)
    if seen.queues:
        _queues(console, seen)
    if seen.overview is not None and seen.overview.photos_per_second:
        console.print(f"{seen.overview.photos_per_second:,.1f} photos a second over the last minute", highlight=False)
    if seen.children:
        columns = "Worker", "Pid", "Images", "Memory", "Catalogs", "Embedder", "Spotter"
        children = _table(*columns, title="\nWorker children", whole="Catalogs")
        for child in seen.children:
            catalogs = "\n".join(line for one in child.catalogs.items() for line in _catalog_lines(*one))
            memory = f"{child.rss_mb:,.0f} MB"
            children.add_row(child.node, str(child.pid), f"{child.images:,}", memory, catalogs, child.embedder, child.spotter)
        console.print(children)
    if seen.catalogs:
        _catalogs(console, seen)
    for name, one in seen.syncs.items():
        console.print(_sync(name, one), highlight=False, soft_wrap=True)
    if seen.dead_letters:
        console.print(f"\n[yellow]{seen.dead_letters:,} dead letters[/] (packsight dead-letters list)")
    for note in seen.notes:
        console.print(f"[yellow]![/] {escape(note)}", highlight=False, soft_wrap=True)
    for error in seen.errors:
        console.print(f"[red]✗[/] {escape(error)}", highlight=False, soft_wrap=True)


def _catalog_lines(name: str, version: str) -> list[str]:
    """A catalog and its version: in lines no wider than a version, which leave room for the rest on 80 columns."""
    return [*textwrap.wrap(name, len(version)), version]


def _catalogs(console: Console, seen: Observation) -> None:
    """What is served, what is tried beside it and how that ends, and what is held."""
    columns = "Catalog", "Version", "Products", "Photos", "Published", "Served by"
    catalogs_ = _table(*columns, title="\nCatalogs", whole="Version")
    for catalog in seen.catalogs:
        when = f"{catalog.created_at:%Y-%m-%d %H:%M} UTC"
        is_canary = catalog.share < 1
        served = [(child.canaries or {}) if is_canary else child.catalogs for child in seen.children]
        count = sum(one.get(catalog.name) == catalog.version for one in served)
        tried = f", {catalog.share:.3g} of the messages" if is_canary else ""
        serving = f"{count} child{'ren' * (count != 1)}{tried}"
        counts = f"{catalog.products:,}", f"{catalog.photos:,}"
        catalogs_.add_row(catalog.name, catalog.version, *counts, when, serving)
    console.print(catalogs_)
    for catalog in seen.catalogs:
        for side, ended in catalog.endings.items():
            told = ", ".join(f"{count:,} {ending}" for ending, count in ended.items()) or "no photo yet"
            who = f"canary {catalog.version}" if side == "canary" else "version beside it"
            console.print(f"{catalog.name}, answered by the {who}: {told}", highlight=False, soft_wrap=True)
    for held in dict.fromkeys(catalog.held for catalog in seen.catalogs if catalog.held):
        console.print(f"[yellow]![/] {escape(held)}", highlight=False, soft_wrap=True)


def _sync(name: str, one: SyncSeen) -> str:
    """How a catalog is with its feed, in a line."""
    ended = f"{name}: last sync {_ago(one.ended_at)}, {one.ending.replace('_', ' ')}"
    if one.ending not in GOOD:
        before = f"the last good one {_ago(one.succeeded_at)}" if one.succeeded_at else "none was good before"
        ended += f": {escape(one.why)} ({before})"
    return ended + (f"; the feed last changed {_ago(one.feed_changed_at)}" if one.feed_changed_at else "")


def _ago(at: datetime) -> str:
    return f"{duration(max(0.0, (datetime.now(UTC) - at).total_seconds()))} ago"


def duration(seconds: float) -> str:
    """Roughly how long something lasts, for people."""
    for unit, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds:.0f} s"


def findings(console: Console, found: Sequence[Finding]) -> None:
    """What `doctor` found, each with its remedy."""
    for finding in found:
        line = f"{_MARKS[finding.level]} [bold]{escape(finding.subject)}[/]: {escape(finding.text)}"
        console.print(line, highlight=False, soft_wrap=True)
        if finding.remedy:
            console.print(f"  → {escape(finding.remedy)}", highlight=False, soft_wrap=True)
    wrong = sum(finding.level is Level.WRONG for finding in found)
    console.print(f"\n{wrong} thing{'s' * (wrong != 1)} wrong." if wrong else "\nNothing is wrong.")
