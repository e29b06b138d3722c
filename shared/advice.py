"""What to do about something that is down: start the local stack, or look after a service that somebody else runs."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

STATE = "stack.json"
"""File of a stack's folder that is there once the stack was started."""


def _started(home: Path) -> bool:
    return os.path.exists(home / STATE)  # noqa: PTH110 - the folder may be another user's, which Path.exists raises


def elsewhere(home: Path) -> bool:
    """Whether the services are run by others, as in a container: the environment names them, and no stack was started here."""
    return not _started(home) and any(name.startswith("PACKSIGHT_BROKER_URL") for name in os.environ)


def of_catalog(name: str) -> str:
    """What a command that is printed says of the catalog: nothing of the usual one."""
    return "" if name == "default" else f" --catalog {name}"


def start(home: Path, service: str, variable: str) -> str:
    """How to bring a service back, or to name the right one.

    home: folder of the stack. service: as docker-compose.yml has it. variable: what leads to it, empty for what nothing leads to.
    """
    correct = f", or correct {variable}" if variable else ""
    if elsewhere(home):
        return f"Restart the service `{service}` where it runs (docker compose restart {service}, or its pod){correct}."
    if os.path.isdir(home) and not os.access(home, os.R_OK | os.X_OK):  # noqa: PTH112 - as above
        return f"The folder {home} is another user's: run this as that user, or name another by PACKSIGHT_HOME{correct}."
    if not _started(home):
        where = home if home.is_absolute() else f"{home} here or above"
        return f"There is no stack in {where}. Start one with `packsight up`{correct}."
    named = "" if home.resolve().parent == Path.cwd() else f" --home {shlex.quote(str(home))}"
    return f"Start the stack with `packsight up{named}`{correct}."
