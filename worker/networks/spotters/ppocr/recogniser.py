"""The PP-OCR recogniser: strips of text to strings, with greedy CTC decoding."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import openvino as ov
from openvino import opset13 as ops

from packsight.shared.contract.errors import UserError
from packsight.worker.networks.base import Image
from packsight.worker.networks.compile import Compiler
from packsight.worker.networks.graph import take_pixels
from packsight.worker.networks.spotters.ppocr.choice import believed
from packsight.worker.networks.spotters.ppocr.head import Head, extend
from packsight.worker.networks.spotters.ppocr.parameters import SPOTTING, StripParameters
from packsight.worker.networks.spotters.ppocr.readings import Reading


class Recogniser:
    """Reads strips of text.

    file: an ONNX or IR file that takes BGR [1, 3, 48, w], (value − 127.5) / 127.5, and returns probabilities
        [1, steps, symbols], symbol 0 being CTC's blank and the last one a space.
    dictionary: a text file with one character per line; None when the network's metadata holds it under `character`.
    head: reads a further alphabet on the same backbone; of each strip the reading counts that is believed more.

    Raises UserError when a file is missing, is no recogniser of this kind, or doesn't fit the other.
    """

    def __init__(
        self,
        file: Path,
        compiler: Compiler,
        dictionary: Path | None = None,
        parameters: StripParameters = SPOTTING.strips,
        head: Head | None = None,
    ) -> None:
        self._parameters = parameters
        self._head = head
        model = compiler.read(file)
        self.symbols = ["", *_characters(model, file, dictionary), " "]
        scores = model.outputs[0].get_partial_shape()
        if scores.rank.is_dynamic or len(scores) != 3:
            raise UserError(f"{file} returns {scores}; a PP-OCR recogniser returns [1, steps, symbols]. Use such a file.")
        if scores[2].is_static and scores[2].get_length() != len(self.symbols):
            raise UserError(
                f"{file} tells {scores[2].get_length()} symbols apart, its dictionary "
                f"{len(self.symbols)} with blank and space. Use the dictionary that belongs to the recogniser."
            )
        centre = (127.5, 127.5, 127.5)
        further = [] if head is None else [extend(model, head)]
        model = take_pixels(_best_symbols(model, further), channels="BGR", mean=centre, std=centre)
        try:
            widths = ov.Dimension(parameters.widths[0], parameters.widths[-1])
            model.reshape(ov.PartialShape([1, parameters.height, widths, 3]))
        except RuntimeError:
            raise UserError(
                f"{file} does not take strips {parameters.height} pixels high of any width. "
                "Use a PP-OCR recogniser with a free width."
            ) from None
        self._network = compiler.compile(model, parallel=True)
        self._further = [] if head is None else ["", *head.about.characters]

    def read(self, strips: Iterable[Image]) -> Iterator[Reading]:
        """Read strips [48, w, 3] in RGB, w at most the last declared width."""
        for bundled, other, aspect in self.readings(strips):
            if self._head is None or other is None:
                yield bundled
            else:
                yield believed(bundled, other, aspect, self._head.script, self._head.about.weights)

    def readings(self, strips: Iterable[Image]) -> Iterator[tuple[Reading, Reading | None, float]]:
        """Read strips as `read` does; yields what each head says, and how many times as wide as high the strip is."""
        aspects: deque[float] = deque()

        def prepared() -> Iterator[npt.NDArray[np.uint8]]:
            for strip in strips:
                aspects.append(strip.shape[1] / strip.shape[0])
                yield padded(strip, self._parameters)

        for confidences, symbols, *further in self._network.stream(prepared()):
            other = decode(further[1], further[0], self._further) if further else None
            yield decode(symbols, confidences, self.symbols), other, aspects.popleft()

    @property
    def characters(self) -> Sequence[str]:
        """All that its heads name."""
        return [*self.symbols, *self._further]

    def warm_up(self) -> None:
        """Run every declared width."""
        grey, height = self._parameters.padding, self._parameters.height
        for _ in self.read(np.full((height, width, 3), grey, np.uint8) for width in self._parameters.widths):
            pass


def decode(symbols: npt.NDArray[np.int32], confidences: npt.NDArray[np.float32], names: Sequence[str]) -> Reading:
    """Greedy CTC: merge repeats, drop blanks (Graves et al., Connectionist Temporal Classification, 2006).

    symbols, confidences: the best of each step; names: by number of symbol, 0 being the blank.
    """
    symbols, confidences = symbols.reshape(-1), confidences.reshape(-1)
    kept = (symbols != 0) & np.concatenate([[True], symbols[1:] != symbols[:-1]])
    if not kept.any():
        return Reading("", 0.0)
    return Reading("".join(names[i] for i in symbols[kept]), float(confidences[kept].mean()))


def bucket(width: int, widths: Sequence[int] = SPOTTING.strips.widths) -> int:
    """The declared width that a strip of this width is brought to."""
    return next((declared for declared in widths if declared >= width), widths[-1])


def padded(strip: Image, parameters: StripParameters = SPOTTING.strips) -> Image:
    """Pad a strip [48, w, 3] on the right to its declared width: [1, 48, declared, 3]."""
    width = bucket(strip.shape[1], parameters.widths)
    canvas = np.full((1, parameters.height, width, 3), parameters.padding, np.uint8)
    canvas[0, :, : strip.shape[1]] = strip
    return canvas


def _best_symbols(model: ov.Model, further: Sequence[ov.Output]) -> ov.Model:
    """Keep only the best symbol of each step and its probability, of each head: two numbers instead of thousands.

    further: logits of other heads [1, steps, symbols].
    """
    probabilities = [model.outputs[0].get_node().input_value(0), *(ops.softmax(logits, 2).output(0) for logits in further)]
    best = [ops.topk(one, np.int32(1), axis=2, mode="max", sort="none", index_element_type="i32") for one in probabilities]
    return ov.Model([output for one in best for output in one.outputs()], model.get_parameters())


def _characters(model: ov.Model, file: Path, dictionary: Path | None) -> Sequence[str]:
    if dictionary is not None:
        try:
            return dictionary.read_text("utf-8").removesuffix("\n").split("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(
                f"The dictionary {dictionary} cannot be read: {error}. Give a UTF-8 file with one character a line."
            ) from None
    place = ["framework", "character"]
    if not model.has_rt_info(place):
        raise UserError(
            f"{file} holds no dictionary. Name the text file with its characters in PACKSIGHT_MODELS__RECOGNISER_DICTIONARY."
        )
    return str(model.get_rt_info(place).value).splitlines()
