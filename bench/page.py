"""`python -m bench.page`: the page of a large job in Chromium, and the memory of the server that renders it.

Servers are the benchmark's own, the page is that of `packsight serve`. No network runs: photos are drawn, their outcomes made up
and stored as workers store theirs. Ends with 1 where the page takes longer than a second.
"""

from __future__ import annotations

import json
import secrets
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import psutil
import typer
from rich.console import Console
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from bench import entry, machine
from bench.browser import chromium, sign_in, wait
from bench.testbed import Testbed, door, testbed
from packsight.producer.client import Client
from packsight.producer.http.accounts import Accounts
from packsight.producer.http.rights import Right
from packsight.shared.contract.errors import UserError
from packsight.shared.contract.outcomes import Outcome
from packsight.shared.storage.jobs import Job
from tests.answered import drawn, store_job

console = Console()
LIMIT = 1.0
"""Seconds after which a person's thought is no longer uninterrupted (Nielsen, Usability Engineering, 1993)."""
TURNS = 5
"""How often the page is opened and filtered, and opened and searched."""
READING = 900
"""Seconds within which all answers must have been read."""
WHO = "ann"

_PAINT = "return performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
_READS = "return Boolean(document.querySelector('[data-poll]'))"
_ROWS = "return location.search.includes(arguments[0]) && document.querySelectorAll('.results li').length"
"""The address follows when the rows are there."""


def main(
    rows: Annotated[int, typer.Option(min=1, help="Photos of the job.")] = 10_000,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all figures here.")] = None,
) -> None:
    """Measure, and print the figures."""
    conditions = machine.conditions()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="packsight-page-")))
        on = stack.enter_context(testbed(folder, folder / "models"))
        with console.status(f"Storing {rows:,} outcomes"):
            outcomes = drawn(rows)
            job = _stored(on, outcomes)
        server = stack.enter_context(door(on))
        password = secrets.token_hex(12)
        Accounts(on.settings.home).add_person(WHO, password, frozenset(Right), None)
        browser = stack.enter_context(chromium())
        sign_in(browser, server.spec.url, "/jobs", WHO, password)
        visit = Visit(browser, f"{server.spec.url}/jobs/{job.id}")
        figures = measured(visit, psutil.Process(server.process.pid), outcomes)
        (index,) = (on.settings.home / "http/jobs").glob(f"{job.id}-*.sqlite")
        document = {**conditions, "rows": rows, **figures, "index_mb": round(index.stat().st_size / 1e6, 1)}
    console.print_json(json.dumps(document))
    if json_file:
        entry.save(json_file, document)
    if late := slow(document["seconds"]):
        raise UserError(f"More than {LIMIT:g} s: {', '.join(late)}. Measure beside less other work, or mend the page.")


class Visit:
    """Somebody who looks at a job in a browser; what is done is measured in seconds."""

    def __init__(self, browser: webdriver.Chrome, address: str) -> None:
        self.browser, self.address = browser, address

    def paint(self) -> float:
        """Open the page of the job: until first contents are painted."""
        self.browser.get(self.address)
        return float(wait(self.browser, lambda _: self.browser.execute_script(_PAINT))) / 1000

    @property
    def reads(self) -> bool:
        """Whether the page says that not all answers have been read."""
        return bool(self.browser.execute_script(_READS))

    def search(self, text: str) -> float:
        """Search for a text: from its first key to the rows."""
        field = self.browser.find_element(By.NAME, "q")
        return self._until_rows(lambda: field.send_keys(text), f"q={text}")

    def filter(self) -> float:
        """Have the photos of one status shown: from the key that chooses it to the rows."""
        field = self.browser.find_element(By.NAME, "status")
        return self._until_rows(lambda: field.send_keys(Keys.END), "status=")

    def _until_rows(self, act: Callable[[], object], address: str) -> float:
        begun = time.perf_counter()
        act()
        wait(self.browser, lambda _: self.browser.execute_script(_ROWS, address))
        return time.perf_counter() - begun


def measured(visit: Visit, server: psutil.Process, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Open the page of a job for the first time and, when its answers have been read, search and filter it."""
    before, spent, begun = server.memory_info().rss, _processor(server), time.perf_counter()
    first, meanwhile = visit.paint(), []
    while visit.reads:
        if time.perf_counter() - begun > READING:
            raise UserError(f"The answers were not read within {READING} s. The log of the server may say why.")
        time.sleep(1)
        meanwhile.append(visit.paint())
    read = {"reading": time.perf_counter() - begun, "server_processor": _processor(server) - spent}
    seconds: dict[str, list[float]] = {"first paint": [], "filter": [], "search": []}
    known = [one.words[-1].text for one in outcomes if one.words][:TURNS]
    for text in known:
        seconds["first paint"].append(visit.paint())
        seconds["filter"].append(visit.filter())
        seconds["first paint"].append(visit.paint())
        seconds["search"].append(visit.search(text))
    after = server.memory_info().rss
    return {
        "seconds": {"first visit": _few([first]), **{name: _few(some) for name, some in seconds.items()}},
        "first_paint_while_answers_are_read": _few(meanwhile),
        **{f"{name}_s": round(value, 1) for name, value in read.items()},
        "server_resident_mb": {"before": round(before / 1e6), "after": round(after / 1e6)},
    }


def slow(seconds: Mapping[str, Mapping[str, float]]) -> list[str]:
    """What took longer than it may at least once; seconds: the figures of each thing that a person does."""
    return [f"{what} {found['most']:g} s" for what, found in seconds.items() if found["most"] > LIMIT]


def _few(seconds: Sequence[float]) -> dict[str, float]:
    """Figures that stand for some measurements."""
    if not seconds:
        return {}
    return {"count": len(seconds), "median": round(statistics.median(seconds), 3), "most": round(max(seconds), 3)}


def _processor(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _stored(on: Testbed, outcomes: Sequence[Outcome]) -> Job:
    with Client(on.settings) as client:
        return store_job(client, [f"{n:05}.jpg" for n in range(len(outcomes))], outcomes, name="bench", pictures=True)


if __name__ == "__main__":
    entry.run(main)
