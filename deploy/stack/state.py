"""What a stack remembers in its folder: credentials, ports, and which processes it started."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import psutil
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from packsight.deploy.stack.credentials import Credentials, Role
from packsight.shared import advice
from packsight.shared.contract.errors import UserError
from packsight.shared.storage.files import write_private

_SAME_START = 2.0
"""Seconds by which two readings of one process's start may differ when the clock is set."""
_RUN = Path("/proc/sys/kernel/random/boot_id")


class Begun(BaseModel):
    """When a process began, by a clock that nobody sets."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    run: str
    """The machine's run, from one start to the next; empty where the system has no name for it."""
    after: float
    """Seconds from the start of the machine."""

    @classmethod
    def of(cls, process: psutil.Process) -> Begun:
        """Raises psutil.NoSuchProcess."""
        with contextlib.suppress(OSError):
            return cls(run=_RUN.read_text().strip(), after=_after(process))
        return cls(run="", after=_after(process))


def _after(process: psutil.Process) -> float:
    begun, booted = float(process.create_time()), float(psutil.boot_time())  # both move with the clock
    return round(begun - booted, 2)


class Part(BaseModel):
    """A process that the stack started: a pid alone may by now belong to somebody else, pid and start time do not."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    name: str
    pid: int
    started: float
    """Seconds since the epoch, as the system told it then: the same process began at another time once the clock was set."""
    begun: Begun | None = None
    """None where an older release started it."""
    log: Path
    url: str = ""
    node: str = ""
    """Celery's name of a worker or the indexer, by which its health is asked for."""
    stop_seconds: float = 10.0

    def process(self) -> psutil.Process | None:
        """The running process, None when it has ended or its pid belongs to another one."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started) < _SAME_START or Begun.of(process) == self.begun
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except psutil.NoSuchProcess:
            return None

    def age(self) -> float:
        """Seconds for which its process has run; 0 when it has ended."""
        process = self.process()
        with contextlib.suppress(psutil.NoSuchProcess):
            return max(0.0, time.time() - process.create_time()) if process is not None else 0.0
        return 0.0


class StackState(BaseModel):
    """Content of the state file; what a later release added to it is passed over."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    credentials: Credentials = Field(default_factory=Credentials)
    ports: dict[str, int] = Field(default_factory=dict)
    workers: int = 1
    """As `up` was last asked for, like `flower` and `http`."""
    flower: bool = True
    http: bool = True
    parts: tuple[Part, ...] = ()
    supervisor: Part | None = None
    """What starts parts again; None when the stack was stopped."""
    given_up: dict[str, str] = Field(default_factory=dict)
    """Parts that it does not start any more, and why."""

    @property
    def supervised(self) -> bool:
        """Whether the supervisor is alive."""
        return self.supervisor is not None and self.supervisor.process() is not None

    def running(self) -> list[Part]:
        """Parts whose process is alive."""
        return [part for part in self.parts if part.process() is not None]


class StackFolder:
    """The stack's folder, `.packsight` by default: readable by its owner only."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.env_file = self.root / "stack.env"
        self.state_file = self.root / advice.STATE
        self.catalog_key = self.root / "catalog-key.pem"
        self.data = self.root / "data"
        self.logs = self.root / "logs"

    def settings_of(self, role: Role) -> Path:
        """File with the settings of whoever acts in a role."""
        return self.env_file if role is Role.OPERATOR else self.root / f"{role}.env"

    def create(self) -> None:
        """Make the folders; raises UserError where that is not possible."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            self.root.chmod(0o700)
            self.data.mkdir(exist_ok=True)
            self.logs.mkdir(exist_ok=True)
        except OSError as error:
            why = f"{self.root} cannot be made the stack's folder: {error.strerror}"
            raise UserError(f"{why}. Name another with --home.") from None

    def load(self) -> StackState:
        """Read the state; a folder without one gives a new state. Raises UserError when the file is damaged."""
        try:
            return StackState.model_validate_json(self.state_file.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return StackState()
        except ValidationError:
            raise UserError(
                f"{self.state_file} is damaged. Stop what may still run from this folder (its pids are in {self.logs}), "
                "then remove the file; the stored data stays, but needs the credentials of stack.env."
            ) from None

    def save(self, state: StackState) -> None:
        """Write the state."""
        write_private(self.state_file, state.model_dump_json(indent=1, exclude_none=True))  # earlier releases know no `begun`

    @contextlib.contextmanager
    def locked(self, *, make: bool = True) -> Iterator[None]:
        """Hold the folder against another `up` or `down`; raises UserError while one is at work.

        make: else it is there already, and may lie on a disk that takes nothing any more.
        """
        if make:
            self.create()
        with self._lock_file() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UserError(f"Another `packsight up` or `down` is at work in {self.root}. Wait for it to end.") from None
            yield

    def _lock_file(self) -> IO[str]:
        path = self.root / "stack.lock"
        try:
            return path.open("a")
        except OSError as error:
            if error.errno != errno.EROFS:
                raise
            return path.open()
