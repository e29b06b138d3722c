"""The supervisor of a local stack: it starts what does not run, then starts again what ends and ends what stays sick.

`python -m packsight.deploy.stack.supervisor FOLDER`, started by `packsight up`, to which it tells how far it is, a JSON object
per line, until all parts are ready. Its log says why each part ended. It alone writes the folder's state while it lives. Told to
stop, it ends and leaves the parts alone: `down` ends them, the next supervisor takes them over.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from packsight.deploy.stack import plan, services
from packsight.deploy.stack.restarts import Restarts
from packsight.deploy.stack.services import Spec
from packsight.deploy.stack.state import Begun, Part, StackFolder
from packsight.deploy.stack.stopping import end
from packsight.shared import health, launch, logs
from packsight.shared.contract.errors import UserError
from packsight.shared.settings import load_settings
from packsight.shared.storage.objects import ObjectStore

log = logging.getLogger("packsight.supervisor")

_LOOK = 0.5
"""Seconds between two looks at all parts."""
_SERVICES_START = 60.0
"""Seconds that broker and object storage may take to answer: they read what they have stored."""
_WORKERS_START = 60.0
"""Seconds beyond what a child may take that all workers, the indexer and Flower may take together, on a machine under load."""
_CANNOT_START = 10.0
"""Seconds until the start of a process is tried again that the system refused."""
_TAIL = 5
"""Lines of an ended part's log that are repeated in the supervisor's."""
_WIDTH = 300
"""Characters of such a line."""


class StoppedError(Exception):
    """The supervisor was told to stop while it was starting parts."""


@dataclass(slots=True)
class _Kept:
    """A part that is kept running."""

    spec: Spec
    part: Part | None
    """Its process, or its last one."""
    restarts: Restarts
    born: float
    """When its process began, as far as is known, on the clock of time.monotonic."""
    process: subprocess.Popen[bytes] | None = None
    """None when an earlier supervisor started it: then how it ends is not known."""
    again_at: float | None = None
    """When it is started again, on the clock of time.monotonic; None while it has not been seen to end."""
    sick: str = ""
    """Why the supervisor ended it."""
    answers: bool = True
    """Whether it was ready once since it was started."""

    @property
    def alive(self) -> bool:
        """Whether its process is."""
        if self.process is not None:
            return self.process.poll() is None
        return self.part is not None and self.part.process() is not None


def _kept(spec: Spec, part: Part | None, restarts: Restarts) -> _Kept:
    return _Kept(spec, part, restarts, time.monotonic() - (part.age() if part is not None else 0.0))


class Supervisor:
    """Keeps the parts of a folder's stack.

    parts: all of them. stopped: set by whoever wants it to end.
    """

    def __init__(
        self, folder: StackFolder, parts: list[Spec], stopped: threading.Event, restarts: Callable[[], Restarts] = Restarts
    ) -> None:
        living = {part.name: part for part in folder.load().running()}
        self.folder, self.stopped = folder, stopped
        self.kept = {spec.name: _kept(spec, living.get(spec.name), restarts()) for spec in parts}
        self._given_up: dict[str, str] = {}
        self._unsaved = False

    def start(self, names: list[str], seconds: float) -> None:
        """Start parts together unless they live, then wait for each; raises UserError when one does not come up."""
        begun = [self.kept[name] for name in names if not self.kept[name].alive]
        for one in begun:
            tell(say=f"Starting {one.spec.name}")
            self._begin(one)
            self._save()
        deadline = time.monotonic() + seconds
        for one in begun:
            assert one.process is not None  # noqa: S101 - it was just begun
            left = max(1.0, deadline - time.monotonic())
            services.wait_ready(self._stoppable(one.spec), one.process, self._log(one), left)
            one.answers = True

    def end_started(self, why: str) -> None:
        """End what this supervisor started; parts that were there before stay. Without any the stack has no supervisor."""
        end([one.part for one in self.kept.values() if one.process is not None and one.part is not None][::-1])
        missing = [name for name, one in self.kept.items() if not one.alive]
        for name in missing:
            del self.kept[name]
        if self.kept:
            self._given_up = dict.fromkeys(missing, f"it was not started, since {why}")
        else:
            self.folder.save(self.folder.load().model_copy(update={"supervisor": None}))
        self._save()

    def still_there(self) -> str:
        """What to say of parts that are kept after a start that failed; empty where nothing runs."""
        if not self.kept:
            return ""
        names = ", ".join(self.kept)
        return f"Still running, since before: {names}. Mend that and type `packsight up`; `packsight down` stops what runs."

    def watch(self) -> None:
        """Look after all parts until told to stop."""
        while not self.stopped.wait(_LOOK):
            for one in self.kept.values():
                try:
                    self._look(one)
                    if self._unsaved:
                        self._save()
                except Exception:  # a full disk, too many processes: the other parts need it all the more
                    log.exception("%s cannot be looked after now", one.spec.name)

    def _look(self, one: _Kept) -> None:
        if one.again_at is None:
            if one.alive:
                self._look_at_living(one)
            else:
                self._ended(one)
        elif time.monotonic() >= one.again_at:
            one.again_at += _CANNOT_START
            self._begin(one)

    def _look_at_living(self, one: _Kept) -> None:
        name, part = one.spec.name, one.part
        assert part is not None  # noqa: S101 - it lives
        if not one.answers and one.spec.ready():
            one.answers = True
            log.info("%s is ready again", name, extra={"action": "part_ready"})
        if not part.node or one.sick:
            return
        seen = health.ask(self.folder.root, part.node)
        if not seen.well and seen.pid == part.pid and seen.sick_for >= health.END_AFTER:
            one.sick = seen.text
            log.error("%s is sick and is ended, to be started again: %s", name, seen.text, extra={"action": "part_sick"})
            health.end(part.pid)

    def _ended(self, one: _Kept) -> None:
        """Say why a part ended, and when it is started again."""
        name = one.spec.name
        life = time.monotonic() - one.born
        how = services.ending(one.process.returncode if one.process is not None else None)
        if one.process is None:
            how += ", how is not known, since an earlier supervisor had started it"
        log.error("%s %s after %.0f s", name, how, life, extra={"action": "part_ended"})
        for line in services.log_end(self._log(one), _TAIL).splitlines():
            log.error("%s: %s", name, line[:_WIDTH])
        pause = one.restarts.pause_after(life)
        if pause is not None:
            one.again_at = time.monotonic() + pause
            log.warning("%s is started again in %.0f s, time %d in a row", name, pause, one.restarts.count)
            return
        one.again_at = math.inf
        cause = f"was sick ({one.sick})" if one.sick else how
        why = f"it {cause}, {one.restarts.count} times in a row, and is not started any more"
        log.error("%s: %s. Mend what its log says, then run `packsight up`.", name, why, extra={"action": "part_given_up"})
        self._given_up[name] = why
        self._unsaved = True

    def _begin(self, one: _Kept) -> None:
        one.process = process = services.start(one.spec, self._log(one))
        one.born, seen = time.monotonic(), psutil.Process(process.pid)
        one.part = Part(
            name=one.spec.name,
            pid=process.pid,
            started=seen.create_time(),
            begun=Begun.of(seen),
            log=self._log(one),
            url=one.spec.url,
            node=one.spec.node,
            stop_seconds=one.spec.stop_seconds,
        )
        one.again_at, one.sick, one.answers = None, "", False
        self._unsaved = True

    def _save(self) -> None:
        """Write down what runs, and what ran last of what is to be started again."""
        state = self.folder.load()
        parts = tuple(one.part for one in self.kept.values() if one.part is not None)
        self.folder.save(state.model_copy(update={"parts": parts, "given_up": self._given_up}))
        self._unsaved = False

    def _log(self, one: _Kept) -> Path:
        return self.folder.logs / f"{one.spec.name}.log"

    def _stoppable(self, spec: Spec) -> Spec:
        def ready() -> bool:
            if self.stopped.is_set():
                raise StoppedError
            return spec.ready()

        return replace(spec, ready=ready)


def tell(**told: str) -> None:
    """Tell whoever started the supervisor."""
    with contextlib.suppress(OSError):  # it does not listen any more
        print(json.dumps(told), flush=True)


def _hang_up() -> None:
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    with open(os.devnull, "w") as nowhere:  # noqa: PTH123 - a name, not a path
        os.dup2(nowhere.fileno(), 1)


def _register(folder: StackFolder) -> None:
    me = psutil.Process()
    own = Part(
        name="supervisor", pid=me.pid, started=me.create_time(), begun=Begun.of(me), log=folder.logs / "supervisor.log"
    )  # fmt: skip
    folder.save(folder.load().model_copy(update={"supervisor": own}))


def supervise(folder: StackFolder, stopped: threading.Event) -> int:
    """Start the stack of a folder and watch it until told to stop; returns the exit code."""
    settings = load_settings(folder.env_file)
    state = folder.load()
    first, then = plan.first(folder, state), plan.then(folder, state, settings)
    supervisor = Supervisor(folder, [*first, *then], stopped)
    _register(folder)
    try:
        supervisor.start([spec.name for spec in first], _SERVICES_START)
        s3 = settings.s3 if plan.foreign_s3() else state.credentials.administrator.into(settings.s3)
        with contextlib.closing(ObjectStore(s3)) as store:
            store.ensure_bucket()
        supervisor.start([spec.name for spec in then], settings.worker.start_timeout + _WORKERS_START)
    except Exception as error:
        log.exception("the stack does not come up")
        tell(say="A part did not come up; ending what was started")
        failed = str(error) or "The start was interrupted."
        supervisor.end_started(failed.partition("\n")[0].rstrip("."))
        tell(failed="\n".join(filter(None, [failed, supervisor.still_there()])))
        if not supervisor.kept:
            return 1
    else:
        log.info("all parts run: %s", ", ".join(supervisor.kept), extra={"action": "stack_ready"})
        tell(ready="")
    _hang_up()
    supervisor.watch()
    log.info("told to stop; the parts stay as they are", extra={"action": "supervisor_stopped"})
    return 0


def heed(stopped: threading.Event) -> None:
    """Let signals stop the watching, but not that of a terminal that closes: parts would run on with nobody who restarts them."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    signal.signal(signal.SIGHUP, lambda *_: None)  # not SIG_IGN, which the parts would inherit


def main(root: Path) -> int:
    """The process."""
    launch.shield()
    logs.set_up(logs.LogFormat.TEXT)
    stopped = threading.Event()
    heed(stopped)
    try:
        return supervise(StackFolder(root), stopped)
    except UserError as error:
        tell(failed=str(error))
        return 2


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
