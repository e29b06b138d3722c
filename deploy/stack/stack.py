"""The local stack: everything on loopback, everything in one folder, ended by the pids that it started."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

import psutil

from packsight.deploy.stack import parts, seaweed_files, services
from packsight.deploy.stack.credentials import Role
from packsight.deploy.stack.ports import assign, is_free
from packsight.deploy.stack.services import SEAWEED_PORTS, Spec
from packsight.deploy.stack.state import Part, StackFolder, StackState, end, write_private
from packsight.shared import launch
from packsight.shared.contract.errors import UserError
from packsight.shared.settings import Settings, load_settings
from packsight.shared.storage.objects import ObjectStore

BUCKET = "packsight"
SERVICES = ("valkey", "seaweedfs")
S3_NAMES = ["s3", *(f"seaweed-{number}" for number in range(1, SEAWEED_PORTS))]


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the caller of `up` may choose; 0 = any free port."""

    workers: int = 1
    flower: bool = True
    valkey_port: int = 0
    s3_port: int = 0
    flower_port: int = 0


Say = Callable[[str], None]


def up(folder: StackFolder, wishes: Wishes, say: Say = lambda _: None) -> StackState:
    """Start every part that is not running and return when all are ready.

    Raises UserError when the whole stack already runs, when a wished port is taken, and when a part does not come up; in
    the last case everything that this call started is ended again.
    """
    with folder.locked():
        state = folder.load()
        alive = {part.name for part in state.running()}
        if state.credentials.one_password and alive:
            raise UserError(f"The stack in {folder.root} was started by an older release. Stop it with `packsight down` first.")
        wanted = _names(wishes)
        if alive >= wanted:
            raise UserError(f"The stack in {folder.root} is already running. Stop it with `packsight down`.")
        state = state.model_copy(
            update={"ports": _ports(state, wishes, alive), "parts": tuple(p for p in state.parts if p.name in alive)}
        )
        folder.save(state)
        for role in Role:
            write_private(folder.settings_of(role), _environment_file(folder, state, role))
        starter = _Starter(folder, state, say)
        try:
            starter.run(wishes, alive)
        except BaseException:
            say("A part did not come up; ending what was started")
            end(starter.started[::-1])
            folder.save(state)
            raise
        return starter.state


def down(folder: StackFolder, say: Say = lambda _: None) -> list[str]:
    """End every part that this folder's stack started, workers before services; returns the names of those that ran."""
    if not folder.state_file.exists():
        return []
    with folder.locked():
        state = folder.load()
        running = state.running()
        last = [part for part in running if part.name in SERVICES]
        for group in ([part for part in running if part not in last], last):
            if group:
                say(f"Stopping {', '.join(part.name for part in group)}")
                for name in end(group):
                    say(f"{name} did not end in time and was killed; what it held goes back to its queue")
        folder.save(state.model_copy(update={"parts": ()}))
        return [part.name for part in running]


def _names(wishes: Wishes) -> set[str]:
    names = {"valkey", "indexer", "worker", *(f"worker-{number}" for number in range(2, wishes.workers + 1))}
    if not _foreign_s3():
        names.add("seaweedfs")
    if wishes.flower:
        names.add("flower")
    return names


def _foreign_s3() -> bool:
    """Whether the environment names an S3 endpoint of its own; then no SeaweedFS is started."""
    return "PACKSIGHT_S3__ENDPOINT" in os.environ


def _ports(state: StackState, wishes: Wishes, alive: set[str]) -> dict[str, int]:
    """Ports of all services: those of running parts as they are, wished ones as wished, the others kept if still free."""
    held = {"valkey": "valkey", "flower": "flower"} | dict.fromkeys(S3_NAMES, "seaweedfs")
    ports = {name: port for name, port in state.ports.items() if held.get(name) in alive}
    for name, wish in (("valkey", wishes.valkey_port), ("s3", wishes.s3_port), ("flower", wishes.flower_port)):
        if not wish or ports.get(name) == wish:
            continue
        if name in ports:
            raise UserError(f"{held[name]} already runs on port {ports[name]}. Stop it with `packsight down` first.")
        if not is_free(wish):
            raise UserError(f"Port {wish} is taken. Choose another with --port-{name}, or leave it out for a free one.")
        ports[name] = wish
    return ports | assign([name for name in held if name not in ports], state.ports)


