"""`python -m bench.sync`: what a sync costs where nothing changed, or a hundredth, beside merely parsing the feed.

The shop is drawn (a seed, a number of offers with 3.5 pictures each), its server and all services are started here, on loopback.
The version that is published before has the tables of products and photos and nothing else: describing and building are not
measured. Each step runs in a process of its own; seconds are those of its processor, after its imports.
"""

from __future__ import annotations

import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from lxml import etree
from rich.console import Console
from rich.table import Table

from bench import entry, machine
from bench.spawned import ask
from bench.sync_shop import FEED, photos_of, serving, write_feed
from packsight.deploy import testbed
from packsight.indexer.build.fingerprint import fit_fingerprint
from packsight.indexer.build.prior import read_prior
from packsight.indexer.feed.source import open_feed
from packsight.indexer.fleet import Fleet
from packsight.indexer.phases.built import is_as_it_should_be
from packsight.indexer.phases.resolved import resolve
from packsight.indexer.phases.run import Run, parameters_of
from packsight.indexer.phases.wanted import want
from packsight.indexer.report import SyncRequest
from packsight.indexer.state.database import opened
from packsight.indexer.sync import sync
from packsight.shared.catalog.manifest import MANIFEST, Manifest, PhotoRow, ProductRow, seal
from packsight.shared.catalog.recipe import Recipe
from packsight.shared.catalog.tables import PHOTOS, PRODUCTS, write_photos, write_products
from packsight.shared.catalog.trust import Trust
from packsight.shared.catalog.versions import CatalogStore
from packsight.shared.matching.fingerprint import recipe
from packsight.shared.queue import registry
from packsight.shared.queue.registry import ChildEntry
from packsight.shared.settings import Settings
from packsight.shared.storage.objects import ObjectStore

CHANGED = 0.01
RECIPE: Recipe = recipe("bench-embedder", "bench-spotter")

Step = Callable[[Settings, str], dict[str, Any]]


class Nobody:
    """Describes nothing, and lets whoever asks publish."""

    def extract(self, *_: Any) -> Iterator[Any]:
        raise RuntimeError("there is nothing to describe here")

    def check(self) -> None:
        pass


def main(
    offers: Annotated[int, typer.Option(help="Offers of the shop, with 3.5 pictures each.")] = 20_000,
    seed: Annotated[int, typer.Option(help="Of what is drawn.")] = 1,
    out: Annotated[Path, typer.Option(help="Folder for the figures.")] = Path("bench-out"),
) -> None:
    """Measure parsing alone, and syncs: from the published version, of an unchanged feed, of a changed one."""
    console = Console()
    document = run(offers, seed)
    show(document, console)
    entry.save(out / "sync.json", document)


def run(offers: int, seed: int) -> dict[str, Any]:
    """The figures of all steps."""
    conditions = machine.conditions()
    with tempfile.TemporaryDirectory(prefix="packsight-sync-") as name:
        folder = Path(name)
        (folder / "servers").mkdir()
        with testbed.serving(folder / "servers") as servers, serving(folder) as root:
            settings = servers.settings(folder / "home", "bench-sync")
            feed, file = root + FEED, folder / "feed.xml"
            write_feed(file, offers, root, seed=seed, hour=1)
            ask(_measured, publish_rows, settings, feed)
            steps = {
                "iterparse": ask(_measured, parse_alone, settings, str(file)),
                "first": ask(_measured, whole, settings, feed),
                "same_bytes": ask(_measured, whole, settings, feed),
            }
            write_feed(file, offers, root, seed=seed, hour=2)
            steps["unchanged"] = ask(_measured, whole, settings, feed)
            write_feed(file, offers, root, seed=seed, hour=3, changed=CHANGED)
            steps["changed"] = ask(_measured, plan_only, settings, feed)
            size = file.stat().st_size
    return {
        **conditions, "offers": offers, "feed_mb": round(size / 1e6, 1), "steps": steps,
    }  # fmt: skip


def _measured(step: Step, settings: Settings, feed: str) -> dict[str, Any]:
    begun = time.process_time()
    told = step(settings, feed)
    spent = time.process_time() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"cpu_seconds": round(spent, 2), "peak_mb": round(peak / 1024), **told}


