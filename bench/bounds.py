"""What bounds the queue: the worker's own networks back to back on decoded photos, and its pipeline without a queue."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

from bench.whole_queue import BATCH
from packsight.shared.contract.messages import RecognizeRequest
from packsight.shared.contract.outcomes import Status
from packsight.shared.matching.fingerprint import recipe
from packsight.shared.pieces import pieces
from packsight.shared.settings import Settings
from packsight.shared.storage.fetch import Fetcher
from packsight.shared.storage.objects import ObjectStore
from packsight.shared.vision.models import describe_key
from packsight.worker.pipeline.parameters import FLOW

if TYPE_CHECKING:
    from packsight.worker.networks.base import Embedder, Spotter
    from packsight.worker.pipeline.pipeline import Pipeline

Work = int | Sequence[Sequence[str]]
"""Passes of the networks, or batches of references for the pipeline."""


@dataclass(frozen=True)
class Bounds:
    """As many processes as a worker has children, ready to begin at one word."""

    pipes: Sequence[Connection]
    pids: Sequence[int]
    photos: int

    def networks(self, passes: int) -> tuple[int, float]:
        """Let every process put all photos through its networks `passes` times; returns photos in all and seconds."""
        return self._run([passes] * len(self.pipes))

    def pipeline(self, references: Sequence[str]) -> tuple[int, float]:
        """Let the processes share batches of photos of the store, all lines read; returns how many did not fail, and seconds."""
        batches = list(pieces(references, BATCH))
        return self._run([batches[number :: len(self.pipes)] for number in range(len(self.pipes))])

    def _run(self, work: Sequence[Work]) -> tuple[int, float]:
        """Seconds are those from the start to the end of the last process."""
        begun = time.monotonic()
        for pipe, part in zip(self.pipes, work, strict=True):
            pipe.send(part)
        images = sum(pipe.recv() for pipe in self.pipes)
        return images, time.monotonic() - begun


@contextmanager
def bounds(settings: Settings, photos: Sequence[Path], children: int, threads: int) -> Iterator[Bounds]:
    """Build the networks in `children` processes and decode the photos there."""
    spawn = multiprocessing.get_context("spawn")
    pipes, processes = [], []
    for _ in range(children):
        ours, theirs = spawn.Pipe()
        process = spawn.Process(target=_serve, args=(theirs, settings, list(photos), threads), daemon=True)
        process.start()
        theirs.close()
        pipes.append(ours)
        processes.append(process)
    try:
        for pipe in pipes:
            pipe.recv()
        yield Bounds(pipes, [process.pid for process in processes if process.pid], len(photos))
    finally:
        for pipe in pipes:
            pipe.close()
        for process in processes:
            process.join(10)
            if process.is_alive():
                process.terminate()


def _serve(pipe: Connection, settings: Settings, photos: Sequence[Path], threads: int) -> None:
    import cv2  # noqa: PLC0415 - loads in the process that uses it

    from packsight.worker.networks.load import load_embedder, load_spotter  # noqa: PLC0415
    from packsight.worker.pipeline.decode import decode  # noqa: PLC0415
    from packsight.worker.pipeline.middle import middle  # noqa: PLC0415

    cv2.setNumThreads(1)
    embedder, spotter = load_embedder(settings.models, threads), load_spotter(settings.models, threads)
    embedder.warm_up()
    spotter.warm_up()
    arrays = [decode(photo.read_bytes(), settings.decode).pixels for photo in photos]
    groups = list(pieces(arrays, FLOW.group))
    pipeline = _pipeline(settings, embedder, spotter)

    def networks(passes: int) -> int:
        for _ in range(passes):
            for group in groups:
                embedder.embed([*group, *map(middle, group)])
                spotter.spot(group)
        return passes * len(arrays)

    def whole(batches: Sequence[Sequence[str]]) -> int:
        outcomes = [one for batch in batches for one in pipeline.recognize(RecognizeRequest(images=list(batch), read_all=True))]
        return sum(one.status is not Status.FAILED for one in outcomes)

    networks(1)
    pipe.send("ready")
    try:
        while True:
            work: Work = pipe.recv()
            pipe.send(networks(work) if isinstance(work, int) else whole(work))
    except EOFError:
        return


def _pipeline(settings: Settings, embedder: Embedder, spotter: Spotter) -> Pipeline:
    """The pipeline that a child has, but it remembers no photo."""
    from packsight.worker.catalogs.snapshots import Catalogs  # noqa: PLC0415 - loads in the process that uses it
    from packsight.worker.pipeline.feature_cache import FeatureCache  # noqa: PLC0415
    from packsight.worker.pipeline.pipeline import Pipeline  # noqa: PLC0415

    forgetful = settings.model_copy(update={"worker": settings.worker.model_copy(update={"remember": 0})})
    store = ObjectStore(settings.s3, pool_size=settings.fetch.threads)
    own = recipe(embedder.description.fingerprint(), spotter.description.fingerprint())
    catalogs = Catalogs(settings.home, store, own)
    cache = FeatureCache(forgetful, describe_key(own.embedder, own.spotter))
    return Pipeline(Fetcher(settings, store), embedder, spotter, catalogs, cache, settings.decode, threads=settings.fetch.threads)
