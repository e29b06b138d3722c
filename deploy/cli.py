"""`packsight up|down|status|doctor|health|secrets|backup|restore|demo` as they are typed."""

# Annotations are not postponed here: Typer would evaluate each of them, a fifth of the time of `--help`.

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from packsight.shared.extras import Later
from packsight.shared.launch import INDEXER_NODE, WORKER_NODE

if TYPE_CHECKING:
    from packsight.deploy import commands, health
    from packsight.deploy.backup import commands as backups
else:
    commands, health = Later("packsight.deploy.commands"), Later("packsight.deploy.health")
    backups = Later("packsight.deploy.backup.commands", extra="indexer")

app = typer.Typer()

Home = Annotated[Path, typer.Option("--home", help="Folder of the stack: data, logs, credentials.", envvar="PACKSIGHT_HOME")]
HOME = Path(".packsight")


def named(folder: str) -> Path:
    """A folder that was given; an empty name, as of a variable that nobody set, would be the current one."""
    if not folder.strip():
        raise typer.BadParameter("The folder's name is empty. Write . for the current one.")
    return Path(folder)


Port = Annotated[int, typer.Option(min=0, max=65535, help="0 = any free port, the same as last time if possible.")]
AsJson = Annotated[bool, typer.Option("--json", help="Machine-readable.")]


@app.command()
def up(
    *,
    home: Home = HOME,
    workers: Annotated[int | None, typer.Option(min=1, max=64, help="Recognition workers; 1, or as many as last time.")] = None,
    flower: Annotated[
        bool | None, typer.Option("--flower/--no-flower", help="Watch the queues in a browser; yes, or as last time.")
    ] = None,
    http: Annotated[
        bool | None, typer.Option("--http/--no-http", help="Answer requests over HTTP and show a page; yes, or as last time.")
    ] = None,
    port_valkey: Port = 0,
    port_s3: Port = 0,
    port_flower: Port = 0,
    port_http: Port = 0,
) -> None:
    """Start broker, object storage, workers, indexer, Flower and the HTTP door here, wait for them, and keep them running."""
    ports = {"valkey": port_valkey, "s3": port_s3, "flower": port_flower, "http": port_http}
    commands.up(home, workers, flower=flower, http=http, ports=ports)


@app.command()
def down(home: Home = HOME) -> None:
    """Stop what `packsight up` started in this folder, and nothing else; the data stays."""
    commands.down(home)


@app.command()
def status(home: Home = HOME, as_json: AsJson = False) -> None:
    """Show what runs, what waits in the queues, which catalogs are served and by whom; exit code 1 if something is down."""
    commands.status(home, as_json=as_json)


@app.command()
def doctor(home: Home = HOME, as_json: AsJson = False) -> None:
    """Check endpoints, models, catalogs and package versions; exit code 1 if something is wrong."""
    commands.doctor(home, as_json=as_json)


class Role(StrEnum):
    """Whose health is asked for."""

    WORKER = "worker"
    INDEXER = "indexer"


@app.command(name="health")
def ask_health(
    role: Role,
    home: Home = HOME,
    name: Annotated[str, typer.Option(help="Celery node name, if it was given one; %h is the host.")] = "",
    end_after: Annotated[
        float | None, typer.Option(min=0, help="End it after so many seconds of sickness, for whatever restarts what ends.")
    ] = None,
    ready: Annotated[bool, typer.Option("--ready", help="Ask whether it has begun: a worker with all of its children.")] = False,
) -> None:
    """Ask whether a worker or the indexer of this machine is well: one sentence, exit code 0 or 1."""
    health.check(home, name or (WORKER_NODE if role is Role.WORKER else INDEXER_NODE), end_after, ready=ready)


@app.command()
def secrets(
    folder: Annotated[Path, typer.Argument(parser=named, help="Compose's is deploy/secrets.")],
    programs: Annotated[
        list[str] | None, typer.Option("--program", help="Name of another program that takes messages from queues of its own.")
    ] = None,
) -> None:
    """Write the secrets of containers into a folder, each role's apart; those that are there already stay."""
    commands.secrets(folder, programs or [])


@app.command()
def backup(
    folder: Annotated[Path, typer.Argument(parser=named, help="Where backups are kept; each copies only what is new.")],
    home: Home = HOME,
    uploads: Annotated[bool, typer.Option("--uploads", help="Also photos that jobs were submitted with.")] = False,
    skip: Annotated[list[str] | None, typer.Option(metavar="PREFIX", help="Leave this out too, say incoming/.")] = None,
    keep: Annotated[int, typer.Option(min=1, help="Older backups than the last so many are removed.")] = 7,
) -> None:
    """Copy catalogs, photos, features, reviews and jobs of object storage into a folder; exit code 1 if they are damaged."""
    backups.backup(folder, home, uploads=uploads, skip=skip or [], keep=keep)


@app.command()
def restore(
    folder: Annotated[Path, typer.Argument(parser=named, help="Folder with backups.")],
    home: Home = HOME,
    at: Annotated[str, typer.Option(metavar="NAME", help="The last one when left out.")] = "",
    over: Annotated[bool, typer.Option("--over", help="Also where the bucket has another catalog.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Only look whether every byte of it is there.")] = False,
) -> None:
    """Bring a backup back into object storage; signatures stay as they are."""
    backups.restore(folder, home, at=at, over=over, check=check)


@app.command()
def demo(
    folder: Annotated[Path, typer.Option("--out", help="Folder of the demo's photos and results.")] = Path("demo-out"),
    seed: Annotated[int, typer.Option(help="Seed of the drawn photos.")] = 7,
    keep: Annotated[bool, typer.Option("--keep", help="Leave its stack running.")] = False,
    compare: Annotated[
        bool, typer.Option("--compare", help="Measure other ways of deciding on the same photos, and write evaluation.html.")
    ] = False,
) -> None:
    """Draw a shop, start a stack of its own, publish the catalog, recognise its customers' photos, and stop again."""
    commands.demo(folder, seed, keep=keep, compare=compare)
