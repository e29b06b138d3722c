"""A process that may be killed, frozen and brought back, with the processes under it."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

import psutil

from packsight.deploy.stack import services
from packsight.deploy.testbed import Server


class _Owner(Protocol):
    process: subprocess.Popen[bytes]


@dataclass
class Part:
    """Something that runs, by name; `launch` starts it again and does not wait for it."""

    name: str
    owner: _Owner
    launch: Callable[[], None]

    @classmethod
    def of(cls, server: Server, name: str = "") -> Part:
        """A server, or a worker that is started like one."""

        def launch() -> None:
            server.process = services.start(server.spec, server.log)

        return cls(name or server.spec.name, server, launch)

    @property
    def ended(self) -> int | None:
        """Its exit code; None while it runs."""
        return self.owner.process.poll()

    def family(self) -> list[psutil.Process]:
        """Its processes, the parent first."""
        with suppress(psutil.NoSuchProcess):
            parent = psutil.Process(self.owner.process.pid)
            return [parent, *parent.children(recursive=True)]
        return []

    def children(self) -> list[psutil.Process]:
        """Those of a worker that run tasks; beside them stands only the tracker of semaphores."""
        found = []
        for process in self.family()[1:]:
            with suppress(psutil.NoSuchProcess):
                if not any("_tracker import" in word for word in process.cmdline()):
                    found.append(process)
        return found

    def kill(self) -> None:
        """End it as a loss of power would; the kernel ends its children with it."""
        self.owner.process.kill()
        self.owner.process.wait()

    def ask_to_stop(self) -> None:
        """Tell it to finish what it began and end."""
        with suppress(ProcessLookupError):
            self.owner.process.send_signal(signal.SIGTERM)


def freeze(processes: list[psutil.Process]) -> Callable[[], None]:
    """Let processes stand still; returns what lets them go on."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.suspend()

    def thaw() -> None:
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.resume()

    return thaw
