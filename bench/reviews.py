"""`python -m bench.reviews SET`: what reviewing is worth, on photos that nobody reviewed.

A set as bench.sets has it becomes a catalog with one photo a product. Half of its labelled photos, by their hashes, are
answered and go through the inbox; some of them are reviewed, by their labels, in its order. The next sync uses that. Both
versions are then asked about every labelled photo that was not reviewed. Features are made in this process, once; broker, object
store and syncs are the real ones. Photos made of products' only ones are left out before and after.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bench import entry
from bench.described import Described, described
from bench.sets import set_in
from packsight.deploy.testbed import serving
from packsight.indexer.fleet import Fleet
from packsight.indexer.phases.run import Run
from packsight.indexer.report import SyncReport, SyncRequest
from packsight.indexer.sync import sync
from packsight.producer.evaluation.variants import match
from packsight.producer.reviews.desk import verdict_on
from packsight.producer.reviews.inbox import Waiting, inbox
from packsight.producer.rows import Row
from packsight.shared.catalog.manifest import new_version
from packsight.shared.catalog.recipe import Recipe
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.catalog.trust import Trust
from packsight.shared.catalog.versions import CatalogStore
from packsight.shared.contract.messages import Part
from packsight.shared.contract.outcomes import Described as Ending
from packsight.shared.contract.outcomes import DescribeResult, Outcome, Provenance, Status
from packsight.shared.queue import registry
from packsight.shared.queue.registry import ChildEntry
from packsight.shared.settings import Models, Settings
from packsight.shared.shares import Share
from packsight.shared.storage import layout
from packsight.shared.storage.feature_store import FeatureStore
from packsight.shared.storage.objects import ObjectStore
from packsight.shared.storage.reviews import ReviewStore
from packsight.shared.storage.verdicts import Kind, Offered, Verdict, reviewed
from packsight.shared.tables.labels import Label
from packsight.shared.vision.features import Features
from packsight.worker.networks.load import load_embedder, load_spotter

console = Console()


def main(
    folder: Annotated[Path, typer.Argument(help="Folder of a set: feed.xml, labels.csv, photos.")],
    keep: Annotated[Path, typer.Option(help="Folder in which features are kept.")] = Path("bench-out/described"),
    count: Annotated[int, typer.Option(help="Photos that are reviewed.")] = 60,
    extra: Annotated[bool, typer.Option("--extra", help="Also ask about the shop's extra photos, by their folders.")] = False,
) -> None:
    """Measure one set and print what changed."""
    models = Models(cache_dir=keep.parent / "models")
    photos = set_in(folder)
    if extra:
        of_shop = [_label(path, folder) for path in sorted((folder / "photos").glob("*/*"))]
        photos = replace(photos, extra="", labels=[*photos.labels, *of_shop])
    [described_set] = described([photos], load_embedder(models, 1), load_spotter(models, 1), keep)
    with tempfile.TemporaryDirectory(prefix="packsight-reviews-") as home, serving(Path(home)) as servers:
        settings = servers.settings(Path(home) / "home", "reviews")
        settings = settings.model_copy(update={"catalog": settings.catalog.model_copy(update={"made_photos": 0})})
        with closing(ObjectStore(settings.s3)) as store:
            store.ensure_bucket()
            run(_Shop(described_set, folder, settings, store), count)


def _label(path: Path, folder: Path) -> Label:
    return Label(str(path.relative_to(folder)), path.parent.name, path.parent.name, ())


class _Shop:
    """A set as a shop whose workers are this process."""

    def __init__(self, described: Described, folder: Path, settings: Settings, store: ObjectStore) -> None:
        self.described, self.folder, self.settings, self.store = described, folder, settings, store

    def sync(self) -> tuple[SyncReport, Snapshot]:
        """What a sync did, and the version that is served then."""
        with closing(Fleet(self.settings)) as fleet:
            registry.announce_child(fleet.redis, ChildEntry(host="bench", pid=1, **self.described.recipe.model_dump()))
            request = SyncRequest(str(self.folder / "feed.xml"))
            report = sync(Run(request, self.settings, self.store, fleet, self, self))
        catalogs = CatalogStore(self.store, "default", Trust.of_reader(self.settings))
        return report, Snapshot.open(catalogs.download(str(report.version), self.settings.home / "reader"))

    def check(self) -> None:
        """Nobody else publishes."""

    def extract(self, recipe: Recipe, references: Sequence[str], parts: Sequence[Part]) -> Iterator[DescribeResult]:
        """Put features that are known into the store."""
        shas = [reference.rpartition("/")[2] for reference in references]
        found = [self.described.features[sha] for sha in shas]
        FeatureStore(self.store, recipe.parts, self.settings.home / "worker").put(f"shard-{new_version()}", found, parts)
        photos = [Ending(image=image, sha256=sha) for image, sha in zip(references, shas, strict=True)]
        yield DescribeResult(models=recipe.model_dump(include={"embedder", "spotter", "details"}), photos=photos)


def run(shop: _Shop, count: int) -> None:
    """Sync, answer, review, sync, and compare."""
    labels = dict(shop.described.asked)
    _, before = shop.sync()
    for row in before.photo_table:
        labels.pop(row.sha256, None)
    half = sorted(labels, key=lambda sha: hashlib.sha256(sha.encode()).hexdigest())[: len(labels) // 2]
    rows = [_row(number, shop.described.features[sha], before, shop.store) for number, sha in enumerate(half)]
    waiting = inbox(rows, reviewed(()), shop.settings.review.sample)
    offered = {one.row.index for one in waiting}
    more = [Waiting(row, Offered.CHOSEN, 0.0) for row in rows if row.index not in offered]
    chosen = [*waiting, *more][:count]
    verdicts = [_judged(one, labels, set(before.products.column("id"))) for one in chosen]
    for data in _bytes(shop.folder, {verdict.sha256 for verdict in verdicts}):
        shop.store.write(layout.upload(hashlib.sha256(data).hexdigest()), data)
    ReviewStore(shop.store, "default").add(verdicts)
    report, after = shop.sync()
    left = [sha for sha in labels if sha not in {verdict.sha256 for verdict in verdicts}]
    console.print(f"{len(labels)} labelled photos, {len(half)} answered, {len(waiting)} of them wait, {len(verdicts)} reviewed: "
                  f"{_counted(verdicts)}")  # fmt: skip
    for note in report.notes:
        console.print(f"! {note}", highlight=False)
    for name, shas in (("all not reviewed", left), ("of products with a photo reviewed", _touched(left, labels, verdicts))):
        for when, snapshot in (("before", before), ("after", after)):
            console.print(f"{name} ({len(shas)}), {when}: {_measured(shas, labels, shop.described.features, snapshot)}")
    as_before = replace(after, model=before.model)
    console.print(f"after, by the weights before: {_measured(left, labels, shop.described.features, as_before)}")
    for when, snapshot in (("before", before), ("after", after)):
        model, count = snapshot.model, snapshot.manifest.photos
        console.print(f"{when}: {'own' if model.fitted else 'prior'} weights, matched from {model.matched:.3f}, {count} photos")


def _row(number: int, features: Features, snapshot: Snapshot, store: ObjectStore) -> Row:
    """The outcome of a worker."""
    found, manifest = match(features, snapshot, top_k=5), snapshot.manifest
    outcome = Outcome(
        image=layout.address(store.bucket, layout.upload(features.sha256)), status=found.status, product=found.product,
        confidence=found.confidence, candidates=found.candidates, sha256=features.sha256, lacking=list(found.lacking),
        provenance=Provenance(
            catalog="default", catalog_version=manifest.version, embedder=manifest.embedder, spotter=manifest.spotter
        ),
    )  # fmt: skip
    return Row("job", number, features.sha256[:8], outcome)


def _judged(one: Waiting, labels: Mapping[str, str], listed: set[str]) -> Verdict:
    """What a person says who knows the labels."""
    product = labels[str(one.row.outcome.sha256)]
    kind = Kind.OTHER if product in listed else Kind.ABSENT
    return verdict_on(
        one.row, "default", kind, by="bench", product=product if product in listed else "", offered=one.offered
    )


def _bytes(folder: Path, wanted: set[str]) -> Iterator[bytes]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and hashlib.sha256(data := path.read_bytes()).hexdigest() in wanted:
            yield data


def _counted(verdicts: Sequence[Verdict]) -> str:
    counts = Counter(name for one in verdicts for name in (one.kind.value, one.offered.value))
    return ", ".join(f"{count} {name}" for name, count in counts.most_common())


def _touched(shas: Sequence[str], labels: Mapping[str, str], verdicts: Sequence[Verdict]) -> list[str]:
    products = {verdict.product for verdict in verdicts}
    return [sha for sha in shas if labels[sha] and labels[sha] in products]


def _measured(shas: Sequence[str], labels: Mapping[str, str], features: Mapping[str, Features], snapshot: Snapshot) -> str:
    """Automation, precision of what is matched, and first candidates that are right."""
    listed = set(snapshot.products.column("id"))
    found = {sha: match(features[sha], snapshot, top_k=1) for sha in shas}
    matched = {sha for sha, one in found.items() if one.status is Status.MATCHED}
    first = {sha: one.candidates[0].product.id if one.candidates else "" for sha, one in found.items()}
    present = [sha for sha in shas if labels[sha] in listed]
    right = {sha for sha in present if first[sha] == labels[sha]}
    shares = {
        "automation": Share(len(matched & right), len(present)), "precision": Share(len(matched & right), len(matched)),
        "top-1": Share(len(right), len(present)),
    }  # fmt: skip
    return ", ".join(f"{name} {one.k}/{one.n}" + (f" = {one.value:.3f}" if one.n else "") for name, one in shares.items())


if __name__ == "__main__":
    console.print(f"{datetime.now(UTC):%Y-%m-%d}")
    entry.run(main)