def _variables(folder: StackFolder, state: StackState, role: Role) -> dict[str, str]:
    """Settings of a process, with the keys of its role alone."""
    broker = f"redis://{role}:{state.credentials.roles[role].broker}@127.0.0.1:{state.ports['valkey']}"
    values = {
        "PACKSIGHT_BROKER_URL": f"{broker}/0",
        "PACKSIGHT_RESULT_URL": f"{broker}/1",
        "PACKSIGHT_HOME": str(folder.root),
    }
    if not _foreign_s3():
        keys = state.credentials.s3(role)
        values |= {
            "PACKSIGHT_S3__ENDPOINT": f"127.0.0.1:{state.ports['s3']}",
            "PACKSIGHT_S3__ACCESS_KEY": keys.access_key if keys else "",
            "PACKSIGHT_S3__SECRET_KEY": keys.secret_key if keys else "",
            "PACKSIGHT_S3__BUCKET": BUCKET,
        }
    return values


def _environment_file(folder: StackFolder, state: StackState, role: Role) -> str:
    def quoted(value: str) -> str:
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"

    return "".join(f"{name}={quoted(value)}\n" for name, value in _variables(folder, state, role).items())


class _Starter:
    """Starts parts one after the other and keeps the state file in step with what runs."""

    def __init__(self, folder: StackFolder, state: StackState, say: Say) -> None:
        self.folder, self.state, self._say = folder, state, say
        self.started: list[Part] = []

    def run(self, wishes: Wishes, alive: set[str]) -> None:
        """Start what is not alive: services, then workers, then Flower."""
        state, data = self.state, self.folder.data
        secret, port = state.credentials, state.ports
        passwords = {role: keys.broker for role, keys in secret.roles.items()}
        first = [(services.valkey(data / "valkey", port["valkey"], passwords), f"redis://127.0.0.1:{port['valkey']}")]
        if not _foreign_s3():
            opened = load_settings(self.folder.env_file).fetch.allowed_prefixes
            identities = seaweed_files.identities(secret, BUCKET, opened)
            weed = services.seaweed(data / "seaweedfs", [port[n] for n in S3_NAMES], identities)
            first.append((weed, f"http://127.0.0.1:{port['s3']}"))
        self._start([entry for entry in first if entry[0].name not in alive], seconds=60)
        settings = load_settings(self.folder.env_file)
        with closing(ObjectStore(settings.s3 if _foreign_s3() else secret.administrator.into(settings.s3))) as store:
            store.ensure_bucket()
        self._start([entry for entry in self._workers(wishes, settings) if entry[0].name not in alive],
                    seconds=settings.worker.start_timeout + 60)  # fmt: skip

    def _workers(self, wishes: Wishes, settings: Settings) -> list[tuple[Spec, str]]:
        from packsight.shared.queue.app import make_app  # noqa: PLC0415 - Celery takes a moment, and `down` does not need it

        app = make_app("packsight-up", settings)
        sizes = parts.share_of_machine(wishes.workers, settings)
        worker = self._environment(Role.WORKER) | sizes
        entries = [(parts.recognizer(n, settings, worker, app), "") for n in range(1, wishes.workers + 1)]
        entries.append((parts.indexer(self._environment(Role.INDEXER), app), ""))
        if wishes.flower:
            spec = parts.flower(self.state, self.folder.data, self._environment(Role.FLOWER))
            entries.append((spec, f"http://127.0.0.1:{self.state.ports['flower']}"))
        return entries

    def _environment(self, role: Role) -> dict[str, str]:
        # Not the stack's file: it holds the operator's keys.
        return {**_variables(self.folder, self.state, role), "PACKSIGHT_STACK_FILE": os.devnull, **launch.ONE_THREAD}

    def _start(self, entries: list[tuple[Spec, str]], seconds: float) -> None:
        """Start parts together, then wait for each."""
        begun = []
        for spec, url in entries:
            self._say(f"Starting {spec.name}")
            log = self.folder.logs / f"{spec.name}.log"
            process = services.start(spec, log)
            started = psutil.Process(process.pid).create_time()
            part = Part(name=spec.name, pid=process.pid, started=started, log=log, url=url, stop_seconds=spec.stop_seconds)
            self.started.append(part)
            self.state = self.state.model_copy(update={"parts": (*self.state.parts, part)})
            self.folder.save(self.state)
            begun.append((spec, process, log))
        deadline = time.monotonic() + seconds
        for spec, process, log in begun:
            services.wait_ready(spec, process, log, max(1.0, deadline - time.monotonic()))
