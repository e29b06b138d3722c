"""The demo run: everything through the `packsight` command line, as a user would, in a stack of its own."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType

from rich.console import Console
from rich.table import Table

from packsight.deploy.demo.baseline import histogram_top1
from packsight.deploy.demo.score import ENOUGH, MEANINGS, Score, score
from packsight.deploy.demo.shop.dataset import generate
from packsight.deploy.stack.state import StackFolder
from packsight.shared import launch
from packsight.shared.contract.errors import SOME_FAILED, UserError
from packsight.shared.tables.labels import Label

_TAKEN_OVER = ("PACKSIGHT_MODELS__", "PACKSIGHT_WORKER__")
"""Settings of the user that hold in the demo too; all others may belong to a stack that it must not touch."""
_SHOWN = 12
"""Wrong answers that are listed."""
_OUTPUTS = ("results.jsonl", "results.csv", "report.html", "evaluation.html")


def run(folder: Path, seed: int, console: Console) -> bool:
    """Run the demo in `folder`; True when every photo has an outcome and enough of them are right.

    Its stack is stopped at the end, also after a failure, Ctrl-C or SIGTERM. Raises UserError when a demo already runs
    in this folder or a step fails.
    """
    home = StackFolder(folder / ".packsight")
    if home.load().running():
        raise UserError(f"A demo is running in {folder}. Wait for it, or stop it with `packsight down --home {home.root}`.")
    shutil.rmtree(home.data, ignore_errors=True)
    for output in _OUTPUTS:
        (folder / output).unlink(missing_ok=True)
    began = time.monotonic()
    shop = folder / "shop"
    shutil.rmtree(shop, ignore_errors=True)
    console.rule("Drawing a shop")
    labels = generate(shop, seed)
    console.print(f"{len(labels)} query photos in {shop} ({time.monotonic() - began:.0f} s)", highlight=False)
    with _stack(home, console) as environment:
        console.rule("Publishing its catalog")
        _packsight(environment, "catalog", "sync", "--feed", str(shop / "feed.xml"))
        console.rule("Recognising its customers' photos")
        jsonl, table, report, evaluation = (str(folder / output) for output in _OUTPUTS)
        _packsight(environment, "submit", str(shop / "queries"), "--wait", "--out", jsonl, "--out", table, "--report", report)
        console.rule("Comparing ways of deciding")
        _packsight(environment, "evaluate", str(shop / "labels.csv"), "--ablation", "--html", evaluation)
        console.rule("Stopping")
    rows = [json.loads(line) for line in (folder / _OUTPUTS[0]).read_text().splitlines()]
    reached = score(labels, rows)
    _show(console, folder, reached, histogram_top1(shop, labels))
    console.print(f"{time.monotonic() - began:.0f} s in all", highlight=False)
    return reached.passed


@contextlib.contextmanager
def _stack(home: StackFolder, console: Console) -> Iterator[Mapping[str, str]]:
    """A stack of the demo's own, with the environment in which the command line finds it."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if name.startswith(_TAKEN_OVER) or not name.startswith("PACKSIGHT_")
    }
    environment["PACKSIGHT_STACK_FILE"] = str(home.env_file)
    environment.setdefault("PACKSIGHT_MODELS__CACHE_DIR", str(home.root / "models"))

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        console.rule("Starting a stack")
        _packsight(environment, "up", "--home", str(home.root))
        yield environment
    finally:
        # An interrupt during the stopping would leave processes behind.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        keyboard = signal.signal(signal.SIGINT, signal.SIG_IGN)
        _packsight(environment, "down", "--home", str(home.root))
        signal.signal(signal.SIGINT, keyboard)
        signal.signal(signal.SIGTERM, before)


def _packsight(environment: Mapping[str, str], *arguments: str) -> None:
    """Run a command; it says itself what went wrong. Raises UserError when it fails."""
    done = subprocess.run(launch.python("packsight", *arguments), env=environment, check=False)  # noqa: S603
    if done.returncode not in (0, SOME_FAILED):  # some of the demo's photos cannot be read
        raise UserError(f"The demo ends here: `packsight {' '.join(arguments)}` failed with code {done.returncode}.")


def _show(console: Console, folder: Path, reached: Score, histogram: float) -> None:
    table = Table("Photo of a product that is …", "Right", "Photos", box=None, pad_edge=False)
    for count in reached.counts:
        table.add_row(MEANINGS[count.group], f"{count.right}", f"{count.photos}")
    console.rule("Evaluation")
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
    console.print(f"Look at {', '.join(str(folder / output) for output in _OUTPUTS)}", highlight=False)


def _what(label: Label) -> str:
    return f"{';'.join(label.kinds)} {label.product_id}".strip()
