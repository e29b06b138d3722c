"""What a stack consists of: the names of its parts, the settings that they share, how each is started."""

from __future__ import annotations

import os

from packsight.deploy.stack import parts, services
from packsight.deploy.stack.services import SEAWEED_PORTS, Spec
from packsight.deploy.stack.state import StackFolder, StackState
from packsight.shared import launch
from packsight.shared.settings import Settings

BUCKET = "packsight"
SERVICES = ("valkey", "seaweedfs")
S3_NAMES = ["s3", *(f"seaweed-{number}" for number in range(1, SEAWEED_PORTS))]


def names(state: StackState) -> set[str]:
    """The parts of a stack as it is wished for."""
    found = {"valkey", "indexer", "worker", *(f"worker-{number}" for number in range(2, state.workers + 1))}
    if not foreign_s3():
        found.add("seaweedfs")
    if state.flower:
        found.add("flower")
    return found


def foreign_s3() -> bool:
    """Whether the environment names an S3 endpoint of its own; then no SeaweedFS is started."""
    return "PACKSIGHT_S3__ENDPOINT" in os.environ


def first(folder: StackFolder, state: StackState) -> list[Spec]:
    """The services, which the others need."""
    secret, port = state.credentials, state.ports
    found = [services.valkey(folder.data / "valkey", port["valkey"], secret.valkey)]
    if not foreign_s3():
        ports = [port[name] for name in S3_NAMES]
        found.append(services.seaweed(folder.data / "seaweedfs", ports, secret.access_key, secret.secret_key))
    return found


def then(folder: StackFolder, state: StackState, settings: Settings) -> list[Spec]:
    """Workers, indexer and Flower."""
    common = {**variables(folder, state), "PACKSIGHT_STACK_FILE": str(folder.env_file), **launch.ONE_THREAD}
    sizes = parts.share_of_machine(state.workers, settings)
    found = [parts.recognizer(number, folder.root, common | sizes) for number in range(1, state.workers + 1)]
    found.append(parts.indexer(folder.root, common))
    if state.flower:
        found.append(parts.flower(state, folder.data, common))
    return found


def variables(folder: StackFolder, state: StackState) -> dict[str, str]:
    """Settings that lead to this stack."""
    broker = f"redis://:{state.credentials.valkey}@127.0.0.1:{state.ports['valkey']}"
    values = {
        "PACKSIGHT_BROKER_URL": f"{broker}/0",
        "PACKSIGHT_RESULT_URL": f"{broker}/1",
        "PACKSIGHT_HOME": str(folder.root),
    }
    if not foreign_s3():
        values |= {
            "PACKSIGHT_S3__ENDPOINT": f"127.0.0.1:{state.ports['s3']}",
            "PACKSIGHT_S3__ACCESS_KEY": state.credentials.access_key,
            "PACKSIGHT_S3__SECRET_KEY": state.credentials.secret_key,
            "PACKSIGHT_S3__BUCKET": BUCKET,
        }
    return values


def environment_file(folder: StackFolder, state: StackState) -> str:
    """The same as a file that commands read."""

    def quoted(value: str) -> str:
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"

    return "".join(f"{name}={quoted(value)}\n" for name, value in variables(folder, state).items())
