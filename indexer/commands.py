"""What the indexer's commands do, from sync to storage; those that only look at a catalog are in looking.py."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import typer
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError
from rich.console import Console
from rich.markup import escape

from packsight.indexer import canary as trial
from packsight.indexer import deletion, publish, tables
from packsight.indexer.collection import tables as storage_tables
from packsight.indexer.collection.collect import collect as collect_all
from packsight.indexer.collection.collect import look
from packsight.indexer.collection.survey import total, unneeded
from packsight.indexer.feed.extra_photos import check_folder
from packsight.indexer.feed.source import check_readable
from packsight.indexer.fleet import Fleet
from packsight.indexer.lock import sync_lock
from packsight.indexer.rehearsal import rehearse as run_rehearsal
from packsight.indexer.report import SyncRequest
from packsight.indexer.signing import sign_former
from packsight.indexer.sync import run_sync
from packsight.indexer.undecided import HeldError, undecided
from packsight.indexer.version_report.keeping import Reports
from packsight.shared import advice, launch
from packsight.shared.catalog.canary import Canary
from packsight.shared.catalog.pointer import Current
from packsight.shared.catalog.recipe import Recipe
from packsight.shared.catalog.signatures import create_key, public_key
from packsight.shared.catalog.trust import Trust
from packsight.shared.catalog.versions import CatalogStore, is_published, published_names
from packsight.shared.contract.errors import CatalogError, ErrorCode, StorageAway, UserError
from packsight.shared.contract.messages import INDEXER_QUEUE, check_catalog_name
from packsight.shared.progress import steps
from packsight.shared.queue import refusals, tried
from packsight.shared.settings import Settings, act_as, settings
from packsight.shared.storage import layout
from packsight.shared.storage.objects import ObjectStore
from packsight.shared.tables.columns import check_fields

_LEFT = "Stopped. Workers serve what was published last; the same sync goes on with what was looked at and described."
WAIT_SECONDS = 30.0
"""How long `--wait` waits for the workers."""

out = Console()


def sync(
    feed: str,
    photos: str,
    catalog: str,
    *,
    columns: Sequence[str],
    force: bool,
    all_pictures: bool,
    canary: float | None,
    wait: bool,
) -> None:
    """Bring a catalog in step with the shop's feed and say what was done; columns: `field=column` of a table.

    canary: share of the messages on which a new version is tried; None = as it is set.
    """
    _check(feed, photos, catalog)
    config = _with_columns(settings(), columns)
    with _stoppable(_LEFT), _reachable(), steps() as told:
        share = config.catalog.canary if canary is None else canary
        request = SyncRequest(feed, photos, catalog, force=force, all_pictures=all_pictures, canary=share)
        report = run_sync(request, config, told, told.remark)
    out.print(tables.sync_summary(report))
    if failures := tables.failures(report):
        out.print(failures)
    print_notes(report.notes)
    if report.built is not None:
        with _reachable(), closing(ObjectStore(config.s3)) as store:
            summary = Reports(store, catalog).summary(report.built.version)
        if summary is not None:
            out.print(tables.counts(summary))
            print_notes(tables.remarks(summary))
    if wait and report.version is not None:
        _wait(catalog)


@contextmanager
def _stoppable(told: str) -> Iterator[None]:
    """Let SIGTERM end what holds a lock as Ctrl-C does, with exit code 130: the lock is free at once. told: what that leaves."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        Console(stderr=True).print(f"\n{told}", soft_wrap=True)
        raise typer.Exit(130) from None
    finally:
        signal.signal(signal.SIGTERM, before)


def rehearse(feed: str, photos: str, catalog: str, *, columns: Sequence[str]) -> None:
    """Say what a sync would do; exit code 1 if it would be refused."""
    _check(feed, photos, catalog)
    with _reachable():
        found = run_rehearsal(SyncRequest(feed, photos, catalog, dry_run=True), _with_columns(settings(), columns))
    out.print(tables.rehearsal(found))
    for listed in tables.lists({name: table.slice(0, tables.SHOWN) for name, table in found.lists.items()}, found.summary.counts):
        out.print(listed)
    print_notes(found.notes)
    print_notes(f"would be refused: {why}" for why in found.refusals)
    out.print("Nothing was changed. This is what the feed alone tells: no photo was looked at.")
    if found.refusals:
        raise typer.Exit(1)


