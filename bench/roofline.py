"""(f) The networks' arithmetic: how much of it a photo needs, and how fast they do it beside a plain matrix product."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench import machine
from bench.photos import PhotoSet, sample
from bench.spawned import ask
from bench.testbed import testbed
from packsight.shared.contract.errors import UserError
from packsight.shared.settings import Runtime, Settings


def run(folder: Path, models: Path, photos: PhotoSet, count: int, console: Console) -> dict[str, Any]:
    """Only this, on so many photos, with the threads that a worker's child has."""
    document = machine.conditions()
    with testbed(folder, models) as on:
        found = run_roofline(on.settings, sample(photos.usable(), count), machine.divided(on.settings.worker)["threads"])
    if not found:
        raise UserError("OpenVINO does not run all networks of these settings, so their arithmetic is not counted.")
    show_roofline(found, console)
    return document | found


def run_roofline(settings: Settings, photos: Sequence[Path], threads: int) -> dict[str, Any]:
    """Count and time the networks' arithmetic on these photos, all lines read; empty where OpenVINO does not run all of them.

    All rates are operations per processor second, so that neither the number of threads nor a busy machine matters much.
    """
    if settings.models.runtime is Runtime.TORCH or settings.models.spotter != "ppocr":
        return {}
    found: dict[str, Any] = ask(_measured, settings, list(photos), threads)
    return found


def show_roofline(found: dict[str, Any], console: Console) -> None:
    """Print it."""
    if not found:
        return
    precision = found["precision"]
    table = Table(
        "networks, alone", "GFLOP/photo", "cpu ms/photo", "GFLOP/s", "÷ sgemm", f"÷ product in {precision}", box=None
    )
    for name, part in found["networks"].items():
        table.add_row(
            name, f"{part['gflop']:.2f}", f"{part['cpu_seconds'] * 1000:.1f}", f"{part['gflop_per_s']:.0f}",
            f"{part['to_sgemm']:.2f}", f"{part['to_product']:.2f}",
        )  # fmt: skip
    console.print(table)
    console.print(
        f"a core's matrix product: {found['sgemm_gflop_per_s']:.0f} GFLOP/s by NumPy (sgemm), "
        f"{found['product_gflop_per_s']:.0f} by OpenVINO in {precision}, as it runs the networks",
        highlight=False,
    )


def _measured(settings: Settings, photos: list[Path], threads: int) -> dict[str, Any]:
    from bench.roofline_child import measure  # noqa: PLC0415 - the networks' libraries load in the process that uses them

    return measure(settings, photos, threads)
