"""What a load needs, worked out from a measured run: `python -m bench.capacity bench-out/last.json`.

docs/capacity.md explains the formulas.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from bench import entry
from packsight.shared.contract.errors import UserError
from packsight.shared.settings import Worker

DAY = 86_400
GIB = 2**30


@dataclass(frozen=True)
class Figures:
    """What a run tells about one image, one child and one broker.

    rate_per_core: images a second; queue_rate: images a second that broker, transport and results bear on `cores` cores;
    broker_cpu: processor seconds of the broker per image; child_mb: resident; child_threads: cores that a child fills.
    """

    rate_per_core: float
    cores: int
    batch: int
    child_threads: int
    child_mb: float
    parent_mb: float
    photo_bytes: float
    result_bytes: float
    broker_cpu: float
    store_cpu: float
    queue_rate: float

    @classmethod
    def of(cls, document: dict[str, Any]) -> Figures:
        """Take them from last.json."""
        queue, machine, only = document["queue"], document["machine"], document["queue_only"]
        used = [part["cpu_seconds"] for part in queue["rounds"]]
        images = queue["images"]
        return cls(
            rate_per_core=queue["images_per_s"] / machine["cores"],
            cores=machine["cores"],
            batch=queue["batch"],
            child_threads=machine["threads"],
            child_mb=max(part["resident_mb"]["children"] for part in queue["rounds"]),
            parent_mb=max(part["resident_mb"]["worker parent"] for part in queue["rounds"]),
            photo_bytes=queue["photo_bytes"],
            result_bytes=queue["broker_bytes_per_image"],
            broker_cpu=only["cpu_seconds"]["valkey"] / (only["images"] + queue["batch"]),
            store_cpu=sum(part["seaweedfs"] for part in used) / images,
            queue_rate=only["images_per_s"],
        )


def read(run: Path) -> tuple[dict[str, Any], Figures]:
    """A run's document and what it tells; raises UserError for a file that cannot be read, or is none of a whole run."""
    try:
        document = json.loads(run.read_text(encoding="utf-8"))
        return document, Figures.of(document)
    except OSError as error:
        raise UserError(f"{run} cannot be read: {error.strerror}. Write it by `make bench`, or name another.") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UserError(f"{run} is no run of all configurations. Name the last.json that `make bench` has written.") from None


@dataclass(frozen=True)
class Need:
    """What a load of `per_second` images a second at its peak needs."""

    per_second: float
    cores: float
    machines: int
    children: int
    memory_gib: float
    messages_per_second: float
    broker_cores: float
    result_gib_per_hour: float
    store_gets_per_second: float
    store_mib_per_second: float
    core_hours_per_million: float


def estimate(
    figures: Figures, *, per_second: float, utilisation: float = 0.7, machine_cores: int = 16
) -> Need:
    """Work out a load; `utilisation` is the share of the cores that is planned to be busy at the peak."""
    cores = per_second / figures.rate_per_core / utilisation
    machines = math.ceil(cores / machine_cores)
    children = math.ceil(cores / figures.child_threads)
    return Need(
        per_second=per_second,
        cores=cores,
        machines=machines,
        children=children,
        memory_gib=((children + machines * Worker().spare) * figures.child_mb + machines * figures.parent_mb) * 1e6 / GIB,
        messages_per_second=per_second / figures.batch,
        broker_cores=per_second * figures.broker_cpu,
        result_gib_per_hour=per_second * 3600 * figures.result_bytes / GIB,
        store_gets_per_second=per_second,
        store_mib_per_second=per_second * figures.photo_bytes / 2**20,
        core_hours_per_million=1e6 / figures.rate_per_core / 3600,
    )


ROWS = {
    "cores": ("worker cores", "{:,.0f}"),
    "machines": ("machines", "{:,}"),
    "children": ("children", "{:,}"),
    "memory_gib": ("workers' memory, GiB", "{:,.0f}"),
    "messages_per_second": ("messages/s", "{:,.1f}"),
    "broker_cores": ("broker cores", "{:,.2f}"),
    "result_gib_per_hour": ("results kept, GiB per hour", "{:,.1f}"),
    "store_gets_per_second": ("object reads/s", "{:,.0f}"),
    "store_mib_per_second": ("object store to workers, MiB/s", "{:,.1f}"),
    "core_hours_per_million": ("core hours per million images", "{:,.0f}"),
}


def main(
    run: Annotated[Path, typer.Argument(help="last.json of a run.")] = Path("bench-out/last.json"),
    peak: Annotated[float, typer.Option(min=1.0, help="Peak hour of a day as a multiple of its mean.")] = 3.0,
    utilisation: Annotated[float, typer.Option(min=0.01, max=1.0, help="Share of the cores busy at the peak.")] = 0.7,
    machine_cores: Annotated[int, typer.Option(min=1, help="Cores of one worker machine.")] = 16,
    core_hour: Annotated[float, typer.Option(help="Price of a core hour; 0 = no prices.")] = 0.0,
    thousand_reads: Annotated[float, typer.Option(help="Price of 1,000 object reads.")] = 0.0,
) -> None:
    """Print what 1,000,000 photos a day and 1,000 a second need."""
    document, figures = read(run)
    console = Console()
    loads = {"1,000,000 a day": 1e6 / DAY * peak, "1,000 a second": 1000.0}
    needs = [
        estimate(figures, per_second=rate, utilisation=utilisation, machine_cores=machine_cores) for rate in loads.values()
    ]
    about = document["machine"]
    console.print(
        f"From {run} ({document['begun']}, commit {document['commit']}): {figures.rate_per_core:.2f} images/s per core of "
        f"{about['cpu']}; peak {peak:g} × the day's mean, cores {utilisation:.0%} busy at the peak.",
        highlight=False,
    )
    table = Table("", *loads, box=None)
    table.add_row("images/s at the peak", *(f"{need.per_second:,.1f}" for need in needs))
    for name, (title, form) in ROWS.items():
        table.add_row(title, *(form.format(getattr(need, name)) for need in needs))
    hours = {"hour": 1, "day": 24, "7 days": 168}
    means = [1e6 / DAY, 1000.0]
    for name, number in hours.items():
        kept = [rate * 3600 * number * figures.result_bytes / GIB for rate in means]
        table.add_row(f"broker memory, results kept 1 {name}".replace("1 7", "7"), *(f"{size:,.1f} GiB" for size in kept))
    if core_hour:
        cost = 1e6 / figures.rate_per_core / utilisation / 3600 * core_hour + 1000 * thousand_reads
        table.add_row("cost per million images", *[f"{cost:,.2f}"] * 2)
    console.print(table)
    share = loads["1,000 a second"] / figures.queue_rate
    console.print(
        f"One broker: {figures.queue_rate:,.0f} images/s measured with worker and results on the same {figures.cores} cores; "
        f"1,000 a second is {share:.0%} of it.",
        highlight=False,
    )


if __name__ == "__main__":
    entry.run(main)
