"""The figures of all sizes as a page."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bench.invented import SIBLINGS

COMMAND = "python -m bench.scale {} --asked {}{} --write docs/scale.md"
PHASES = ("photos", "words", "projection", "vectors", "index", "details", "fit", "seal", "all")
FILES = {
    "details.": "key points: index", "descriptors": "key points: descriptors", "points": "key points: places",
    "thumbnails": "thumbnails", "vectors": "vectors", "index": "vectors: index", "projection": "vectors: projection",
    "line_boxes": "words: places of lines", "line_": "words: lines", "photo_terms": "words: of photos",
    "deletions": "words: misread ones",
    "photos": "photos", "photo_starts": "photos", "photo_product": "photos", "photo_row": "photos", "row_photo": "photos",
    "products": "products", "prices": "prices", "texts": "texts that are shown",
}  # fmt: skip
"""What a file holds, by how its name begins, that of its segment aside; all others hold words of products."""
_OF_SEGMENT = re.compile(r"s[0-9]{4,9}\.")
_REST = "words: of products, and the rest"

INTRODUCTION = """# Scale

What a catalog costs by its size. No figure on this page is typed in by hand:

```
{command}
```

The catalogs are invented (`bench/invented.py`): families of {siblings} siblings of which one is not listed, two photos of a
product, {points} key points and a dozen lines of print on each, misreadings, one name in twelve in letters that are not read. The
photos asked about are none of the catalog's: noisier copies, a quarter of their lines lost, every fifth of a product that is not
listed.
Embeddings, key points and words are made up, so nothing here says how well photos are recognised ([accuracy](accuracy.md) does).
Seconds and milliseconds are those of the processor on one core.

