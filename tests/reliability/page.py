"""docs/reliability.md, made of the items and of what was measured."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.reliability.figures import Runs
from tests.reliability.items import ITEMS, WHOLE, Item

PAGE = Path(__file__).parents[2] / "docs/reliability.md"
NOTHING = "not measured"

INTRODUCTION = """# Reliability

What is known to go wrong in systems of this kind, what must be seen instead, the tests that look for it, and what long runs
measured. No figure on this page is typed in by hand:

```
make chaos SEED=1       # a job of 1,000 photos through kills, frozen processes, a full broker, cut connections, new catalogs
make chaos STANDIN=1    # without networks: 300 kills of workers, 60 of the broker
make fuzz SEED=1        # damaged photos, feeds, tables, lists, messages and catalogs
make soak               # 20,000 mixed photos
make reliability        # takes their figures from bench-out/ and writes this page
```

Each run starts servers and workers of its own on loopback, ends by itself, and fails where something is not as it must be. The
same seed makes the same plan or the same damage again. A line adds up runs of one commit, the latest that was measured. "Made to
fail by" names a change of the code at which a test of the item was seen to fail.
"""


def page(runs: Runs) -> str:
    """The page."""
    lines = [INTRODUCTION, "## All together\n", "| | figure | date, commit |", "| --- | --- | --- |"]
    lines += [f"| {name} | {text or NOTHING} | {date or '–'} |" for name, (text, date) in ((n, f(runs)) for n, f in WHOLE)]
    for number, item in enumerate(ITEMS, start=1):
        lines += ["", f"## {number}. {item.title}\n", item.must, "", *_table(item, runs)]
    return "\n".join([*lines, ""])


def _table(item: Item, runs: Runs) -> Iterator[str]:
    yield "| | |"
    yield "| --- | --- |"
    yield f"| tests | {'<br>'.join(f'`{test}`' for test in item.tests)} |"
    yield f"| made to fail by | {item.breaks} |"
    for figure in item.figures:
        text, date = figure(runs)
        yield f"| measured | {f'{text} ({date})' if text else NOTHING} |"
