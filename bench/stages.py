"""(e) Stage by stage: what each part of an image's way costs when it runs alone, in one child's worth of threads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.spawned import ask
from packsight.shared.settings import Settings


def run_stages(settings: Settings, references: Sequence[str], threads: int) -> dict[str, dict[str, Any]]:
    """Take photos through the stages of a child one after the other.

    Returns per stage: seconds per image, processor seconds per image, busy share of each core while it ran.
    """
    found: dict[str, dict[str, Any]] = ask(_measured, settings, list(references), threads)
    return found


def _measured(settings: Settings, references: list[str], threads: int) -> dict[str, dict[str, Any]]:
    from bench.stages_child import measure  # noqa: PLC0415 - the networks' libraries load in the process that uses them

    return measure(settings, references, threads)
