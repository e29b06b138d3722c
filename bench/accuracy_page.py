"""The figures of all sets as one table: in the terminal, and as docs/accuracy.md."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from packsight.producer.evaluation.wording import calibration

Set = Mapping[str, Any]

COMMAND = "python -m bench.sets DATA --write docs/accuracy.md"
WAYS = ("set", "answered by", "photos", "share", "matched and right", "precision", "processor s per photo")

_NAMED = 5
"""Ids that are named of those that a feed lacks."""

INTRODUCTION = f"""# Accuracy

How well packsight recognises labelled photos of several catalogs, over the queue as workers serve it. No figure on this page
is typed in by hand:

```
{COMMAND}
```

`DATA` is a folder of sets, each with a feed (`feed.xml`), photos of its products (`photos/<vendor code>/`) and labelled photos
(`labels.csv`); the photos are not part of the project. Each set is published as a catalog of its own with a running worker, its
photos are submitted as a job, and [evaluate](evaluate.md) says what the measures mean. Shares stand with their Wilson intervals
(95 %).
"""

_LEFT_OUT = (
    " Each set was served by a prior that was fitted without it (`bench.prior`)."
    " The codebook of key points has seen the photos that it was learned of, not their labels"
    " ([27](decisions/27-bytes-of-a-photo.md))."
)


def show(document: Mapping[str, Any], console: Console) -> None:
    """Print the tables."""
    names, rows = list(document["sets"]), list(measures(document["sets"].values()))
    _print(("", *names), rows, console)
    _print(WAYS, list(ways(document["sets"])), console)
    for line in (_pooled(document), *_lacking(document)):
        console.print(line, highlight=False, markup=False)


def markdown(document: Mapping[str, Any]) -> str:
    """The page."""
    about = document["machine"]
    parts = [
        INTRODUCTION,
        f"Measured on {document['date']} at commit {document['commit']}; {about['cpu']}, {about['cores']} cores, networks in "
        f"{document['precision']}."
        + (_LEFT_OUT if document.get("left_out") else "") + "\n",
        _table(("", *document["sets"]), list(measures(document["sets"].values()))),
        *(f"{line}\n" for line in (_pooled(document), *_lacking(document))),
        "## Which stages answered\n",
        "Processor seconds are those of the worker's children, for the photos of each row asked by themselves.\n",
        _table(WAYS, list(ways(document["sets"]))),
    ]
    return "\n".join(parts)


def measures(sets: Iterable[Set]) -> Iterator[tuple[str, ...]]:
    """One row per measure, one cell per set."""
    named: tuple[tuple[str, Callable[[Set], str]], ...] = (
        ("products, catalog photos", lambda one: f"{one['products']}, {one['catalog_photos']}"),
        ("photos of listed products, of absent ones", lambda one: f"{one['present']}, {one['absent']}"),
        ("**automation**: matched and right, of listed", lambda one: _share(one, "automation")),
        ("precision of matched", lambda one: _share(one, "precision")),
        ("automation at the best threshold for 0.98", lambda one: _best(one["best"])),
        ("automation with the feed's own pictures alone", lambda one: _feed_alone(one["feed_alone"])),
        ("right product first", lambda one: _share(one, "top1")),
        ("right or nearest product first", lambda one: _share(one, "top1_nearest")),
        ("absent products matched", lambda one: _of(one["absent_matched"]["k"], one["absent_matched"]["n"])),
        ("listed product dropped from the catalog, matched", lambda one: _matched(one["drop_nearest"])),
        ("calibration error", lambda one: calibration(one["calibration_error"], one["calibration_band"])),
        ("answered as with everything asked", lambda one: _of(one["early"]["same"], one["early"]["n"])),
        ("`matched` in one of the two, `no_match` in the other", lambda one: _of(one["early"]["lost"], one["early"]["n"])),
        ("processor s per photo, all processes", lambda one: f"{one['processor_seconds']:.3f}"),
        ("the same with everything asked", lambda one: f"{one['processor_seconds_of_everything']:.3f}"),
    )
    kept = list(sets)
    for name, cell in named:
        yield name, *map(cell, kept)


def ways(sets: Mapping[str, Set]) -> Iterator[tuple[str, ...]]:
    """One row per set and way, in the order of WAYS."""
    for name, one in sets.items():
        for way in one["stages"]:
            spent = way["processor_seconds"]
            yield (
                name,
                " + ".join(way["answered_by"]) or "none",
                str(way["count"]),
                f"{way['share']:.2f}",
                _value(way["automation"]),
                _value(way["precision"]),
                "–" if spent is None else f"{spent:.3f}",
            )


def _share(one: Set, name: str) -> str:
    if one[name] is None:
        return "–"
    counts, (low, high) = one["counts"][name], one["intervals"][name]
    return f"{one[name]:.3f} {counts['k']}/{counts['n']} ({low:.2f} to {high:.2f})"


def _best(best: Mapping[str, Any]) -> str:
    if best["threshold"] is None:
        return "no threshold"
    return f"{best['automation']:.3f} from {best['threshold']:.2f}"


def _feed_alone(measured: Set | None) -> str:
    if measured is None:
        return "–"
    return f"{_share(measured, 'automation')}, precision {_share(measured, 'precision')}, of {measured['catalog_photos']} photos"


def _matched(dropped: Mapping[str, Any]) -> str:
    return _of(dropped["count"] - dropped["k"], dropped["count"])


def _of(k: int, n: int) -> str:
    return f"{k} of {n}" if n else "–"


def _value(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _pooled(document: Mapping[str, Any]) -> str:
    together = document["pooled"]
    told = calibration(together["calibration_error"], together["calibration_band"])
    early = together["early"]
    return (
        f"Calibration error of all {together['count']} photos pooled: {told}. Answered as with everything asked: "
        f"{_of(early['same'], early['n'])}."
    )


def _lacking(document: Mapping[str, Any]) -> Iterator[str]:
    """What is not in the figures, and why."""
    for name, one in document["sets"].items():
        if (left_out := one["left_out"])["photos"]:
            ids = ", ".join(left_out["ids"][:_NAMED]) + (" …" if len(left_out["ids"]) > _NAMED else "")
            yield f"Photos of {name} left out, as labels name products that its feed does not list ({ids}): {left_out['photos']}."
    for name, why in document["failed"].items():
        yield f"Not measured: {name}. {why}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |".replace("|  |", "| |") for line in lines) + "\n"


def _print(head: Sequence[str], rows: Sequence[Sequence[str]], console: Console) -> None:
    table = Table(*head, box=None)
    for row in rows:
        table.add_row(*(cell.replace("**", "") for cell in row))
    console.print(table)
