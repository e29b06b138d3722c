"""The local stack: everything on loopback, everything in one folder, ended by the pids that were started for it."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass

import psutil

from packsight.deploy.stack import parts, plan, services
from packsight.deploy.stack.credentials import Role
from packsight.deploy.stack.ports import assign, is_free
from packsight.deploy.stack.state import Begun, Part, StackFolder, StackState
from packsight.deploy.stack.stopping import end, kill, still_alive
from packsight.shared import launch
from packsight.shared.contract.errors import UserError
from packsight.shared.storage.files import write_private

_SUPERVISOR_STOP = 10.0
"""Seconds after which a supervisor that does not end is killed: it may be waiting for the end of a part."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the caller of `up` may choose. None: as last time, else one worker, Flower and the HTTP door; 0: any free port."""

    workers: int | None = None
    flower: bool | None = None
    http: bool | None = None
    valkey_port: int = 0
    s3_port: int = 0
    flower_port: int = 0
    http_port: int = 0


Say = Callable[[str], None]


def up(folder: StackFolder, wishes: Wishes, say: Say = lambda _: None) -> StackState:
    """Start every part that is not running and a supervisor that keeps them running; return when all are ready.

    Living parts are left as they are, unless they are no longer wished for. Raises UserError when all of it already runs, when a
    wished port is taken, and when a part does not come up; in the last case everything that this call started is ended again.
    """
    with folder.locked():
        state = _wished(folder.load(), wishes)
        if state.credentials.one_password and state.running():
            raise UserError(f"The stack in {folder.root} was started by an older release. Stop it with `packsight down` first.")
        if state.supervised and {part.name for part in state.running()} == plan.names(state):
            raise UserError(f"The stack in {folder.root} is already running. Stop it with `packsight down`.")
        _end_supervisor(state)
        # Up to its end it may have started a part.
        state = _wished(folder.load(), wishes)
        kept = [part for part in state.running() if part.name in plan.names(state)]
        end([part for part in state.running() if part not in kept])
        ports = _ports(state, wishes, {part.name for part in kept})
        state = state.model_copy(update={"ports": ports, "parts": tuple(kept), "supervisor": None, "given_up": {}})
        folder.save(state)
        for role in Role:
            write_private(folder.settings_of(role), plan.environment_file(folder, state, role))
        _let_the_owner_in(folder, state)
        _supervise(folder, say)
        return folder.load()


def _let_the_owner_in(folder: StackFolder, state: StackState) -> None:
    """Let whoever started the stack sign in at its page, unless they have a password of their own."""
    from packsight.producer.http.accounts import Accounts  # noqa: PLC0415 - of a part that the core lacks, whose `status` comes by here
    from packsight.producer.http.rights import Right  # noqa: PLC0415 - of a part that the core lacks, whose `status` comes by here

    accounts = Accounts(folder.root)
    if accounts.person(parts.PAGE_USER) is None:
        accounts.add_person(parts.PAGE_USER, state.credentials.page, frozenset({Right.ADMIN}), None)


def down(folder: StackFolder, say: Say = lambda _: None) -> list[str]:
    """End the supervisor, then all parts of this folder's stack, workers before services; returns the names of those that ran.

    Also where the folder's disk is full or takes nothing any more.
    """
    if not folder.state_file.exists():
        return []
    with folder.locked(make=False):
        state = folder.load()
        begun = _begun(folder, state)
        _end_supervisor(state)
        state = folder.load()
        running = state.running()
        running += [part for part in begun if part.process() and part.pid not in {one.pid for one in running}]
        last = [part for part in running if part.name in plan.SERVICES]
        for group in ([part for part in running if part not in last], last):
            if group:
                say(f"Stopping {', '.join(part.name for part in group)}")
                for name in end(group):
                    say(f"{name} did not end in time and was killed; what it held goes back to its queue")
        if any(part.name == "seaweedfs" for part in running):  # else others may have these ports by now
            services.clear(state.ports[name] for name in plan.S3_NAMES if name in state.ports)
        try:
            folder.save(state.model_copy(update={"parts": (), "supervisor": None, "given_up": {}}))
        except OSError as error:  # they have ended all the same, which their pids tell the next `up`
            say(f"{folder.state_file} cannot be written ({error.strerror}): `packsight status` calls down what was stopped")
        return [part.name for part in running]


