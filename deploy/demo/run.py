"""The demo run: everything through the `packsight` command line, as a user would, in a stack of its own."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from packsight.deploy.demo.baseline import histogram_top1
from packsight.deploy.demo.score import ENOUGH, MEANINGS, Score, score
from packsight.deploy.demo.shop.dataset import generate
from packsight.deploy.display import page_of
from packsight.deploy.stack import services
from packsight.deploy.stack.room import scarce
from packsight.deploy.stack.state import StackFolder
from packsight.shared import launch
from packsight.shared.contract.errors import SOME_FAILED, UserError
from packsight.shared.contract.outcomes import Status
from packsight.shared.tables.labels import Label

_TAKEN_OVER = ("PACKSIGHT_MODELS__", "PACKSIGHT_WORKER__")
"""Settings of the user that hold in the demo too; all others may belong to a stack that it must not touch."""
_STORAGE = "PACKSIGHT_S3__"
"""Settings that hold beside where SeaweedFS has no build, in a bucket of the demo's own."""
_BUCKET = "packsight-demo"
_SHOWN = 12
"""Wrong answers that are listed."""
_RESULTS, _TABLE, _REPORT, _ANSWER, _EVALUATION = (
    "results.jsonl", "results.csv", "report.html", "answer.html", "evaluation.html"
)  # fmt: skip


def run(folder: Path, seed: int, console: Console, *, keep: bool = False, compare: bool = False) -> bool:
    """Run the demo in `folder`; True when every photo has an outcome and enough of them are right.

    keep: whether its stack stays up when all went well; compare: whether other ways of deciding are measured beside. The stack is
    stopped at the end otherwise, also after a failure, Ctrl-C or SIGTERM.

    Raises UserError when a demo already runs in this folder or a step fails.
    """
    home = StackFolder(folder / ".packsight")
    if home.load().running():
        raise UserError(f"A demo is running in {folder}. Wait for it, or stop it with `packsight down --home {home.root}`.")
    shutil.rmtree(home.data, ignore_errors=True)
    for output in (_RESULTS, _TABLE, _REPORT, _ANSWER, _EVALUATION):
        (folder / output).unlink(missing_ok=True)
    if lacking := scarce(folder, objects=services.weed() is not None):
        raise UserError(f"{lacking}. Make room, or run the demo in another folder.")
    began = time.monotonic()
    shop = folder / "shop"
    shutil.rmtree(shop, ignore_errors=True)
    console.rule("Drawing a shop")
    labels = generate(shop, seed, watch=lambda shots, many: track(shots, "photos", many, console=console))
    console.print(f"{len(labels)} query photos in {shop} ({time.monotonic() - began:.0f} s)", highlight=False)
    with _stack(home, console, keep=keep) as environment:
        console.rule("Publishing its catalog")
        _packsight(environment, "catalog", "sync", "--feed", str(shop / "feed.xml"))
        console.rule("Recognising its customers' photos")
        outputs = ("--out", str(folder / _RESULTS), "--out", str(folder / _TABLE), "--report", str(folder / _REPORT))
        _packsight(environment, "submit", str(shop / "queries"), "--wait", *outputs)
        rows = [json.loads(line) for line in (folder / _RESULTS).read_text().splitlines()]
        reached = score(labels, rows)
        if compare:
            console.rule("Comparing ways of deciding")
            _packsight(environment, "evaluate", str(shop / "labels.csv"), "--ablation", "--html", str(folder / _EVALUATION))
        console.rule("How it went")
        _show(console, reached, histogram_top1(shop, labels))
        first = next((row for row in rows if row["status"] == Status.MATCHED), None)
        if first:
            console.rule("The first photo that matched, and why")
            _packsight(environment, "explain", first["job"], first["name"], "--out", str(folder / _ANSWER))
    console.print(f"{time.monotonic() - began:.0f} s in all", highlight=False)
    _point(console, folder, home if keep else None, first and str(first["name"]))
    return reached.passed


@contextlib.contextmanager
def _stack(home: StackFolder, console: Console, *, keep: bool) -> Iterator[Mapping[str, str]]:
    """A stack of the demo's own, with the environment in which the command line finds it; keep: leave it when nothing failed."""
    environment = environment_of(home, os.environ)
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    stays = False
    try:
        console.rule("Starting a stack")
        _packsight(environment, "up", "--home", str(home.root), told=False)  # what it says to do next, the demo does
        yield environment
        stays = keep
    finally:
        # An interrupt during the stopping would leave processes behind.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        keyboard = signal.signal(signal.SIGINT, signal.SIG_IGN)
        if not stays:
            console.rule("Stopping")
            _packsight(environment, "down", "--home", str(home.root))
        signal.signal(signal.SIGINT, keyboard)
        signal.signal(signal.SIGTERM, before)


