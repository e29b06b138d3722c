"""What a stack consists of: the names of its parts, the settings that they share, how each is started."""

from __future__ import annotations

import os

from packsight.deploy.stack import catalog_keys, parts, seaweed_files, services
from packsight.deploy.stack.credentials import Role
from packsight.deploy.stack.services import SEAWEED_PORTS, Spec
from packsight.deploy.stack.state import StackFolder, StackState
from packsight.shared import launch
from packsight.shared.settings import Settings, load_settings

BUCKET = "packsight"
SERVICES = ("valkey", "seaweedfs")
PUBLISHERS = frozenset({Role.OPERATOR, Role.INDEXER})
"""Roles that publish catalogs, and so sign them."""
S3_NAMES = ["s3", *(f"seaweed-{number}" for number in range(1, SEAWEED_PORTS))]


def names(state: StackState) -> set[str]:
    """The parts of a stack as it is wished for."""
    found = {"valkey", *scraped(state)}
    if not foreign_s3():
        found.add("seaweedfs")
    if state.flower:
        found.add("flower")
    return found


def scraped(state: StackState) -> list[str]:
    """The parts that show figures to Prometheus, each at a port of its own."""
    workers = [parts.worker_name(number) for number in range(1, state.workers + 1)]
    return ["indexer", *workers, *(["http"] if state.http else [])]


def figures_port(part: str) -> str:
    """What the port is called at which a part shows its figures."""
    return f"figures-{part}"


def foreign_s3() -> bool:
    """Whether the environment names an S3 endpoint of its own; then no SeaweedFS is started."""
    return "PACKSIGHT_S3__ENDPOINT" in os.environ


def first(folder: StackFolder, state: StackState) -> list[Spec]:
    """The services, which the others need."""
    secret, port = state.credentials, state.ports
    passwords = {role: keys.broker for role, keys in secret.roles.items()}
    found = [services.valkey(folder.data / "valkey", port["valkey"], passwords)]
    if not foreign_s3():
        opened = load_settings(folder.env_file).fetch.allowed_prefixes
        identities = seaweed_files.identities(secret, BUCKET, opened)
        found.append(services.seaweed(folder.data / "seaweedfs", [port[name] for name in S3_NAMES], identities))
    return found


def then(folder: StackFolder, state: StackState, settings: Settings) -> list[Spec]:
    """Workers, indexer, Flower and the HTTP door."""
    worker = _environment(folder, state, Role.WORKER) | parts.share_of_machine(state.workers, settings)
    found = [parts.recognizer(number, folder.root, worker) for number in range(1, state.workers + 1)]
    found.append(parts.indexer(folder.root, _environment(folder, state, Role.INDEXER)))
    if state.http:
        found.append(parts.http(state.ports["http"], _environment(folder, state, Role.HTTP)))
    found = [parts.shows_figures(spec, state.ports[figures_port(spec.name)]) for spec in found]
    if state.flower:
        found.append(parts.flower(state, folder.data, _environment(folder, state, Role.FLOWER)))
    return found


def _environment(folder: StackFolder, state: StackState, role: Role) -> dict[str, str]:
    # Not the stack's file: it holds the operator's keys.
    return {**variables(folder, state, role), "PACKSIGHT_STACK_FILE": os.devnull, **launch.FRUGAL}


def variables(folder: StackFolder, state: StackState, role: Role) -> dict[str, str]:
    """Settings that lead to this stack, with the keys of a role alone."""
    broker = f"redis://{role}:{state.credentials.roles[role].broker}@127.0.0.1:{state.ports['valkey']}"
    values = {
        "PACKSIGHT_BROKER_URL": f"{broker}/0",
        "PACKSIGHT_RESULT_URL": f"{broker}/1",
        "PACKSIGHT_HOME": str(folder.root),
        **catalog_keys.of_everyone(folder),
    }
    if role in PUBLISHERS:
        values |= catalog_keys.of_publishers(folder)
    if not foreign_s3():
        keys = state.credentials.s3(role)
        values |= {
            "PACKSIGHT_S3__ENDPOINT": f"127.0.0.1:{state.ports['s3']}",
            "PACKSIGHT_S3__ACCESS_KEY": keys.access_key if keys else "",
            "PACKSIGHT_S3__SECRET_KEY": keys.secret_key if keys else "",
            "PACKSIGHT_S3__BUCKET": BUCKET,
        }
    return values


def environment_file(folder: StackFolder, state: StackState, role: Role) -> str:
    """The same as a file that commands read."""

    def quoted(value: str) -> str:
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"

    return "".join(f"{name}={quoted(value)}\n" for name, value in variables(folder, state, role).items())
