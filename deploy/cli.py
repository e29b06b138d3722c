"""`packsight up|down|status|doctor|secrets|demo` as they are typed."""

# Annotations are not postponed here: Typer would evaluate each of them, a fifth of the time of `--help`.

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from packsight.shared.extras import Later

if TYPE_CHECKING:
    from packsight.deploy import commands
else:
    commands = Later("packsight.deploy.commands")

app = typer.Typer()

Home = Annotated[Path, typer.Option("--home", help="Folder of the stack: data, logs, credentials.", envvar="PACKSIGHT_HOME")]
HOME = Path(".packsight")
Port = Annotated[int, typer.Option(min=0, max=65535, help="0 = any free port, the same as last time if possible.")]
AsJson = Annotated[bool, typer.Option("--json", help="Machine-readable.")]


@app.command()
def up(
    *,
    home: Home = HOME,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Recognition workers.")] = 1,
    flower: Annotated[bool, typer.Option(help="Watch the queues in a browser.")] = True,
    port_valkey: Port = 0,
    port_s3: Port = 0,
    port_flower: Port = 0,
) -> None:
    """Start broker, object storage, workers, indexer and Flower on this machine, and wait until they are ready."""
    commands.up(
        home, workers=workers, flower=flower, port_valkey=port_valkey, port_s3=port_s3, port_flower=port_flower
    )


@app.command()
def down(home: Home = HOME) -> None:
    """Stop what `packsight up` started in this folder, and nothing else; the data stays."""
    commands.down(home)


@app.command()
def status(home: Home = HOME, as_json: AsJson = False) -> None:
    """Show what runs, what waits in the queues, which catalogs are served and by whom."""
    commands.status(home, as_json=as_json)


@app.command()
def doctor(home: Home = HOME, as_json: AsJson = False) -> None:
    """Check endpoints, models, catalogs and package versions; exit code 1 if something is wrong."""
    commands.doctor(home, as_json=as_json)


@app.command()
def secrets(
    folder: Annotated[Path, typer.Argument(help="Compose's is deploy/secrets.")],
    programs: Annotated[
        list[str] | None, typer.Option("--program", help="Name of another program that takes messages from queues of its own.")
    ] = None,
) -> None:
    """Write the secrets of containers into a folder, each role's apart; those that are there already stay."""
    commands.secrets(folder, programs or [])


@app.command()
def demo(
    folder: Annotated[Path, typer.Option("--out", help="Folder of the demo's photos and results.")] = Path("demo-out"),
    seed: Annotated[int, typer.Option(help="Seed of the drawn photos.")] = 7,
) -> None:
    """Draw a shop, start a stack of its own, publish the catalog, recognise its customers' photos, and stop again."""
    commands.demo(folder, seed)
