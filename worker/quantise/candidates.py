"""The networks that can be quantised: their graphs, what goes into them, and what each would be part of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import openvino as ov

from packsight.shared.settings import Models
from packsight.worker.networks import embedders, quantised
from packsight.worker.networks.base import Embedder, Image
from packsight.worker.networks.compile import Compiler
from packsight.worker.networks.embedders.openvino_runtime import OpenVinoEmbedder
from packsight.worker.networks.embedders.pixels import squash
from packsight.worker.networks.quantised import NetworkFile
from packsight.worker.networks.spotters import ppocr
from packsight.worker.networks.spotters.ppocr.detector import Detector, fit, letterbox
from packsight.worker.networks.spotters.ppocr.recogniser import Recogniser, padded
from packsight.worker.networks.spotters.ppocr.spotter import PpOcrSpotter
from packsight.worker.quantise.convert import Array, preparation
from packsight.worker.quantise.examine import Examination
from packsight.worker.quantise.judge import Measure
from packsight.worker.quantise.material import spread

STRIPS = 300
"""Lines of text that the recogniser is calibrated on."""
_CENTRE = (127.5, 127.5, 127.5)


class Candidate(Protocol):
    """A network to be tried.

    name: for people; key: as worker.networks.quantised.key; source: sha256 of the network in full precision; transformer: whether
    it has attention.
    """

    name: str
    key: str
    source: str
    transformer: bool

    def model(self) -> ov.Model:
        """Its graph, without preprocessing."""
        ...

    def samples(self, photos: Iterable[Image]) -> list[Array]:
        """What the graph is given for photos."""
        ...

    def work(self, file: Path | None, photos: Sequence[Image]) -> Callable[[], object]:
        """Its work on photos, done by the graph in `file` (None: by its own), for comparing speed."""
        ...

    def judge(self, file: Path, examination: Examination) -> list[Measure]:
        """What the graph in `file` loses."""
        ...


class EmbedderCandidate:
    """The embedder that the settings name.

    compiler: of precision `auto`; exact: of float32, for calibration.
    """

    def __init__(self, models: Models, compiler: Compiler, exact: Compiler) -> None:
        self._compiler, self._exact = compiler, exact
        self.description, self._activations = embedders.activations(models, compiler)
        self.name, self.transformer = self.description.name, False
        self.source = self.description.sha256
        self.key = quantised.key(self.source, *quantised.made_with(self.description))

    def model(self) -> ov.Model:
        """The graph up to the activations; the pooling's powers would lose too much in 8 bits."""
        return self._activations.clone()

    def samples(self, photos: Iterable[Image]) -> list[Array]:
        """Squashed photos."""
        told = self.description
        prepare = preparation(self.model(), self._exact, channels=told.channels, mean=told.mean, std=told.std)
        return [prepare(squash(photo, told.input_size)[np.newaxis]) for photo in photos]

    def work(self, file: Path | None, photos: Sequence[Image]) -> Callable[[], object]:
        """Embed them."""
        embedder = self.build(file)
        return lambda: embedder.embed(photos)

    def judge(self, file: Path, examination: Examination) -> list[Measure]:
        """Measure looks."""
        return examination.embedder(self.build(file))

    def build(self, file: Path | None) -> Embedder:
        """The embedder with the graph in `file`."""
        model = self.model() if file is None else self._compiler.read(file)
        return OpenVinoEmbedder(self.description, model, self._compiler)


class TextCandidate:
    """The detector or the recogniser of `ppocr`.

    spotter: of precision `auto`, for the lines that the recogniser reads.
    """

    def __init__(self, role: str, models: Models, compiler: Compiler, exact: Compiler, spotter: PpOcrSpotter) -> None:
        self._role, self._models, self._compiler, self._exact, self._spotter = role, models, compiler, exact, spotter
        self._networks = {part: compiler.choose(file.path, file.sha256) for part, file in ppocr.carried().items()}
        self._own = self._networks[role]
        self.name = f"{ppocr.NAME} {role}"
        # Without this, 7 of 10 words are lost.
        self.transformer = role == ppocr.RECOGNISER
        self.source = self._own.sha256
        self.key = quantised.key(self.source)

    def model(self) -> ov.Model:
        """The graph as it came."""
        return self._compiler.read(self._own.path)

    def samples(self, photos: Iterable[Image]) -> list[Array]:
        """Photos in the detector's declared shapes, or lines of text in the recogniser's widths."""
        prepare = preparation(self.model(), self._exact, channels="BGR", mean=_CENTRE, std=_CENTRE)
        if self._role == ppocr.DETECTOR:
            return [prepare(letterbox(photo, *fit(photo.shape[:2]))) for photo in photos]
        return [prepare(padded(strip)) for strip in spread(self._strips(photos), STRIPS)]

    def work(self, file: Path | None, photos: Sequence[Image]) -> Callable[[], object]:
        """Find lines, or read those that are there."""
        path = file or self._own.path
        if self._role == ppocr.DETECTOR:
            detector = Detector(path, self._compiler)
            return lambda: list(detector.detect(photos))
        recogniser, strips = Recogniser(path, self._compiler), self._strips(photos)
        strips.sort(key=lambda strip: strip.shape[1])
        return lambda: list(recogniser.read(strips))

    def judge(self, file: Path, examination: Examination) -> list[Measure]:
        """Measure words, the other network of the spotter being as it was."""
        network = NetworkFile(file, self.source, self._own.precision)
        networks = {**self._networks, self._role: network}
        return examination.spotter(ppocr.build(self._models, self._compiler, networks))

    def _strips(self, photos: Iterable[Image]) -> list[Image]:
        return [line.pixels for photo in photos for line in self._spotter.find([photo])]
