"""`python -m tests.chaos`: a job while everything around it breaks; exit code 1 unless every photo has its one right outcome
and what was planned to break did."""

from __future__ import annotations

import json
import shutil
import signal
import tempfile
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer
from rich.console import Console

from bench import machine
from bench.photos import demo, few
from tests.chaos.plan import BROKER, everything, kills, mixed
from tests.chaos.real import BATCH, real
from tests.chaos.run import Run, document
from tests.chaos.stage import Stage, Watch
from tests.chaos.standins import standins

WORKERS = ("worker", "worker-2")
KILL_EVERY, TASKS_PER_KILL = 8, 12
"""Messages that end between two kills, and that are sent for each: they end in bursts, and the last kill needs work too."""
APART = 4.0
"""Seconds from one event to the next at least, with networks: dozens at once are one disaster, and hide what each costs."""
AFTERWARDS = 900
"""Seconds for what is before and behind the events: the shop, the workers, the quiet runs."""

console = Console()


def main(
    seed: Annotated[int, typer.Option(help="Makes the plan: what happens to whom, for how long.")] = 1,
    photos: Annotated[int, typer.Option(help="Photos of the job.")] = 1000,
    faults: Annotated[int, typer.Option(help="Events; 0 = one for every three batches, and each kind once at least.")] = 0,
    standin: Annotated[bool, typer.Option("--standin", help="No networks: 300 kills of workers, 60 of the broker.")] = False,
    small: Annotated[bool, typer.Option("--small", help="A shop of five products instead of the demo's.")] = False,
    minutes: Annotated[float, typer.Option(help="The run of events is given up after so long.")] = 45,
    out: Annotated[Path, typer.Option(help="Folder for the figures and the cache of compiled networks.")] = Path("bench-out"),
) -> None:
    """Let a job go through kills, frozen processes, a full broker, cut connections and new catalogs; print what became of it."""
    out.mkdir(parents=True, exist_ok=True)
    _end_by_itself(minutes * 60 + AFTERWARDS)
    folder = Path(tempfile.mkdtemp(prefix="packsight-chaos-"))
    name = f"chaos-{'standin-' * standin}{seed}"
    if standin:
        found = _with_standins(folder, seed, faults or 360, minutes * 60)
    else:
        found = _with_networks(folder, (out / "models").resolve(), seed, photos, faults, minutes * 60, small=small)
    found = {"seed": seed, "standin": standin, **_about(), **found}
    (out / f"{name}.json").write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    holds = found["in_time"] and not any(found[wrong] for wrong in ("lost", "doubled", "differing", "missing"))
    _show(found)
    say(f"wrote {out / name}.json" + ("" if holds else f"; logs are in {folder}"))
    if not holds:
        raise typer.Exit(1)
    shutil.rmtree(folder, ignore_errors=True)


def say(line: str) -> None:
    """Print what happens, with the time."""
    console.print(f"{datetime.now():%H:%M:%S} {line}", highlight=False, markup=False, soft_wrap=True)


def _with_standins(folder: Path, seed: int, count: int, bound: float) -> dict[str, Any]:
    with standins(folder, WORKERS) as stage:
        each = count * 5 // 12  # five of six kills are of a worker
        plan = kills(seed, [(WORKERS[0], each), (WORKERS[1], each), (BROKER, count - 2 * each)], KILL_EVERY)
        stage.send(TASKS_PER_KILL * count, seconds=0.08)
        return run(stage, Run(stage, plan, bound, say))


def _with_networks(
    folder: Path, models: Path, seed: int, photos: int, faults: int, bound: float, *, small: bool
) -> dict[str, Any]:
    say("drawing the shop")
    shop = few(folder / "shop") if small else demo(folder / "shop")
    batches = -(-photos // BATCH)
    events = everything(WORKERS, real=True)
    plan = mixed(seed, events, faults or max(len(events), batches // 3), batches)
    with real(folder, models, shop, photos, WORKERS, say) as stage:
        found = run(stage, Run(stage, plan, bound, say, apart=APART))
        return found | {"resumed_by_producer": stage.resumed, "feeds_written": stage.published}


def run(stage: Stage, of: Run) -> dict[str, Any]:
    """Let it happen, and return what is written."""
    began = time.time()
    in_time = of.go()
    judgement = stage.judge(say)
    with closing(Watch(stage)) as watch:
        return document(of, judgement, watch.ends(), began, in_time=in_time)


def _about() -> dict[str, Any]:
    return {
        "ended": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": machine.commit(),
        "machine": machine.machine(),
    }


def _show(found: dict[str, Any]) -> None:
    for name, times in found["recovery_s"].items():
        say(f"{name}: {times['count']} times, next batch ended after {times['median']} s, {times['worst']} s at worst")
    for kind in ("lost", "doubled", "differing"):
        for line in found["named"][kind]:
            say(f"{kind}: {line}")
    for line in (*found["died_by_themselves"], *found["missing"]):
        say(line)
    say(
        f"{found['photos']} photos in {found['seconds']} s, {len(found['done'])} of {found['planned']} events: "
        f"{found['lost']} lost, {found['doubled']} doubled, {found['differing']} differing"
    )


def _end_by_itself(seconds: float) -> None:
    """Unwind after so long, or where this process is to end, so that everything that was started is stopped."""

    def unwind(number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt(signal.strsignal(number))

    signal.signal(signal.SIGALRM, unwind)
    signal.signal(signal.SIGTERM, unwind)
    signal.setitimer(signal.ITIMER_REAL, seconds)


if __name__ == "__main__":
    typer.run(main)
