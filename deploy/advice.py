"""What to do about something that is down: start the local stack, or look after a service that somebody else runs."""

from __future__ import annotations

import os

from packsight.deploy.stack.state import StackFolder


def elsewhere(folder: StackFolder) -> bool:
    """Whether the services are run by others, as in a container: the environment names them, and no stack was started here."""
    return not folder.state_file.exists() and any(name.startswith("PACKSIGHT_BROKER_URL") for name in os.environ)


def start(folder: StackFolder, service: str, variable: str) -> str:
    """How to bring a service back, or to name the right one.

    service: as docker-compose.yml has it. variable: what leads to it, empty for what nothing leads to.
    """
    correct = f", or correct {variable}" if variable else ""
    if elsewhere(folder):
        return f"Restart the service `{service}` where it runs (docker compose restart {service}, or its pod){correct}."
    return f"Start the stack with `packsight up`{correct}."