def _begun(folder: StackFolder, state: StackState) -> list[Part]:
    """What the supervisor has started: on a full disk it may not have been able to write that down."""
    supervisor = state.supervisor.process() if state.supervisor is not None else None
    seconds = max((part.stop_seconds for part in state.parts), default=10.0)
    found = []
    with contextlib.suppress(psutil.NoSuchProcess):
        for one in supervisor.children() if supervisor is not None else []:
            with contextlib.suppress(psutil.NoSuchProcess):
                found.append(Part(
                    name=f"process {one.pid}", pid=one.pid, started=one.create_time(), begun=Begun.of(one),
                    log=folder.logs / "supervisor.log", stop_seconds=seconds,
                ))  # fmt: skip
    return found


def _wished(state: StackState, wishes: Wishes) -> StackState:
    chosen = {"workers": wishes.workers, "flower": wishes.flower, "http": wishes.http}
    return state.model_copy(update={name: value for name, value in chosen.items() if value is not None})


def _end_supervisor(state: StackState) -> None:
    """End it alone: what it started is not its own."""
    process = state.supervisor.process() if state.supervisor is not None else None
    if process is None:
        return
    with contextlib.suppress(psutil.NoSuchProcess):
        process.terminate()
    kill(still_alive({process: _SUPERVISOR_STOP}))


def _supervise(folder: StackFolder, say: Say) -> None:
    """Start a supervisor and return when it says that all parts are ready."""
    log = folder.logs / "supervisor.log"
    with log.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603 - our own command line
            launch.python("packsight.deploy.stack.supervisor", str(folder.root)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=output,
            start_new_session=True,
        )
    assert process.stdout is not None  # noqa: S101 - a pipe was asked for
    try:
        for line in process.stdout:
            told = json.loads(line)
            if "failed" in told:
                raise UserError(told["failed"])
            if "ready" in told:
                return
            say(told["say"])
        raise UserError(f"The supervisor ended with code {process.wait()}. {services.log_end(log)}")
    except UserError:
        raise  # it has ended, or goes on with the parts that ran before
    except BaseException:
        services.stop(process, seconds=60)  # it ends what it started
        raise
    finally:
        process.stdout.close()


def _ports(state: StackState, wishes: Wishes, alive: set[str]) -> dict[str, int]:
    """Ports of all services: those of running parts as they are, wished ones as wished, the others kept if still free."""
    held = {"valkey": "valkey", "flower": "flower", "http": "http"} | dict.fromkeys(plan.S3_NAMES, "seaweedfs")
    held |= {plan.figures_port(part): part for part in plan.scraped(state)}
    ports = {name: port for name, port in state.ports.items() if held.get(name) in alive}
    wished = {"valkey": wishes.valkey_port, "s3": wishes.s3_port, "flower": wishes.flower_port, "http": wishes.http_port}
    for name, wish in wished.items():
        if not wish or ports.get(name) == wish:
            continue
        if name in ports:
            raise UserError(f"{held[name]} already runs on port {ports[name]}. Stop it with `packsight down` first.")
        if wish in ports.values():
            raise UserError(f"Port {wish} is wished for two parts. Choose another with --port-{name}, or leave it out.")
        if not is_free(wish):
            raise UserError(f"Port {wish} is taken. Choose another with --port-{name}, or leave it out for a free one.")
        ports[name] = wish
    return ports | assign([name for name in held if name not in ports], state.ports, ports.values())