def _check(feed: str, photos: str, catalog: str) -> None:
    """Refuse what is mistyped before broker and storage are asked, or another sync is waited for."""
    check_catalog_name(catalog)
    check_readable(feed)
    check_folder(photos)


def _with_columns(config: Settings, columns: Sequence[str]) -> Settings:
    """Settings with columns of a table named beside those that they name already."""
    named = {}
    for one in columns:
        name, equals, column = one.partition("=")
        if not equals:
            raise UserError(f"--map {one} names no column. Write FIELD=COLUMN, say --map picture=Photo.")
        named[name.strip()] = column.strip()
    check_fields(named)
    catalog = config.catalog.model_copy(update={"columns": config.catalog.columns | named})
    return config.model_copy(update={"catalog": catalog})


def print_notes(notes: Iterable[str]) -> None:
    """Print what an operator should know, a line each."""
    for note in notes:
        out.print(f"[yellow]![/] {escape(note)}", highlight=False)


def _wait(catalog: str) -> None:
    """Wait for the children to take up what the pointer names, and say who does not."""
    with opened(catalog) as catalogs, closing(Fleet(settings())) as fleet:
        uptake = fleet.wait_for(catalog, current_of(catalogs), WAIT_SECONDS)
    lines = [f"{child.place} refuses it: {child.refused.get(catalog, '')}" for child in uptake.refusing]
    lines += [f"{child.place} has no version: {child.refused.get(catalog, '')}" for child in uptake.without]
    if uptake.late:
        places = ", ".join(child.place for child in uptake.late)
        lines.append(f"not serving it after {WAIT_SECONDS:.0f} s: {places}. Look at `packsight status`.")
    print_notes(lines)
    if uptake.serving:
        count = len(uptake.serving)
        named = " and ".join(sorted({child.catalogs[catalog] for child in uptake.serving}))
        canaries = sorted({canary for child in uptake.serving if (canary := (child.canaries or {}).get(catalog))})
        named += f", trying {' and '.join(canaries)}" if canaries else ""
        out.print(f"{count} worker process{'es' * (count > 1)} serving {named}.", highlight=False)
    elif not lines:
        out.print("No worker is up; workers take the version up when they start.")


def versions(catalog: str) -> None:
    """List the versions of a catalog."""
    with opened(catalog) as catalogs, closing(ObjectStore(settings().s3)) as store:
        found, refused = catalogs.look()
        unbuilt = Reports(store, catalog).unbuilt()
        served: set[str] = set()
        current = None
        try:
            served, current = catalogs.served(), catalogs.current()
        except CatalogError as error:
            refused.append(error)
    out.print(tables.versions(found, served, {canary.version for canary in _canaries(current)}))
    print_notes(_held(catalog, current))
    of = advice.of_catalog(catalog)
    print_notes(f"{one.version} was {one.verdict}: `packsight catalog report {one.version}{of}` says why" for one in unbuilt)
    print_notes(f"{error.message}. {error.remedy}" for error in refused)


def show(version: str, catalog: str) -> None:
    """Show a version, the current one for "", and what is tried beside it."""
    with opened(catalog) as catalogs, closing(ObjectStore(settings().s3)) as store:
        Reports(store, catalog).require_built(*filter(None, [version]))
        manifest = catalogs.manifest(version or current_of(catalogs).version)
        served, current = catalogs.served(), catalogs.current()
    canaries = _canaries(current)
    is_canary = manifest.version in {canary.version for canary in canaries}
    out.print(tables.manifest(manifest, is_served=manifest.version in served, is_canary=is_canary))
    print_notes(manifest.notes)
    print_notes(f"refused: {reason}" for reason in manifest.refused)
    print_notes(_held(catalog, current))
    for canary in canaries:
        out.print(tables.canary(canary, _endings(catalog, canary.version)))


def _held(catalog: str, current: Current | None) -> list[str]:
    """Why no sync publishes, where somebody went back."""
    return [str(HeldError(catalog, current))] if current is not None and current.holds else []


