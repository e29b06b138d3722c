"""`python -m tests.fuzz`: damaged input for every reader; exit code 1 when one does anything but answer or name what is wrong."""

from __future__ import annotations

import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from bench import machine
from tests.fuzz.run import fuzz
from tests.fuzz.targets import TARGETS

console = Console(highlight=False, markup=False, soft_wrap=True)


def main(
    seed: Annotated[int, typer.Option(help="Makes all cases.")] = 1,
    count: Annotated[int, typer.Option(help="Images; of each other kind a quarter of it.")] = 10_000,
    queue: Annotated[int, typer.Option(help="Images that go through the whole queue, with real networks.")] = 300,
    only: Annotated[str, typer.Option(help=f"One of {', '.join(TARGETS)}.")] = "",
    out: Annotated[Path, typer.Option(help="Folder for the figures, and for the inputs of faults.")] = Path("bench-out"),
) -> None:
    """Read many damaged inputs; writes fuzz-SEED.json, or fuzz-SEED-KIND.json."""
    out.mkdir(parents=True, exist_ok=True)
    document: dict[str, Any] = {
        "seed": seed,
        "ended": "",
        "commit": machine.commit(),
        "machine": machine.machine(),
        "targets": {},
    }
    faults = 0
    with tempfile.TemporaryDirectory(prefix="packsight-fuzz-") as folder:
        for name in [only] if only else TARGETS:
            found = fuzz(name, seed, count if name == "images" else count // 4, Path(folder) / name, out / "fuzz")
            document["targets"][name] = _show(found.document())
            faults += len(found.faults)
        if queue and only in {"", "images"}:
            from tests.fuzz.queue import through_the_queue  # the networks are not needed by the others

            passed = through_the_queue(Path(folder) / "queue", (out / "models").resolve(), seed, queue)
            document["targets"]["images through the queue"] = _show(passed)
            faults += passed["faults"]
    document["ended"] = datetime.now(UTC).isoformat(timespec="seconds")
    path = out / f"fuzz-{seed}{f'-{only}' if only else ''}.json"
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    console.print(f"wrote {path}" + (f"; inputs of faults are in {out / 'fuzz'}" if faults else ""))
    raise typer.Exit(1 if faults else 0)


def _show(found: dict[str, Any]) -> dict[str, Any]:
    console.print(
        f"{found['target']}: {found['cases']} cases, slowest {found['slowest_s']} s (case {found['slowest']}), "
        f"{found['memory_mb']} MB at most, {found['faults']} faults"
    )
    for outcome, count in found["outcomes"].items():
        console.print(f"  {count:6}  {outcome}")
    return found


if __name__ == "__main__":
    typer.run(main)
