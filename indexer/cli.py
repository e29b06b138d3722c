"""`packsight catalog …`, `packsight storage` and `packsight indexer` as they are typed."""

# Annotations are not postponed here: Typer would evaluate each of them, a fifth of the time of `--help`.

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from packsight.shared.extras import Later

if TYPE_CHECKING:
    from packsight.indexer import commands, looking
else:
    commands = Later("packsight.indexer.commands", extra="indexer")
    looking = Later("packsight.indexer.looking", extra="indexer")

app = typer.Typer()
catalog_app = typer.Typer(no_args_is_help=True, help="Publish catalog versions and look at them.")
app.add_typer(catalog_app, name="catalog")
storage_app = typer.Typer(help="Say what lies in object storage and why, and remove what nothing needs.")
app.add_typer(storage_app, name="storage")

Catalog = Annotated[str, typer.Option("--catalog", help="Name of the catalog.")]
AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]
Wait = Annotated[bool, typer.Option(help="Wait until the running workers serve the version.")]


@catalog_app.command()
def sync(
    feed: Annotated[str, typer.Option(help="YML or Google feed, or a table (CSV, TSV, .xlsx): a file, http(s)://… or s3://….")],
    photos: Annotated[str, typer.Option(help="Extra photos: DIR/<vendor code>/* or s3://bucket/prefix.")] = "",
    catalog: Catalog = "default",
    columns: Annotated[list[str] | None, typer.Option("--map", help="FIELD=COLUMN of a table, say picture=Photo.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Publish in spite of all that is refused, or nothing new.")] = False,
    all_pictures: Annotated[bool, typer.Option("--all-pictures", help="Ask for every picture, due or not.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what the feed would change.")] = False,
    canary: Annotated[
        float | None, typer.Option(min=0, max=0.99, help="Share of the messages on which to try it; see promote and rollback.")
    ] = None,
    wait: Wait = True,
) -> None:
    """Bring a catalog in step with the shop's feed and publish it as a new version, if anything changed."""
    if dry_run:
        commands.rehearse(feed, photos, catalog, columns=columns or [])
    else:
        how = {"force": force, "all_pictures": all_pictures, "wait": wait}
        commands.sync(feed, photos, catalog, columns=columns or [], canary=canary, **how)


@catalog_app.command()
def versions(catalog: Catalog = "default") -> None:
    """List the versions of a catalog, oldest first."""
    commands.versions(catalog)


@catalog_app.command()
def show(
    version: Annotated[str, typer.Argument(help="Version; the current one when left out.")] = "",
    catalog: Catalog = "default",
) -> None:
    """Show a version: what it holds, which models made it, how well it recognises itself."""
    commands.show(version, catalog)


@catalog_app.command()
def report(
    version: Annotated[str, typer.Argument(help="Version, a refused one too; the current one when left out.")] = "",
    catalog: Catalog = "default",
    html: Annotated[Path | None, typer.Option(help="Write the report as a page that needs nothing else.")] = None,
    jsonl: Annotated[Path | None, typer.Option(help="Write all that it names, a line each.")] = None,
) -> None:
    """Show what a sync said of a version: what changed, what failed, what to see to, why it was refused."""
    looking.report(version, catalog, html=html, jsonl=jsonl)


@catalog_app.command()
def health(
    name: Annotated[str, typer.Argument(metavar="LIST", help="Name of a list; all of them, counted, when left out.")] = "",
    catalog: Catalog = "default",
    csv: Annotated[Path | None, typer.Option("--csv", help="Write the whole list into this file.")] = None,
) -> None:
    """Show what wants looking at in the catalog that is served: names, pictures, twins, products with too few photos."""
    looking.health(name, catalog, csv=csv)


@catalog_app.command()
def diff(
    before: Annotated[str, typer.Argument(help="Version.")],
    after: Annotated[str, typer.Argument(help="Version that it is compared with.")],
    catalog: Catalog = "default",
    jsonl: Annotated[Path | None, typer.Option(help="Write all that differs, a line each.")] = None,
) -> None:
    """Show what differs between two versions: products, names, fields, photos."""
    looking.diff(before, after, catalog, jsonl=jsonl)


@catalog_app.command()
def product(
    identity: Annotated[str, typer.Argument(metavar="ID", help="As the feed has it.")],
    catalog: Catalog = "default",
    version: Annotated[str, typer.Option(help="Version; the current one when left out.")] = "",
) -> None:
    """Show a product: its photos, the words on them, and the products that are most like it."""
    looking.product(identity, version, catalog)


@catalog_app.command()
def promote(catalog: Catalog = "default", wait: Wait = True) -> None:
    """Let the canary, a version that is tried on a share of the messages, answer all of them."""
    commands.promote(catalog, wait=wait)


@catalog_app.command()
def rollback(
    version: Annotated[
        str, typer.Argument(help="Version to go back to; when left out, the canary goes, or else the one before of each worker.")
    ] = "",
    catalog: Catalog = "default",
    everyone: Annotated[bool, typer.Option("--all", help="Also for workers that are not up now.")] = False,
    wait: Wait = True,
) -> None:
    """Give up the canary, or let an earlier version be the current one, where it stays until `packsight catalog resume`."""
    commands.rollback(version, catalog, everyone=everyone, wait=wait)


@catalog_app.command()
def resume(catalog: Catalog = "default") -> None:
    """Let syncs publish again after a rollback: the feed is mended."""
    commands.resume(catalog)


@catalog_app.command()
def delete(
    catalog: Annotated[str, typer.Argument(metavar="NAME", help="Name of the catalog.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    wait: Annotated[bool, typer.Option(help="Wait until no running worker answers from it.")] = True,
) -> None:
    """Remove a catalog with all its versions, reports and reviews; what others need of its photos stays."""
    commands.delete(catalog, yes=yes, wait=wait)


@catalog_app.command()
def keys(
    file: Annotated[Path, typer.Argument(help="Where to write the private key; it must not be there yet.")],
) -> None:
    """Make the keys by which workers know that a catalog comes from the indexer."""
    commands.keys(file)


@catalog_app.command()
def sign(catalog: Catalog = "default") -> None:
    """Sign what is published as it is: after a change of keys, or what nobody signed, if nobody but you can have written it."""
    commands.sign(catalog)


@storage_app.callback(invoke_without_command=True)
def storage(context: typer.Context, as_json: AsJson = False) -> None:
    """Say what lies in object storage, and why: versions, photos, features, uploads, jobs."""
    if context.invoked_subcommand is None:
        commands.storage(as_json=as_json)


@storage_app.command()
def collect(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, and remove nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Remove what no version, sync or job needs and is old enough (PACKSIGHT_STORAGE__…), and put packs of features together."""
    commands.collect(dry_run=dry_run, as_json=as_json)


@app.command()
def indexer() -> None:
    """Run the indexer in the foreground: the periodic sync of PACKSIGHT_CATALOG__FEED and the reconciler."""
    commands.indexer()