def _canaries(current: Current | None) -> list[Canary]:
    """What is tried on a share of the messages, each version once."""
    return list({canary.version: canary for canary in current.canaries.values()}.values()) if current is not None else []


def _endings(catalog: str, canary: str) -> Mapping[tried.Side, Mapping[str, int]]:
    """How photos ended while a canary is tried, as far as that can be asked."""
    with closing(Fleet(settings())) as fleet:
        try:
            return tried.read(fleet.redis, catalog, canary)
        except RedisError:
            return {}  # of a user with fewer rights


def promote(catalog: str, *, wait: bool) -> None:
    """Let the canary answer all messages."""
    with _deciding(catalog) as (catalogs, fleet):
        versions = trial.promote(catalogs)
        fleet.announce(catalog)
    out.print(f"Catalog {catalog} is at {' and '.join(versions)} now, for all messages.", highlight=False)
    if wait:
        _wait(catalog)


def rollback(version: str, catalog: str, *, everyone: bool, wait: bool) -> None:
    """Let an earlier version be served; for "" give up the canary, or go to the one before of each recipe that is up."""
    notes: list[str] = []
    with _deciding(catalog) as (catalogs, fleet), closing(ObjectStore(settings().s3)) as store:
        current = None if version else catalogs.current()
        if current is not None and current.canaries:
            gone = trial.give_up(catalogs, Reports(store, catalog))
            told = f"No message is answered from {' and '.join(gone)} any more, which is kept for a look as a refused version"
        else:
            Reports(store, catalog).require_built(*filter(None, [version]))
            targets = publish.roll_back(catalogs, version or None, fleet.recipes(), everyone=everyone)
            now = catalogs.current()
            told = f"Catalog {catalog} is at {' and '.join(targets)} now{_stays(catalog, now)}"
            notes = [*_left_behind(now, targets, everyone=everyone or bool(version)), *_without_version(now, fleet.recipes())]
        fleet.announce(catalog)
    out.print(f"{told}.", highlight=False)
    print_notes(notes)
    if wait:
        _wait(catalog)


def resume(catalog: str) -> None:
    """Let syncs publish again where somebody went back."""
    with _deciding(catalog) as (catalogs, _):
        held = publish.resume(catalogs)
        waits = undecided(catalog, catalogs.current())
    if waits is not None:
        raise waits
    if held is None:
        out.print(f"Nothing holds catalog {catalog}: its syncs publish what the feed says.", highlight=False)
        return
    out.print(f"The next sync of catalog {catalog} publishes what the feed says then{_by_itself(catalog)}.", highlight=False)


def _stays(catalog: str, current: Current | None) -> str:
    """What syncs do after somebody went back, or forward again."""
    if current is not None and current.holds:
        command = f"packsight catalog resume{advice.of_catalog(catalog)}"
        return f", and stays there: no sync publishes until `{command}`, for when the feed is mended"
    return f". The next sync starts from it, and publishes what the feed says then{_by_itself(catalog)}"


def _left_behind(current: Current | None, targets: Sequence[str], *, everyone: bool) -> list[str]:
    """What other workers answer from still, those of a host among them that is away just now."""
    if current is None:
        return []
    others = sorted({version for key, version in current.versions.items() if key not in current.holds} - set(targets))
    if not others:
        return []
    told = f"workers of another recipe, up or not, stay at {' and '.join(others)}, and syncs go on for them alone"
    return [told if everyone else f"{told}; with --all they go back too"]


def _without_version(current: Current | None, living: Sequence[Recipe]) -> list[str]:
    """Whether workers that are up have no version now: what a pointer named that is refused, nobody knows."""
    if current is None or all(current.version_for(recipe) for recipe in living):
        return []
    return ["workers of another recipe that are up have no version now: sync for them, or go to one of theirs if there is any"]


def _by_itself(catalog: str) -> str:
    """When the next sync comes without anybody's doing."""
    rules = settings().catalog
    return f" (by itself within {rules.sync_seconds / 60:.3g} minutes)" if rules.feed and rules.name == catalog else ""


