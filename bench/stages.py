"""(e) Stage by stage: what each part of an image's way costs when it runs alone, in one child's worth of threads."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import psutil

from packsight.shared.settings import Settings

T = TypeVar("T")


def run_stages(settings: Settings, references: Sequence[str], threads: int) -> dict[str, dict[str, Any]]:
    """Take photos through the stages of a child one after the other.

    Returns per stage: seconds per image, processor seconds per image, busy share of each core while it ran.
    """
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe(duplex=False)
    process = spawn.Process(target=_serve, args=(theirs, settings, list(references), threads), daemon=True)
    process.start()
    theirs.close()
    try:
        found: dict[str, dict[str, Any]] = ours.recv()
    except EOFError:
        raise RuntimeError("the process that measures the stages died; see its trace above") from None
    finally:
        process.join(10)
    return found


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


def _serve(pipe: Any, settings: Settings, references: list[str], threads: int) -> None:
    import cv2  # noqa: PLC0415 - loads in the process that uses it

    from packsight.shared.contract.outcomes import Outcome, RecognizeResult  # noqa: PLC0415
    from packsight.shared.matching.matcher import Decision, match  # noqa: PLC0415
    from packsight.shared.queue.app import make_app  # noqa: PLC0415
    from packsight.shared.storage.fetch import Fetcher  # noqa: PLC0415
    from packsight.shared.storage.objects import ObjectStore  # noqa: PLC0415
    from packsight.shared.vision.decode import decode  # noqa: PLC0415
    from packsight.shared.vision.features import make_features  # noqa: PLC0415
    from packsight.shared.vision.local_features import PhotoFeatures, local_features, thumbnail  # noqa: PLC0415
    from packsight.worker.catalogs.snapshots import Catalogs  # noqa: PLC0415
    from packsight.worker.networks.load import load_embedder, load_spotter  # noqa: PLC0415
    from packsight.worker.networks.spotters.ppocr.spotter import PpOcrSpotter  # noqa: PLC0415

    cv2.setNumThreads(1)
    embedder, spotter = load_embedder(settings.models, threads), load_spotter(settings.models, threads)
    store = ObjectStore(settings.s3)
    fetcher = Fetcher(settings, store)
    names = {"embedder": embedder.description.fingerprint(), "spotter": spotter.description.fingerprint()}
    snapshot = Catalogs(settings.home, store, **names).get("default")
    lap = _Stopwatch(len(references))
    data = lap("fetch", lambda: [fetcher.fetch(reference) for reference in references])
    photos = lap("decode", lambda: [decode(one, settings.decode) for one in data])
    pixels = [photo.pixels for photo in photos]
    vectors = lap("embed", lambda: embedder.embed(pixels))
    if isinstance(spotter, PpOcrSpotter):
        lines = lap("detect", lambda: spotter.find(pixels))
        words = lap("recognise", lambda: spotter.read([replace(line) for line in lines], len(pixels)))
    else:
        words = lap("spot", lambda: spotter.spot(pixels))
    lap("local features", lambda: [(local_features(photo), thumbnail(photo)) for photo in photos])

    def decide() -> tuple[list[PhotoFeatures], list[Decision]]:
        known = [
            PhotoFeatures(make_features("", (photo.width, photo.height), vector, read), photo)
            for photo, vector, read in zip(photos, vectors, words, strict=True)
        ]
        return known, [match(features, snapshot, top_k=5) for features in known]

    known, decided = lap("match", decide)
    lap.laps["match"]["looked_closer"] = sum("local" in vars(features) for features in known) / len(known)
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
    pipe.send(lap.laps)
    app.close()
    store.close()
