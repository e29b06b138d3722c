"""The local stack: everything on loopback, everything in one folder, ended by the pids that it started."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil

from packsight.deploy.stack import catalog_keys, parts, services
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
        wanted = _names(wishes)
        if alive >= wanted:
            raise UserError(f"The stack in {folder.root} is already running. Stop it with `packsight down`.")
        state = state.model_copy(
            update={"ports": _ports(state, wishes, alive), "parts": tuple(p for p in state.parts if p.name in alive)}
        )
        folder.save(state)
        write_private(folder.env_file, _environment_file(folder, state))
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


def _variables(folder: StackFolder, state: StackState) -> dict[str, str]:
    broker = f"redis://:{state.credentials.valkey}@127.0.0.1:{state.ports['valkey']}"
    values = {
        "PACKSIGHT_BROKER_URL": f"{broker}/0",
        "PACKSIGHT_RESULT_URL": f"{broker}/1",
        "PACKSIGHT_HOME": str(folder.root),
        **catalog_keys.of_everyone(folder),
    }
    if not _foreign_s3():
        values |= {
            "PACKSIGHT_S3__ENDPOINT": f"127.0.0.1:{state.ports['s3']}",
            "PACKSIGHT_S3__ACCESS_KEY": state.credentials.access_key,
            "PACKSIGHT_S3__SECRET_KEY": state.credentials.secret_key,
            "PACKSIGHT_S3__BUCKET": BUCKET,
        }
    return values


def _environment_file(folder: StackFolder, state: StackState) -> str:
    def quoted(value: str) -> str:
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"

    variables = _variables(folder, state) | catalog_keys.of_publishers(folder)
    return "".join(f"{name}={quoted(value)}\n" for name, value in variables.items())


class _Starter:
    """Starts parts one after the other and keeps the state file in step with what runs."""

    def __init__(self, folder: StackFolder, state: StackState, say: Say) -> None:
        self.folder, self.state, self._say = folder, state, say
        self.started: list[Part] = []

    def run(self, wishes: Wishes, alive: set[str]) -> None:
        """Start what is not alive: services, then workers, then Flower."""
        state, data = self.state, self.folder.data
        secret, port = state.credentials, state.ports
        first = [(services.valkey(data / "valkey", port["valkey"], secret.valkey), f"redis://127.0.0.1:{port['valkey']}")]
        if not _foreign_s3():
            weed = services.seaweed(data / "seaweedfs", [port[n] for n in S3_NAMES], secret.access_key, secret.secret_key)
            first.append((weed, f"http://127.0.0.1:{port['s3']}"))
        self._start([entry for entry in first if entry[0].name not in alive], seconds=60)
        settings = load_settings(self.folder.env_file)
        store = ObjectStore(settings.s3)
        store.ensure_bucket()
        store.close()
        self._start([entry for entry in self._workers(wishes, settings) if entry[0].name not in alive],
                    seconds=settings.worker.start_timeout + 60)  # fmt: skip

    def _workers(self, wishes: Wishes, settings: Settings) -> list[tuple[Spec, str]]:
        from packsight.shared.queue.app import make_app  # noqa: PLC0415 - Celery takes a moment, and `down` does not need it

        app = make_app("packsight-up", settings)
        common = {**_variables(self.folder, self.state), "PACKSIGHT_STACK_FILE": str(self.folder.env_file), **launch.ONE_THREAD}
        sizes = parts.share_of_machine(wishes.workers, settings)
        entries = [(parts.recognizer(n, settings, common | sizes, app), "") for n in range(1, wishes.workers + 1)]
        entries.append((parts.indexer(common | catalog_keys.of_publishers(self.folder), app), ""))
        if wishes.flower:
            spec = parts.flower(self.state, self.folder.data, common)
            entries.append((spec, f"http://127.0.0.1:{self.state.ports['flower']}"))
        return entries

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