@contextmanager
def _deciding(catalog: str) -> Iterator[tuple[CatalogStore, Fleet]]:
    """Versions of a catalog to be pointed at, while nobody else syncs it or clears it away."""
    with ExitStack() as stack:
        catalogs = stack.enter_context(opened(catalog, Trust.of_publisher(settings())))
        fleet = stack.enter_context(closing(Fleet(settings())))
        stack.enter_context(sync_lock(fleet.redis, catalog, "a decision about its versions"))
        yield catalogs, fleet


def delete(catalog: str, *, yes: bool, wait: bool) -> None:
    """Remove a catalog that no clock syncs, or the rest of one, once somebody has agreed who was told who asks it."""
    check_catalog_name(catalog)
    config = settings()
    if config.catalog.feed and config.catalog.name == catalog:
        raise UserError(
            f"The indexer syncs catalog {catalog} by the clock. Give it another PACKSIGHT_CATALOG__NAME, or no "
            "PACKSIGHT_CATALOG__FEED, and start it anew; then delete."
        )
    Trust.of_publisher(config).keyring.require_own()
    with ExitStack() as stack:
        stack.enter_context(_stoppable(f"Stopped. `packsight catalog delete {catalog}` removes the rest."))
        stack.enter_context(_reachable())
        store = stack.enter_context(closing(ObjectStore(config.s3)))
        fleet = stack.enter_context(closing(Fleet(config)))
        found = deletion.remains(store, catalog)
        if not found and not deletion.is_begun(store, fleet, config, catalog):
            raise UserError(f"There is nothing of a catalog {catalog}; published are: {published_names(store)}.")
        what = (
            f"catalog {catalog}, {found.versions:,} version{'s' * (found.versions != 1)} with reports, and {found.verdicts:,} "
            f"verdict{'s' * (found.verdicts != 1)} of people on its answers"
            if found
            else f"what is left of catalog {catalog}"
        )
        print_notes(_lost_with(found, store, fleet, catalog))
        if not yes:
            typer.confirm(f"Remove {what} for good?", abort=True, err=True)
        lease = stack.enter_context(sync_lock(fleet.redis, catalog, "its deletion"))
        deletion.delete(store, fleet, config, catalog, lease.check)
        late = _wait_until_given_up(fleet, catalog) if wait else 0
    out.print(f"Removed {what}: {found.objects:,} objects of {tables.size(found.bytes)}.", highlight=False)
    out.print("Its photos and features that nothing else needs go with the next collections.", highlight=False)
    if late:
        print_notes([f"not given up within {WAIT_SECONDS:.0f} s by {late} worker processes. Look at `packsight status`."])


def _lost_with(found: deletion.Remains, store: ObjectStore, fleet: Fleet, catalog: str) -> Iterator[str]:
    """Who will miss a catalog."""
    if found.verdicts:
        yield f"`packsight review export FILE --catalog {catalog}` keeps what people said"
    if answering := _answering(fleet, catalog):
        yield f"{answering} worker process{'es' * (answering != 1)} can answer from it now"
    if jobs := deletion.jobs_asking(store, fleet, settings(), catalog):
        more = f" and {len(jobs) - 3:,} more" if len(jobs) > 3 else ""
        yield f"jobs under way ask it, whose photos that are left will fail: {', '.join(jobs[:3])}{more}"


def _answering(fleet: Fleet, catalog: str) -> int:
    return sum(catalog in child.catalogs for child in fleet.children())


def _wait_until_given_up(fleet: Fleet, catalog: str) -> int:
    """Wait until no child answers from a catalog; return how many still do."""
    deadline = time.monotonic() + WAIT_SECONDS
    while (late := _answering(fleet, catalog)) and time.monotonic() < deadline:
        time.sleep(0.2)
    return late


def keys(file: Path) -> None:
    """Make a pair of keys, and say what to set where."""
    public = public_key(create_key(file))
    out.print(f"The private key is in {file}. It belongs to the indexer alone:", highlight=False, soft_wrap=True)
    out.print(f"  PACKSIGHT_CATALOG__SIGNING_KEY_FILE={file}", highlight=False, soft_wrap=True)
    out.print("Workers, and all others that read catalogs, check by the public one:", highlight=False)
    typer.echo(f"  PACKSIGHT_CATALOG__PUBLIC_KEYS='[\"{public}\"]'")


