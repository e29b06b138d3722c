"""What handing a version to running workers costs: from the move of its pointer until every child answers from it.

The versions are invented (bench.invented), for the networks of the worker that is running; the photos are drawn ones, which are
looked at as always and are none of the catalog's. A small version is followed by a large one, of which the host has nothing, and
that by one of which a hundredth of the products have other photos.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from bench.invented import Invented
from bench.photos import changed_copies, demo
from bench.scale_build import CATALOG, build, manifest_of, missing
from bench.spawned import ask
from bench.testbed import testbed, worker
from bench.usage import Usage
from bench.whole_queue import batch_ends, groups
from packsight.indexer.fleet import Fleet
from packsight.producer.client import Client
from packsight.producer.rows import Row
from packsight.producer.sources import Item
from packsight.shared.catalog.trust import Trust
from packsight.shared.catalog.versions import CatalogStore
from packsight.shared.contract.errors import ErrorCode
from packsight.shared.contract.outcomes import Status

SMALL = 200
"""Photos of the catalog that comes before."""
CALM = 20.0
"""Seconds of work before each swap and after the last, by which the rate meanwhile is judged."""
BATCH = 2
"""Photos of a message: few, so that a rate can be told of seconds."""
COPIES = 96
AHEAD = 40
"""Photos for each second that the run may take: more than two cores do. Those that are left over are cancelled."""
LOOK, MOST = 0.02, 600.0
"""Seconds between two looks at what the children say, and after which no further one is taken."""


def swaps(size: int, models: Path, calm: float = CALM) -> list[dict[str, Any]]:
    """Swap to a version of so many photos, and to the next one; models: cache of compiled networks."""
    with tempfile.TemporaryDirectory(prefix="packsight-swaps-") as name, ExitStack() as stack:
        folder = Path(name)
        on = stack.enter_context(testbed(folder / "servers", models))
        by = stack.enter_context(worker(on, PACKSIGHT_WORKER__REMEMBER="0"))
        client = stack.enter_context(Client(on.settings))
        fleet = stack.enter_context(closing(Fleet(on.settings)))
        catalogs = CatalogStore(client.store, CATALOG, Trust.of_publisher(on.settings))
        shop, made_for = Invented(size), fleet.recipes()[0]
        versions = [folder / name for name in ("small", "large", "changed")]
        ask(build, Invented(min(SMALL, size), seed=1), versions[0], None, made_for)
        ask(build, shop, versions[1], None, made_for)
        ask(build, replace(shop, edition=1), versions[2], versions[1], made_for)
        for version in versions:
            catalogs.upload(version)
        swapped = partial(take, catalogs=catalogs, fleet=fleet)
        swapped(versions[0])
        copies = changed_copies(demo(folder / "demo").usable(), COPIES, folder / "copies")
        return _under_load(client, copies, versions, swapped, groups(on, by), folder / "copied", calm)


def take(version: Path, catalogs: CatalogStore, fleet: Fleet) -> float:
    """Let the pointer name an uploaded version; seconds until every child answers from it."""
    begun = time.monotonic()
    catalogs.point(manifest_of(version).version, expected=catalogs.current())
    fleet.announce(catalogs.name)
    current = catalogs.current()
    assert current is not None
    while (seen := fleet.uptake(catalogs.name, current)).late and time.monotonic() - begun < MOST:
        time.sleep(LOOK)
    if not seen.serving or seen.late or seen.refusing:
        raise RuntimeError(f"not every child answers from {version.name}: {[child.refused for child in fleet.children()]}")
    return time.monotonic() - begun


def _under_load(
    client: Client,
    copies: Sequence[Path],
    versions: Sequence[Path],
    swapped: Callable[[Path], float],
    at_work: Mapping[str, Sequence[int]],
    copied: Path,
    calm: float,
) -> list[dict[str, Any]]:
    """Swap while a job is in work; the job's ends tell the photos a second before and meanwhile. at_work: processes by group."""
    found = list[dict[str, Any]]()
    wanted = round(AHEAD * calm * (len(versions) + 1))
    items = [Item(f"{number}-{(path := copies[number % len(copies)]).name}", path) for number in range(wanted)]
    job, rows = client.submit(items, batch_size=BATCH, catalog=CATALOG), list[Row]()
    reading = threading.Thread(target=lambda: rows.extend(client.run(job)))
    reading.start()
    windows = []
    try:
        while not client.ended([batch.task_id for batch in job.batches]):
            time.sleep(LOOK)
        for former, latter in pairwise(versions):
            windows.append((time.time(), time.time() + calm))
            time.sleep(calm)
            lacking = missing(former, latter)
            copying = copy_and_hash(latter, lacking, copied)
            begun = time.time()
            with Usage(at_work) as usage:
                seconds = swapped(latter)
            windows.append((begun, begun + seconds))
            found.append({
                "photos": manifest_of(latter).photos, "bytes": sum(lacking.values()), "seconds": round(seconds, 2),
                "copying_seconds": round(copying, 2),
                "cpu_seconds": {"host": usage.cpu["worker parent"], "store": usage.cpu["seaweedfs"]},
            })  # fmt: skip
        time.sleep(calm)
    finally:
        client.cancel(job)
        reading.join()
    sizes = {batch.task_id: len(batch.images) for batch in job.batches}
    ended = client.ledger.results.ended(list(sizes))
    ends, _ = batch_ends(client.ledger, {task: images for task, images in sizes.items() if task in ended})
    failures = [row.outcome.failure for row in rows if row.outcome.status is Status.FAILED]
    failed = [one for one in failures if one is None or one.code is not ErrorCode.CANCELLED]
    for number, one in enumerate(found):
        before, meanwhile = (rate(ends, window) for window in windows[2 * number : 2 * number + 2])
        one |= {"photos_per_s": round(before, 2), "photos_per_s_meanwhile": round(meanwhile, 2), "failed": len(failed)}
    return found


def rate(ends: Sequence[tuple[float, int]], window: tuple[float, float]) -> float:
    """Photos a second that ended within a window."""
    start, stop = window
    return sum(images for at, images in ends if start <= at < stop) / (stop - start)


def copy_and_hash(version: Path, names: Iterable[str], folder: Path) -> float:
    """Seconds in which some files of a version are copied and hashed: what whoever lacks them must do at least."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    begun = time.monotonic()
    for name in names:
        with (version / name).open("rb") as source, (folder / name).open("wb") as copy:
            digest = hashlib.sha256()
            while block := source.read(1 << 20):
                digest.update(block)
                copy.write(block)
    return time.monotonic() - begun
