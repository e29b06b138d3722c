"""The upper bound: the worker's own compiled networks back to back on decoded photos, with nothing around them."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from packsight.shared.settings import Settings
from packsight.worker.pipeline.parameters import FLOW


@dataclass(frozen=True)
class UpperBound:
    """As many processes as a worker has children, ready to begin at one word."""

    pipes: Sequence[Connection]
    pids: Sequence[int]
    photos: int

    def run(self, passes: int) -> tuple[int, float]:
        """Let every process look at all photos `passes` times; returns photos in all and seconds from start to last end."""
        begun = time.monotonic()
        for pipe in self.pipes:
            pipe.send(passes)
        images = sum(pipe.recv() for pipe in self.pipes)
        return images, time.monotonic() - begun


@contextmanager
def upper_bound(settings: Settings, photos: Sequence[Path], children: int, threads: int) -> Iterator[UpperBound]:
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
        yield UpperBound(pipes, [process.pid for process in processes if process.pid], len(photos))
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
    groups = [arrays[start : start + FLOW.group] for start in range(0, len(arrays), FLOW.group)]
    embedder.embed(groups[0])
    spotter.spot(groups[0])
    pipe.send("ready")
    try:
        while True:
            passes = pipe.recv()
            for _ in range(passes):
                for group in groups:
                    embedder.embed([*group, *map(middle, group)])
                    spotter.spot(group)
            pipe.send(passes * len(arrays))
    except EOFError:
        return
