"""(e) Stage by stage: what each part of an image's way costs when it runs alone, in one child's worth of threads."""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from typing import Any

from packsight.shared.settings import Settings


def run_stages(settings: Settings, references: Sequence[str], threads: int) -> dict[str, dict[str, Any]]:
    """Take photos through the stages of a child one after the other.

    Returns per stage: seconds per image, processor seconds per image, busy share of each core while it ran.
    """
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe(duplex=False)
    process = spawn.Process(target=_serve, args=(theirs, settings, list(references), threads), daemon=True)
    process.start()
    theirs.close()
    try:
        found: dict[str, dict[str, Any]] = ours.recv()
    except EOFError:
        raise RuntimeError("the process that measures the stages died; see its trace above") from None
    finally:
        process.join(10)
    return found


def _serve(pipe: Any, settings: Settings, references: list[str], threads: int) -> None:
    from bench.stages_child import serve  # noqa: PLC0415 - the networks' libraries load in the process that uses them

    serve(pipe, settings, references, threads)