Measured on {cpu}.
"""


def markdown(document: Mapping[str, Any]) -> str:
    """The page."""
    sizes, network = document["sizes"], document["network_ms"]
    heads = [f"{one['photos']:,} photos" for one in sizes]
    swaps = document["swaps"]
    swapped = f" --swapped {swaps[0]['photos']}" if swaps else ""
    command = COMMAND.format(" ".join(str(one["photos"]) for one in sizes), document["asked"], swapped)
    parts = [
        INTRODUCTION.format(
            command=command,
            siblings=SIBLINGS,
            points=document["points"],
            cpu=document["machine"]["cpu"],
        ),
        "## Building a version\n\nSeconds, and the most memory of the process's own meanwhile (mapped files aside). Inventing "
        "the photos is left out of the seconds.\n",
        table(("", *heads), [("measured", *(f"{one['date']}, {one['commit']}" for one in sizes)), *_build(sizes)]),
        "## Bytes per photo\n",
        table(("", *heads), _files(sizes)),
        "## Asking\n\nMilliseconds for a photo, median and 95th percentile; words as if none of them had been looked up before."
        + (f" The networks take {network} ms for a drawn photo of which every line is read.\n" if network else "\n"),
        table(("", *heads), _asking(sizes, network)),
        "## Holding and changing\n",
        table(("", *heads), _holding(sizes)),
        *_swaps(swaps),
        "## The same vectors beside others\n\nA batch of 16 photos, none of which is in the catalog, 64 vectors wanted for each, "
        "and how often the nearest came first. Parameters are the smallest that reach 0.99.\n",
    ]
    for head, one in zip(heads, sizes, strict=True):
        rows = [
            (row["name"], f"{row['batch_ms']:.2f}", f"{row['recall']:.3f}", _number(row, "build_s"), _number(row, "memory_mb"))
            for row in one["search"]
        ]
        parts.append(table((head, "ms for 16", "recall in first place", "build s", "memory MB"), rows))
    return "\n".join(parts)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _build(sizes: Sequence[Mapping[str, Any]]) -> Iterable[Sequence[str]]:
    for phase in PHASES:
        yield phase, *(f"{one['phases'][phase]['cpu_seconds']:,} s, {one['phases'][phase]['peak_mb']:,} MB" for one in sizes)
    yield "of that: libraries, rows of products and photos", *(f"{one['libraries_mb']}, {one['rows_mb']} MB" for one in sizes)
    yield "index, its recall by the build", *(f"{one['index']}, {one['recall']}" for one in sizes)


def _files(sizes: Sequence[Mapping[str, Any]]) -> Iterable[Sequence[str]]:
    kinds = list(dict.fromkeys((*FILES.values(), _REST)))
    sums: list[dict[str, float]] = [dict.fromkeys(kinds, 0.0) for _ in sizes]
    for one, of_kind in zip(sizes, sums, strict=True):
        for name, size in one["files"].items():
            of_kind[kind(name)] += size / one["photos"]
    for what in kinds:
        yield what, *(f"{of_kind[what]:,.0f}" for of_kind in sums)
    yield "**all**", *(f"**{one['bytes_per_photo']:,}**" for one in sizes)


def kind(file: str) -> str:
    """What a file of a version holds."""
    own = _OF_SEGMENT.sub("", file, count=1)
    return next((what for start, what in FILES.items() if own.startswith(start)), _REST)


def _asking(sizes: Sequence[Mapping[str, Any]], network: float | None) -> Iterable[Sequence[str]]:
    for name in sizes[0]["asking"]["ms"]:
        ms = [one["asking"]["ms"][name] for one in sizes]
        shares = [f" ({one['p95'] / network:.1%} of the networks)" if network else "" for one in ms]
        yield name, *(f"{one['p50']}, {one['p95']}{share}" for one, share in zip(ms, shares, strict=True))
    yield "questions until enough was read", *(f"{one['asking']['questions']:.1f}" for one in sizes)
    yield "right product first", *(f"{one['asking']['right_first']:.3f}" for one in sizes)
    yield "right product among those by words", *(f"{one['asking']['right_by_words']:.3f}" for one in sizes)


def _holding(sizes: Sequence[Mapping[str, Any]]) -> Iterable[Sequence[str]]:
    yield "opening, ms", *(f"{one['open_ms']}" for one in sizes)
    yield "finding what of the names is to be seen, once, ms", *(f"{one['names_ms']}" for one in sizes)
    yield "memory of its own of a further child, MB", *(f"{one['further_child_mb']}" for one in sizes)
    changes = [one.get("change") for one in sizes]
    if any(changes):
        yield (
            "brought by a host where 1 % of the products have other photos",
            *(f"{one['bytes'] / 1e6:,.1f} MB, {one['share']:.1%}" if one else "not measured" for one in changes),
        )


def _swaps(swaps: Sequence[Mapping[str, Any]]) -> Iterable[str]:
    if not swaps:
        return
    yield (
        f"## Handing a version of {swaps[0]['photos']:,} photos to a running worker\n\nSeconds by the clock from the move of the "
        "pointer until every child answers from it, while drawn photos are recognised, two in a message; and those in which the "
        "files that the host lacks are copied and hashed on the same disk, likewise. Processor seconds meanwhile: those of the "
        "worker's parent, which fetches, and of object storage, which is on this machine too.\n"
    )
    rows = [
        (
            what, f"{one['bytes'] / 1e6:,.1f} MB", f"{one['seconds']:.2f}", f"{one['copying_seconds']:.2f}",
            *(f"{one['cpu_seconds'][who]:.2f}" for who in ("host", "store")),
            f"{one['photos_per_s']:.2f}", f"{one['photos_per_s_meanwhile']:.2f}", f"{one['failed']}",
        )
        for what, one in zip(("all of it", "1 % of the products have other photos"), swaps, strict=True)
    ]  # fmt: skip
    head = (
        "the host lacks", "bytes", "s", "copying and hashing, s", "processor s of the host", "of the store", "photos/s before",
        "meanwhile", "failed",
    )  # fmt: skip
    yield table(head, rows)


def _number(row: Mapping[str, Any], name: str) -> str:
    return f"{row[name]:,}" if name in row else ""
