"""One set over the queue: its catalog published, its labelled photos asked, and what that cost the processor."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.asked import Asker
from bench.photos import PhotoSet
from bench.testbed import Running, Testbed
from packsight.indexer.fleet import Fleet
from packsight.indexer.report import SyncRequest
from packsight.indexer.sync import run_sync
from packsight.producer.client import Client
from packsight.producer.evaluation import describe, local
from packsight.producer.evaluation.calibration import calibration_band, expected_calibration_error
from packsight.producer.evaluation.document import FITTED, Results, document
from packsight.producer.evaluation.metrics import Answer
from packsight.producer.evaluation.unlisted import missing
from packsight.shared.catalog.trust import Trust
from packsight.shared.catalog.versions import CatalogStore
from packsight.shared.contract.errors import CatalogError, ErrorCode, UserError
from packsight.shared.contract.outcomes import Status
from packsight.shared.settings import Settings
from packsight.shared.tables.labels import Label

UPTAKE = 60.0
"""Seconds that a child may take to look at a version that was just published; it looks about every second."""


def measure(on: Testbed, by: Running, client: Client, photos: PhotoSet, *, indexer: Settings) -> dict[str, Any]:
    """Publish the set's catalog under the set's name, and measure how its labelled photos are answered.

    indexer: settings that this set's catalog is built with.
    """
    here = _published(client, photos, indexer)
    labels, lacking = listed(photos, set(here.ids))
    asker = Asker(on, by, client, photos, photos.name)
    found, cpu = asker.ask(labels)
    everything, all_cpu = asker.ask(labels, read_all=True)
    dropped = _dropped(client, here, labels, photos.root)
    made = document(Results(found, dropped={FITTED: dropped}, catalog=photos.name))
    made["stages"] = asker.priced(made["stages"], labels, found)
    manifest = here.snapshot.manifest
    return {
        "products": manifest.products,
        "catalog_photos": manifest.photos,
        "absent_matched": {"k": sum(a.matched for a in found if not a.present), "n": made["absent"]},
        "left_out": {"photos": len(photos.labels) - len(labels), "ids": lacking},
        "early": early(found, everything),
        "feed_alone": _feed_alone(on, by, client, photos, labels, indexer, manifest.photos),
        "processor_seconds": sum(cpu.values()) / len(labels),
        "processor_seconds_of_everything": sum(all_cpu.values()) / len(labels),
        "processor_seconds_by_process": {name: seconds / len(labels) for name, seconds in cpu.items()},
        **made,
    }


def _published(client: Client, photos: PhotoSet, indexer: Settings) -> local.Catalog:
    """The set's catalog, once every child answers from it."""
    run_sync(SyncRequest(str(photos.feed), photos.extra, photos.name), indexer)
    served(client, photos.name, indexer)
    return local.Catalog.current(client, photos.name)


def _feed_alone(
    on: Testbed, by: Running, client: Client, photos: PhotoSet, labels: Sequence[Label], indexer: Settings, of_all: int
) -> dict[str, Any] | None:
    """The same labels asked of a catalog of the feed's own pictures, as most shops have it.

    of_all: photos of the catalog with all others. None where there are no others.
    """
    if not photos.extra:
        return None
    alone = replace(photos, name=f"{photos.name}-feed", extra="")
    manifest = _published(client, alone, indexer).snapshot.manifest
    if manifest.photos == of_all:
        return None
    found, _ = Asker(on, by, client, alone, alone.name).ask(labels)
    made = document(Results(found, catalog=alone.name))
    names = "automation", "precision", "counts", "intervals"
    return {"catalog_photos": manifest.photos, **{name: made[name] for name in names}}


def listed(photos: PhotoSet, ids: Collection[str]) -> tuple[list[Label], list[str]]:
    """The labels whose products the catalog holds, absent ones among them; and the ids of those that it lacks.

    Raises UserError where none is left: the labels, or the feed, are another set's.
    """
    lacking = {label: missing(label, ids) for label in photos.labels}
    kept = [label for label in photos.labels if not lacking[label]]
    names = list(dict.fromkeys(product for label in photos.labels for product in sorted(lacking[label])))
    if not kept:
        raise UserError(f"The feed of {photos.name} lists no product of its labels, such as {names[0]}. Correct either.")
    return kept, names


def early(asked: Sequence[Answer], everything: Sequence[Answer]) -> dict[str, int]:
    """Answers that stop when enough is known beside those with everything asked.

    n: photos; same: with the same status and, where matched, the same product; lost: matched in one of the two and `no_match` in
    the other.
    """
    pairs = list(zip(asked, everything, strict=True))
    same = sum(one.status is other.status and (not one.matched or one.predicted == other.predicted) for one, other in pairs)
    lost = sum({one.status, other.status} == {Status.MATCHED, Status.NO_MATCH} for one, other in pairs)
    return {"n": len(pairs), "same": same, "lost": lost}


def pooled(sets: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Calibration over the photos of all sets together."""
    rows = [row for one in sets for row in one["rows"] if row["predicted"]]
    confidences = [row["confidence"] for row in rows]
    right = [bool(row["product_id"]) and row["predicted"] == row["product_id"] for row in rows]
    return {
        "early": {name: sum(one["early"][name] for one in sets) for name in ("n", "same", "lost")},
        "count": len(rows),
        "calibration_error": expected_calibration_error(confidences, right),
        "calibration_band": calibration_band(confidences),
    }


def served(client: Client, catalog: str, settings: Settings) -> None:
    """Wait until every child answers from what was published; raises CatalogError when one does not."""
    current = CatalogStore(client.store, catalog, Trust.of_reader(settings)).current()
    if current is None:
        raise CatalogError(ErrorCode.CATALOG_MISSING, f"Nothing was published as {catalog}")
    with closing(Fleet(settings)) as fleet:
        uptake = fleet.wait_for(catalog, current, UPTAKE)
    if others := [*uptake.refusing, *uptake.late, *uptake.without]:
        why = others[0].refused.get(catalog, "it has not looked at it in time")
        raise CatalogError(ErrorCode.CATALOG_REFUSED, f"{others[0].place} does not serve {catalog}: {why}")


def _dropped(client: Client, here: local.Catalog, asked: Sequence[Label], root: Path) -> list[Answer]:
    """Photos of listed products, answered as if their product had never been listed."""
    labels = [label for label in asked if label.product_id]
    images = describe.send(client, labels, root)
    seen = describe.describe(client, images, here.snapshot)
    questions = local.labelled(labels, [image.reference for image in images], seen, here)
    return local.answers(local.dropped(questions, here), here)