def parse_alone(_: Settings, feed: str) -> dict[str, Any]:
    """Let lxml go over the feed, each element freed as it ends."""
    offers = 0
    for _event, element in etree.iterparse(feed):
        if element.tag == "offer":
            offers += 1
            element.clear()
            while element.getprevious() is not None:
                del element.getparent()[0]
    return {"offers": offers}


def publish_rows(settings: Settings, feed: str) -> dict[str, Any]:
    """Publish the tables of a version of all offers."""
    with closing(ObjectStore(settings.s3)) as store, tempfile.TemporaryDirectory() as name:
        store.ensure_bucket()
        folder, root = Path(name), feed.removesuffix(FEED)
        products: list[ProductRow] = []
        photos: list[PhotoRow] = []
        with open_feed(feed, settings, store) as opened_feed:
            assert opened_feed is not None
            for item in opened_feed.items():
                assert item.offer is not None
                photos += photos_of(item.offer.product, len(products), root)
                products.append(item.offer.product)
        write_products(folder / PRODUCTS, products)
        write_photos(folder / PHOTOS, photos)
        fit = fit_fingerprint(parameters=parameters_of(settings), prior=read_prior(settings.catalog.prior))
        manifest = Manifest(
            catalog="default", version="20260101T000000-000000", created_at=datetime.now(UTC), products=len(products),
            photos=len(photos), dimension=1, projected=1, index="Flat", faiss="", fit=fit, **RECIPE.model_dump(),
        )  # fmt: skip
        (folder / MANIFEST).write_text(manifest.model_dump_json())
        sealed = seal(folder, manifest)
        catalogs = CatalogStore(store, "default", Trust.of_publisher(settings))
        catalogs.upload(folder)
        catalogs.point(sealed.version, expected=catalogs.current())
    return {}


def whole(settings: Settings, feed: str) -> dict[str, Any]:
    """A whole sync."""
    with closing(ObjectStore(settings.s3, pool_size=settings.fetch.threads + 4)) as store, closing(Fleet(settings)) as fleet:
        registry.announce_child(fleet.redis, ChildEntry(host="bench", pid=1, **RECIPE.model_dump()))
        report = sync(Run(SyncRequest(feed), settings, store, fleet, Nobody(), Nobody()))
    return {
        "published": report.published, "asked": report.asked, "put_off": report.put_off, "products": report.products,
        "photos": report.photos, "changed": report.changed,
    }  # fmt: skip


def plan_only(settings: Settings, feed: str) -> dict[str, Any]:
    """A sync until it is known what is to be described and built."""
    with closing(ObjectStore(settings.s3, pool_size=settings.fetch.threads + 4)) as store, closing(Fleet(settings)) as fleet:
        registry.announce_child(fleet.redis, ChildEntry(host="bench", pid=1, **RECIPE.model_dump()))
        run = Run(SyncRequest(feed), settings, store, fleet, Nobody(), Nobody())
        with opened(run.state_file) as state:
            wanted = want(run, state)
            resolved = resolve(run, state, wanted)
            [target] = wanted.targets
            assert not is_as_it_should_be(run, state, wanted, target)
    return {
        "changed": wanted.plan.changed, "asked": resolved.agenda.asked, "put_off": resolved.agenda.put_off,
        "fetched": resolved.downloads,
    }  # fmt: skip


def show(document: dict[str, Any], console: Console) -> None:
    """The figures for people."""
    alone = document["steps"]["iterparse"]["cpu_seconds"]
    table = Table("", "processor s", "times parsing", "peak MB", "pictures asked for", "offers changed", box=None)
    names = {
        "iterparse": "iterparse alone", "first": "from the published version", "same_bytes": "the same bytes",
        "unchanged": "no offer changed", "changed": "1 % changed, until the plan",
    }  # fmt: skip
    for step, name in names.items():
        one = document["steps"][step]
        table.add_row(
            name, f"{one['cpu_seconds']}", f"{one['cpu_seconds'] / alone:.2f}", f"{one['peak_mb']}", f"{one.get('asked', '')}",
            f"{one.get('changed', '')}",
        )  # fmt: skip
    console.print(f"{document['offers']} offers, {document['feed_mb']} MB")
    console.print(table)


if __name__ == "__main__":
    entry.run(main)
