"""`packsight catalog sync|versions|show|rollback|keys|sign` and `packsight indexer` as they are typed."""

# Annotations are not postponed here: Typer would evaluate each of them, a fifth of the time of `--help`.

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from packsight.shared.extras import Later

if TYPE_CHECKING:
    from packsight.indexer import commands
else:
    commands = Later("packsight.indexer.commands", extra="indexer")

app = typer.Typer()
catalog_app = typer.Typer(no_args_is_help=True, help="Publish catalog versions and look at them.")
app.add_typer(catalog_app, name="catalog")

Catalog = Annotated[str, typer.Option("--catalog", help="Name of the catalog.")]
Wait = Annotated[bool, typer.Option(help="Wait until the running workers serve the version.")]


@catalog_app.command()
def sync(
    feed: Annotated[str, typer.Option(help="YML or Google feed, or a table (CSV, TSV, .xlsx): a file, http(s)://… or s3://….")],
    photos: Annotated[str, typer.Option(help="Extra photos: DIR/<vendor code>/* or s3://bucket/prefix.")] = "",
    catalog: Catalog = "default",
    columns: Annotated[list[str] | None, typer.Option("--map", help="FIELD=COLUMN of a table, say picture=Photo.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Publish in spite of losses, a worse check, or nothing new.")] = False,
    all_pictures: Annotated[bool, typer.Option("--all-pictures", help="Ask for every picture, due or not.")] = False,
    wait: Wait = True,
) -> None:
    """Bring a catalog in step with the shop's feed and publish it as a new version, if anything changed."""
    commands.sync(feed, photos, catalog, columns=columns or [], force=force, all_pictures=all_pictures, wait=wait)


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
def rollback(
    version: Annotated[str, typer.Argument(help="Version to go back to; when left out, the one before of each worker.")] = "",
    catalog: Catalog = "default",
    everyone: Annotated[bool, typer.Option("--all", help="Also for workers that are not up now.")] = False,
    wait: Wait = True,
) -> None:
    """Let an earlier version be the current one; workers take it up without a restart."""
    commands.rollback(version, catalog, everyone=everyone, wait=wait)


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


@app.command()
def indexer() -> None:
    """Run the indexer in the foreground: the periodic sync of PACKSIGHT_CATALOG__FEED and the reconciler."""
    commands.indexer()
