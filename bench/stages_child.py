"""The process that takes photos through the stages of a child one after the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import cv2
import psutil

from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.contract.outcomes import Outcome, RecognizeResult
from packsight.shared.matching.candidates import Frame, Query
from packsight.shared.matching.decision import Decision, decision
from packsight.shared.matching.fingerprint import recipe
from packsight.shared.matching.stages import rank_by_details
from packsight.shared.matching.stopping import as_served, is_confident
from packsight.shared.queue.app import make_app
from packsight.shared.settings import Settings
from packsight.shared.storage.fetch import Fetcher
from packsight.shared.storage.objects import ObjectStore
from packsight.shared.vision.features import Features, as_packed, make_features
from packsight.worker.catalogs.snapshots import Catalogs
from packsight.worker.networks.load import load_embedder, load_spotter
from packsight.worker.networks.spotters.ppocr.spotter import PpOcrSpotter
from packsight.worker.pipeline.decode import Photo, decode
from packsight.worker.pipeline.local_features import query_features, thumbnail
from packsight.worker.pipeline.middle import middle

T = TypeVar("T")


class _Stopwatch:
    """Times the second of two equal runs: the first one finds neither memory nor code in place."""

    def __init__(self, images: int) -> None:
        self.images = images
        self.laps: dict[str, dict[str, Any]] = {}

    def __call__(self, stage: str, work: Callable[[], T]) -> T:
        work()
        psutil.cpu_percent(percpu=True)
        wall, processor = time.perf_counter(), time.process_time()
        result = work()
        wall, processor = time.perf_counter() - wall, time.process_time() - processor
        self.laps[stage] = {
            "seconds": wall / self.images,
            "cpu_seconds": processor / self.images,
            "busy_per_core": [round(share / 100, 2) for share in psutil.cpu_percent(percpu=True)],
        }
        return result


def _decide(photos: Sequence[Photo], known: Sequence[Features], snapshot: Snapshot) -> tuple[list[Decision], int]:
    """The worker's own way to decide when all is known, photo after photo; also how many their details decided."""
    answers, early = [], 0
    for features, photo in zip(known, photos, strict=True):
        query = Query.of_details(
            as_packed(query_features(photo)), thumbnail(photo), snapshot, frame=Frame(0.0, 0.0, photo.width, photo.height)
        )
        by_details = rank_by_details(query, snapshot)
        early += is_confident(by_details, snapshot)
        query = query.with_rest(features, snapshot)
        ranking = as_served(query, snapshot, by_details=by_details)
        answers.append(decision(query, ranking, snapshot, top_k=5))
    return answers, early


def measure(settings: Settings, references: list[str], threads: int) -> dict[str, dict[str, Any]]:
    """The figures of all stages."""
    cv2.setNumThreads(1)
    embedder, spotter = load_embedder(settings.models, threads), load_spotter(settings.models, threads)
    store = ObjectStore(settings.s3)
    fetcher = Fetcher(settings, store)
    own = recipe(embedder.description.fingerprint(), spotter.description.fingerprint())
    snapshot = Catalogs(settings.home, store, own).get("default")
    lap = _Stopwatch(len(references))
    data = lap("fetch", lambda: [fetcher.fetch(reference) for reference in references])
    photos = lap("decode", lambda: [decode(one, settings.decode) for one in data])
    pixels = [photo.pixels for photo in photos]
    vectors = lap("embed", lambda: embedder.embed([*pixels, *map(middle, pixels)]))
    if isinstance(spotter, PpOcrSpotter):
        lines = lap("detect", lambda: spotter.find(pixels))
        words = lap("recognise", lambda: spotter.read([replace(line) for line in lines], len(pixels)))
    else:
        words = lap("spot", lambda: spotter.spot(pixels))
    lap("local features", lambda: [(query_features(photo), thumbnail(photo)) for photo in photos])
    known = [
        make_features("", (photo.width, photo.height), whole, read, middle=part)
        for photo, whole, part, read in zip(photos, vectors[: len(photos)], vectors[len(photos) :], words, strict=True)
    ]
    decided, early = lap("match", lambda: _decide(photos, known, snapshot))
    lap.laps["match"]["by_details"] = early / len(known)
    app = make_app("bench-stages", settings)

    def save() -> None:
        outcomes = [
            Outcome(image=reference, status=one.status, product=one.product, confidence=one.confidence,
                    candidates=one.candidates, reason=one.reason, words=list(features.words))
            for reference, one, features in zip(references, decided, known, strict=True)
        ]  # fmt: skip
        for start in range(0, len(outcomes), 16):
            result = RecognizeResult(outcomes=outcomes[start : start + 16]).model_dump(mode="json", exclude_none=True)
            app.backend.mark_as_done(f"bench-stages-{start}", result)

    lap("store", save)
    app.close()
    store.close()
    return lap.laps
