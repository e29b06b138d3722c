"""The figures of a run for people."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from bench.accuracy_page import WAYS, ways
from bench.roofline import show_roofline


def show(document: dict[str, Any], console: Console) -> None:
    """Print a run."""
    about = document["machine"]
    console.rule("Result")
    console.print(
        f"{about['cpu']}, {about['cores']} cores, {' '.join(about['flags'])}; {about['children']} children × "
        f"{about['threads']} threads; photos: {document['photos']['set']}",
        highlight=False,
    )
    table = Table("", "images/s", "images", "seconds", "right first", "not in catalog: not matched", box=None)
    for name, key in (("whole queue", "queue"), ("whole queue, all lines read", "queue_read_all"),
                      ("whole queue, photos seen before", "queue_seen_before"), ("same networks alone (upper bound)", "limit"),
                      ("same pipeline without the queue, all lines read", "direct"),
                      ("baseline", "plain"), ("queue without networks", "queue_only")):  # fmt: skip
        part, right = document[key], document["accuracy"].get(key, {})
        table.add_row(
            name, f"{part['images_per_s']:.2f}", f"{part['images']}", f"{part['seconds']:.1f}",
            _share(right.get("top1")), _share(right.get("absent_rejected")),
        )  # fmt: skip
    console.print(table)
    console.print(
        f"queue ÷ upper bound  {document['queue_to_limit_ratio']:.3f}; both reading all lines "
        f"{document['read_all_to_limit_ratio']:.3f}; queue ÷ pipeline, both reading all lines "
        f"{document['read_all_to_direct_ratio']:.3f}",
        highlight=False,
    )
    console.print(
        f"queue ÷ queue reading all lines  {document['queue_to_read_all_ratio']:.2f}; "
        f"reading stopped on {document['queue']['reading_stopped_share']:.0%} of the photos",
        highlight=False,
    )
    console.print(f"queue ÷ baseline  {document['queue_to_plain_ratio']:.2f}", highlight=False)
    busy = " and ".join(f"{document[key]['cpu_seconds_per_image'] * 1000:.0f} ms ({name})" for key, name in
                        (("queue", "whole queue with its servers"), ("limit", "networks alone")))  # fmt: skip
    console.print(f"processor time per image: {busy}", highlight=False)
    console.print(f"[dim]{note(document)}[/]", highlight=False)
    answered = Table(*WAYS, box=None)
    for row in ways({document["photos"]["set"]: {"stages": document["ways"]}}):
        answered.add_row(*row)
    console.print(answered)
    stages = Table("stage, alone", "ms/image", "cpu ms/image", "busy per core", box=None)
    for name, lap in document["stages"].items():
        busy = " ".join(f"{share:.0%}" for share in lap["busy_per_core"])
        stages.add_row(name, f"{lap['seconds'] * 1000:.1f}", f"{lap['cpu_seconds'] * 1000:.1f}", busy)
    console.print(stages)
    show_roofline(document["roofline"], console)
    usage = Table("whole queue, round", "images/s", "cores busy", "cpu seconds", "resident MB", box=None)
    for number, part in enumerate(document["queue"]["rounds"], start=1):
        usage.add_row(f"{number}", f"{part['images_per_s']:.2f}", f"{part['busy']:.1%}", _named(part["cpu_seconds"]),
                      _named(part["resident_mb"]))  # fmt: skip
    console.print(usage)


def note(document: dict[str, Any]) -> str:
    """What must be known to read the baseline's figures."""
    if document["plain"]["weights"] == "random":
        return (
            "The baseline's ResNet-50 has random weights, since torchvision's are not on this machine: same cost, but "
            "its looks tell nothing, so its accuracy is that of its words."
        )
    return "The baseline's ResNet-50 has torchvision's weights."


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"


def _named(values: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.0f}" for name, value in values.items())
