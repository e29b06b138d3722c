"""`python -m bench.door`: what the HTTP door costs beside plain Celery, and what it does with many requests at once, or too many.

All on this machine: whoever asks shares its cores with the servers, the door and the worker. Ends with 1 where fewer than four
fifths of what plain Celery answers are answered over HTTP.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
import urllib3
from celery import Celery
from rich.console import Console

from bench import entry, machine
from bench.photos import changed_copies, few
from bench.run import publish_catalog
from bench.testbed import door, testbed, worker
from packsight.producer.http.accounts import Accounts
from packsight.producer.http.rights import Right
from packsight.shared.contract.errors import UserError
from packsight.shared.contract.messages import INTERACTIVE_QUEUE, RECOGNIZE

console = Console()
SHARE = 0.8
"""Of plain Celery's requests a second, at least, over HTTP."""


@dataclass(frozen=True)
class Sizes:
    """How much is asked."""

    seen: int = 8
    """Photos that are known before anything is timed, and asked about over and over."""
    asked: int = 400
    """Requests in a round."""
    rounds: int = 3
    """Of each way, in turns."""
    side_by_side: int = 8
    """Requests at a time."""
    new: int = 20
    """Photos that were never seen, sent all at once."""
    flood: int = 300
    """Requests at once, far more than there are places."""


@dataclass(frozen=True)
class Client:
    """A program with a key."""

    address: str
    key: str
    pool: urllib3.PoolManager

    def recognize(self, **more: Any) -> urllib3.BaseHTTPResponse:
        """Ask about one photo, whatever the answer."""
        headers = {"Authorization": f"Bearer {self.key}", **more.pop("headers", {})}
        return self.pool.request("POST", f"{self.address}/v1/recognize", headers=headers, **more)

    def outcome(self, **more: Any) -> dict[str, Any]:
        """Ask about one photo; raises RuntimeError when there is no outcome."""
        answer = self.recognize(**more)
        if answer.status != 200:
            raise RuntimeError(f"{answer.status}: {answer.data[:300]!r}")
        found: dict[str, Any] = answer.json()
        return found


def main(
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all figures here.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for the cache of compiled networks.")] = Path("bench-out"),
) -> None:
    """Measure, and print ratios of one run."""
    with tempfile.TemporaryDirectory(prefix="packsight-door-") as folder:
        document = run(Path(folder), (out / "models").resolve(), Sizes())
    if json_file:
        entry.save(json_file, document)
    if less := ", ".join(f"{way} {share:g}" for way, share in document["to_celery"].items() if share < SHARE):
        raise UserError(f"Less than {SHARE:g} of plain Celery: {less}. Measure beside less other work, or mend the door.")


def run(folder: Path, models: Path, sizes: Sizes) -> dict[str, Any]:
    """Start everything, ask in each way, and return the figures."""
    conditions = machine.conditions()
    with testbed(folder, models) as on, ExitStack() as stack:
        stack.enter_context(worker(on))
        photos = few(folder / "shop")
        publish_catalog(on, photos, {"photos": {}}, console)
        # Places are what is measured, not how often one may ask.
        address = stack.enter_context(door(on, PACKSIGHT_HTTP__REQUESTS_PER_MINUTE="1000000")).spec.url
        _, key = Accounts(on.settings.home).add_client("bench", frozenset({Right.RECOGNISE}), None)
        pool = urllib3.PoolManager(retries=False, maxsize=sizes.flood, timeout=120)
        stack.callback(pool.clear)
        client = Client(address, key, pool)
        copies = changed_copies(photos.usable(), sizes.seen + sizes.new, folder / "copies")
        files = [path.read_bytes() for path in copies[: sizes.seen]]
        references = [str(client.outcome(body=data)["image"]) for data in files]
        app = stack.enter_context(Celery(broker=on.settings.broker, backend=on.settings.results))
        app.conf.result_expires = 3600

        def by_celery(number: int) -> None:
            argument = {"version": 1, "images": [references[number % len(references)]]}
            app.send_task(RECOGNIZE, args=[argument], queue=INTERACTIVE_QUEUE).get(timeout=60)

        ways: dict[str, Callable[[int], object]] = {
            "Celery": by_celery,
            "HTTP by reference": lambda number: client.outcome(json={"url": references[number % len(references)]}),
            "HTTP by bytes": lambda number: client.outcome(body=files[number % len(files)]),
        }
        rates = _rates(ways, sizes)
        document: dict[str, Any] = {
            **conditions,
            "requests_per_second": rates, "to_celery": ratios(rates, "Celery"),
            "new_at_once": _new(client, [path.read_bytes() for path in copies[sizes.seen :]]),
            "flood": _flood(client, references, sizes),
        }  # fmt: skip
    console.print_json(json.dumps(document))
    return document


def ratios(rates: Mapping[str, Sequence[float]], base: str) -> dict[str, float]:
    """Each way's rate as a share of the base's; rates: of all rounds."""
    whole = {name: sum(found) for name, found in rates.items()}
    return {name: round(rate / whole[base], 3) for name, rate in whole.items() if name != base}


def _rates(ways: Mapping[str, Callable[[int], object]], sizes: Sizes) -> dict[str, list[float]]:
    """Requests a second of each way, by round; the ways take turns, so that what else the machine does meets all."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    for name, ask in [*ways.items()] * sizes.rounds:
        with ThreadPoolExecutor(sizes.side_by_side) as pool:
            list(pool.map(ask, range(sizes.side_by_side)))  # connections are open
            begun = time.perf_counter()
            list(pool.map(ask, range(sizes.asked)))
            found[name].append(round(sizes.asked / (time.perf_counter() - begun), 2))
    return found


def _new(client: Client, files: Sequence[bytes]) -> dict[str, Any]:
    """Photos that nobody has seen, all at once: how they were answered, and how long each waited."""

    def ask(data: bytes) -> tuple[int, float]:
        begun = time.perf_counter()
        return client.recognize(body=data).status, time.perf_counter() - begun

    with ThreadPoolExecutor(len(files)) as pool:
        answers = list(pool.map(ask, files))
    seconds = [taken for _, taken in answers]
    return {
        "answers": dict(Counter(status for status, _ in answers)), "least": round(min(seconds), 3),
        "median": round(float(np.median(seconds)), 3), "most": round(max(seconds), 3),
    }  # fmt: skip


def _flood(client: Client, references: Sequence[str], sizes: Sizes) -> dict[str, Any]:
    """More than there are places: what is refused, and whether all of it is answered when it is asked again."""
    ask = partial(_asked, client, references)
    with ThreadPoolExecutor(sizes.flood) as pool:
        answers = list(pool.map(ask, range(sizes.flood)))
    refused = [number for number, status in enumerate(answers) if status != 200]
    with ThreadPoolExecutor(sizes.side_by_side) as pool:
        again = list(pool.map(ask, refused))
    return {"answers": dict(Counter(answers)), "asked_again": dict(Counter(again))}


def _asked(client: Client, references: Sequence[str], number: int) -> int:
    return client.recognize(json={"url": references[number % len(references)]}).status


if __name__ == "__main__":
    entry.run(main)
