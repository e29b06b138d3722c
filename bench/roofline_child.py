"""The process that runs the networks alone on the inputs that photos give them, and counts and times their arithmetic."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import openvino as ov

from bench.arithmetic import flop, product, sgemm
from packsight.shared.settings import Settings
from packsight.worker.networks import embedders
from packsight.worker.networks.compile import Array, Compiler, Network
from packsight.worker.networks.embedders.openvino_runtime import OpenVinoEmbedder
from packsight.worker.networks.spotters import ppocr
from packsight.worker.pipeline.decode import decode

ROUNDS = 5
"""Runs of each network, of which the fastest counts, since others may use the machine meanwhile."""


class Recorded(Network):
    """A compiled network that keeps what it is given."""

    def __init__(self, model: ov.Model, network: Network) -> None:
        vars(self).update(vars(network))
        self._model = model
        self._given: list[Array] = []

    def stream(self, batches: Iterable[Array]) -> Iterator[tuple[Array, ...]]:
        """As the network itself."""
        return super().stream(self._kept(batches))

    def flop(self) -> int:
        """Of all that it was given."""
        shapes = Counter(array.shape for array in self._given)
        return sum(count * flop(self._model, shape) for shape, count in shapes.items())

    def seconds(self) -> float:
        """Processor seconds of this process in which it takes all of that once more."""
        begun = time.process_time()
        for _ in super().stream(self._given):
            pass
        return time.process_time() - begun

    def _kept(self, batches: Iterable[Array]) -> Iterator[Array]:
        for array in batches:
            self._given.append(array)
            yield array


class RecordingCompiler(Compiler):
    """Compiles networks that keep what they are given."""

    def __init__(self, settings: Settings, threads: int) -> None:
        super().__init__(settings.models, threads)
        self.compiled: list[Recorded] = []

    def compile(self, model: ov.Model, *, parallel: bool = False) -> Recorded:
        """As the compiler itself."""
        self.compiled.append(Recorded(model, super().compile(model, parallel=parallel)))
        return self.compiled[-1]


def measure(settings: Settings, photos: Sequence[Path], threads: int) -> dict[str, Any]:
    """The figures of all networks."""
    cv2.setNumThreads(1)
    compiler = RecordingCompiler(settings, threads)
    embedder = OpenVinoEmbedder(*embedders.activations(settings.models, compiler), compiler)
    spotter = ppocr.load(settings.models, compiler)
    images = [decode(photo.read_bytes(), settings.decode).pixels for photo in photos]
    embedder.embed(images)
    spotter.spot(images)
    looks, *reads, finds = compiler.compiled
    named = {"embedder": [looks], "detector": [finds], "recogniser": reads, "all": compiler.compiled}
    precision = compiler.precision.value
    best = {"sgemm": sgemm(), "product": product(precision)}
    seconds = {network: min(network.seconds() for _ in range(ROUNDS)) for network in compiler.compiled}
    parts = {}
    for name, networks in named.items():
        operations = sum(network.flop() for network in networks)
        took = math.fsum(seconds[network] for network in networks)
        parts[name] = {
            "gflop": operations / 1e9 / len(photos),
            "cpu_seconds": took / len(photos),
            "gflop_per_s": operations / 1e9 / took,
            **{f"to_{of}": operations / took / rate for of, rate in best.items()},
        }
    rates = {f"{of}_gflop_per_s": rate / 1e9 for of, rate in best.items()}
    return {"photos": len(photos), "precision": precision, **rates, "networks": parts}