def sign(catalog: str) -> None:
    """Sign what is published as it is, and say what that was."""
    trust = Trust.of_publisher(settings())
    if not trust.keyring.own:
        raise UserError(
            "There is no key to sign with. Run this where the indexer runs, or make a key with `packsight catalog keys` and set "
            "PACKSIGHT_CATALOG__SIGNING_KEY_FILE."
        )
    with _deciding(catalog) as (catalogs, fleet):
        signed = [manifest.version for manifest in catalogs.sign()]
        _, refused = catalogs.look()
        fleet.announce(catalog)
    named = ", ".join(signed) or "no version"
    out.print(f"Signed with {trust.keyring.own}: the pointer of {catalog}, and {named}.", highlight=False, soft_wrap=True)
    print_notes(f"{error.message}. {error.remedy}" for error in refused)


def storage(*, as_json: bool) -> None:
    """Say what lies in object storage and why."""
    with _reachable(), closing(ObjectStore(settings().s3)) as store, closing(Fleet(settings())) as fleet:
        found = look(settings(), store, fleet)
    if as_json:
        typer.echo(json.dumps(storage_tables.document(found), indent=1))
        return
    out.print(storage_tables.piles(found))
    out.print(storage_tables.versions(found))
    print_notes(found.notes)
    objects, size = total(unneeded(found.piles))
    if objects:
        out.print(f"{objects:,} objects of {tables.size(size)} go with the next collection.", highlight=False)


def collect(*, dry_run: bool, as_json: bool) -> None:
    """Remove what nothing needs, or say what that would be."""
    with _reachable(), closing(ObjectStore(settings().s3)) as store, closing(Fleet(settings())) as fleet:
        done = collect_all(settings(), store, fleet, dry_run=dry_run)
    if as_json:
        typer.echo(json.dumps(storage_tables.document(done.found, done.packs), indent=1))
        return
    if dry_run:
        out.print(storage_tables.piles(done.found))
    out.print(storage_tables.packs(done.packs))
    print_notes(done.found.notes)
    objects, size = total(unneeded(done.found.piles))
    verb = "would be" if dry_run else "are"
    out.print(f"{objects:,} objects that nothing needs {verb} removed: {tables.size(size)}.", highlight=False)


def indexer() -> None:
    """Become the indexer's process."""
    act_as("indexer")
    sign_former(settings())
    line = ["worker", "--beat", "--hostname", launch.INDEXER_NODE, "--queues", INDEXER_QUEUE, "--concurrency", "2"]
    line += ["--without-gossip", "--without-mingle", "--loglevel", "INFO"]
    launch.become("packsight.indexer", *line, environment={})


@contextmanager
def _reachable() -> Iterator[None]:
    """Say what to start when Redis or the object storage does not answer."""
    try:
        yield
    except (RedisError, OperationalError) as error:
        away = advice.start(settings().home, "broker", "PACKSIGHT_BROKER_URL and PACKSIGHT_RESULT_URL")
        raise UserError(f"Redis does not answer ({error}). {refusals.remedy(error, away)}") from None
    except StorageAway as error:
        raise UserError(f"{error.message}. {advice.start(settings().home, 's3', 'PACKSIGHT_S3__ENDPOINT')}") from None


@contextmanager
def opened(name: str, trust: Trust | None = None) -> Iterator[CatalogStore]:
    """Versions of a catalog, to be read unless `trust` may publish; raises UserError when it never had one, refused or not."""
    check_catalog_name(name)
    with _reachable(), closing(ObjectStore(settings().s3)) as store:
        if not is_published(store, name) and next(store.list(layout.versions(name)), None) is None:
            raise _never_published(name)
        try:
            yield CatalogStore(store, name, trust or Trust.of_reader(settings()))
        except CatalogError as error:
            if error.code is not ErrorCode.CATALOG_MISSING:
                raise
            raise UserError(f"{error.message}. {error.remedy}") from None  # a version was named that is not there


def current_of(catalogs: CatalogStore) -> Current:
    """The pointer of a catalog; raises UserError when it was never published."""
    current = catalogs.current()
    if current is None:
        raise _never_published(catalogs.name)
    return current


def _never_published(name: str) -> UserError:
    return UserError(
        f"Catalog {name} was never published. Publish it with `packsight catalog sync --catalog {name} --feed …`."
    )