def environment_of(home: StackFolder, given: Mapping[str, str]) -> dict[str, str]:
    """The environment of the demo's commands, in which they find its stack and nothing of another."""
    taken = _TAKEN_OVER if services.weed() else (*_TAKEN_OVER, _STORAGE)
    found = {name: value for name, value in given.items() if name.startswith(taken) or not name.startswith("PACKSIGHT_")}
    found["PACKSIGHT_STACK_FILE"] = str(home.env_file)
    found.setdefault("PACKSIGHT_MODELS__CACHE_DIR", str(home.root / "models"))
    if f"{_STORAGE}ENDPOINT" in found:
        found[f"{_STORAGE}BUCKET"] = _BUCKET
    return found


def _packsight(environment: Mapping[str, str], *arguments: str, told: bool = True) -> None:
    """Run a command; it says itself what went wrong. told: whether its results are shown, too. Raises UserError when it fails."""
    results = None if told else subprocess.DEVNULL
    done = subprocess.run(launch.python("packsight", *arguments), env=environment, stdout=results, check=False)  # noqa: S603
    if done.returncode not in (0, SOME_FAILED):  # some of the demo's photos cannot be read
        raise UserError(f"The demo ends here: `packsight {' '.join(arguments)}` failed with code {done.returncode}.")


def _show(console: Console, reached: Score, histogram: float) -> None:
    table = Table("Photo of a product that is …", "Right", "Photos", box=None, pad_edge=False)
    for count in reached.counts:
        table.add_row(MEANINGS[count.group], f"{count.right}", f"{count.photos}")
    console.print(table)
    for label, outcome in reached.wrong[:_SHOWN]:
        found = outcome.candidates[0].product.name if outcome.candidates else "nothing"
        console.print(f"wrong: {label.image} ({_what(label)}): {outcome.status}, {found}", highlight=False)
    if len(reached.wrong) > _SHOWN:
        console.print(f"and {len(reached.wrong) - _SHOWN} more", highlight=False)
    codes = ", ".join(f"{code} × {number}" for code, number in sorted(reached.failures.items()))
    console.print(f"Failed with a code: {codes or 'none'}", highlight=False)
    if reached.missing:
        console.print(f"[red]Without an outcome:[/] {', '.join(reached.missing)}", highlight=False)
    console.print(
        f"Right product first, of what is sold here: {reached.first:.0%} (nearest colour histogram: {histogram:.0%})",
        highlight=False,
    )
    colour = "green" if reached.passed else "red"
    console.print(f"[{colour}]{reached.share:.1%} of all answers right[/] (promised: {ENOUGH:.0%})", highlight=False)


def _point(console: Console, folder: Path, running: StackFolder | None, matched: str | None) -> None:
    """Say where to look, and what to type next; running: the stack that stays up; matched: a photo that was recognised."""
    command = "packsight" if shutil.which("packsight") else shlex.quote(str(Path(sys.executable).with_name("packsight")))

    def say(text: str) -> None:
        console.print(text, highlight=False, soft_wrap=True)  # whole lines, which can be pasted

    console.rule("And now")
    if matched:
        say(f"One answer and why:   {(folder / _ANSWER).resolve().as_uri()}")
    say(f"All answers:          {(folder / _REPORT).resolve().as_uri()}")
    say(f"The same as tables:   {folder / _TABLE}, {folder / _RESULTS}\n")
    if running:
        say("The stack is still running:")
        say(f"  export PACKSIGHT_STACK_FILE={shlex.quote(str(running.env_file))}")
        say(f"  {command} status")
        if matched:
            say(f"  {command} explain {shlex.quote(matched)}")
        say(f"  {command} down --home {shlex.quote(str(running.root))}\n")
    say("With a shop and photos of your own, in a folder of their own:")
    say(f"  {command} up")
    say(f"  {command} catalog sync --feed feed.xml")
    say(f"  {command} submit photos/ --wait --out results.csv --report report.html\n")
    if running and (page := page_of(running, running.load())):
        say("In a browser, where photos of your own can be dropped:")
        say(page)


def _what(label: Label) -> str:
    return f"{';'.join(label.kinds)} {label.product_id}".strip()
