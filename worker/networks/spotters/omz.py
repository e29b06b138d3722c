"""Open Model Zoo `text-spotting-000x`: a Mask R-CNN that also hands out text features, and an attention reader.

Inputs and outputs follow the model documentation in openvinotoolkit/open_model_zoo, models/intel/text-spotting-000x.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from scipy.special import softmax

from packsight.shared.contract.errors import UserError
from packsight.shared.contract.outcomes import WordRead
from packsight.shared.parameters import digest
from packsight.shared.vision.features import FloatArray
from packsight.shared.vision.models import SpotterDescription
from packsight.shared.vision.scripts import scripts
from packsight.worker.networks.base import Enough, Image
from packsight.worker.networks.compile import Compiler, Network
from packsight.worker.networks.model_files import network_sha256

ROLES = ("detector", "encoder", "decoder")
START, END = 0, 1
"""Service symbols; the alphabet's symbols follow."""
_UNNAMED = "14c21fda25c1"
"""Digest of the parameters that were in force before they entered the description: what was read by them keeps its name, so
that no photo is described again."""


@dataclass(frozen=True)
class OmzParameters:
    """Which words are found and how they are read; the first two are those of Open Model Zoo's `text_spotting_demo`."""

    min_score: float = 0.5
    """Detections must score more: its `--prob_threshold`."""
    max_symbols: int = 28
    """Symbols of a word at most, should the reader never end it: its MAX_SEQ_LEN."""
    min_letters: int = 2
    """Letters that a word must have: chosen by hand, shorter ones are dropped."""


OMZ = OmzParameters()


class OmzSpotter:
    """Reads single words, one photo after the other."""

    def __init__(self, folder: Path, compiler: Compiler, parameters: OmzParameters = OMZ) -> None:
        self._parameters = parameters
        files = {role: _find(folder, role) for role in ROLES}
        networks = [compiler.compile(compiler.read(file)) for file in files.values()]
        self._detector, self._encoder, self._decoder = networks
        self._pixels, self._info = _image_inputs(self._detector, files["detector"])
        _require(self._detector, files["detector"], outputs=["boxes"])
        _require(self._decoder, files["decoder"], ["prev_symbol", "prev_hidden", "encoder_outputs"], ["output", "hidden"])
        self._features = next((name for name in self._detector.outputs if name.startswith("text_features")), "")
        if not self._features:
            raise UserError(f"{files['detector']} has no output text_features. Use the detector of a text-spotting model.")
        self._alphabet = alphabet(files["detector"].name)
        height, width = self._detector.shape(self._pixels)[2:]
        self._size = (height, width)
        self.description = SpotterDescription(
            name=files["detector"].stem.removesuffix("-detector"),
            source="file",
            sha256={role: network_sha256(file) for role, file in files.items()},
            licence="Apache-2.0",
            precision=compiler.precision.value,
            shapes={"detector": [self._size]},
            scripts=scripts(self._alphabet),
            parameters=None if (made := digest(parameters)) == _UNNAMED else made,
        )

    def spot(self, images: Sequence[Image], _enough: Enough | None = None) -> list[list[WordRead]]:
        """Return the words of each image."""
        return [self._words(image) for image in images]

    def read_at(self, images: Sequence[Image], _corners: Sequence[FloatArray]) -> list[list[WordRead]]:
        """Return no line: what the reader reads are features of the text that the detector found."""
        return [[] for _ in images]

    def warm_up(self) -> None:
        """Run the detector on a grey image and the reader on empty features."""
        self.spot([np.full((*self._size, 3), 128, np.uint8)])
        self._read(np.zeros(self._encoder.shape("input")[1:], np.float32))

    def _words(self, image: Image) -> list[WordRead]:
        scale = min(self._size[0] / image.shape[0], self._size[1] / image.shape[1])
        height, width = (max(1, round(side * scale)) for side in image.shape[:2])
        canvas = np.zeros((*self._size, 3), np.float32)
        canvas[:height, :width] = cv2.resize(image, (width, height))[..., ::-1]
        inputs = {self._pixels: canvas.transpose(2, 0, 1)[np.newaxis]}
        if self._info:
            inputs[self._info] = np.array([[height, width, 1]], np.float32)
        found = self._detector(inputs)
        boxes = found["boxes"].astype(np.float32)
        scores = found["scores"] if "scores" in found else boxes[:, 4]
        words = []
        for index in np.flatnonzero(scores > self._parameters.min_score):
            text, confidence = self._read(found[self._features][index])
            if len(text) >= self._parameters.min_letters:
                words.append(WordRead(text=text, confidence=confidence, box=_corners(boxes[index], image, scale)))
        return sorted(words, key=lambda word: (word.box[0][1], word.box[0][0]))

    def _read(self, features: FloatArray) -> tuple[str, float]:
        """Decode greedily: the word and the mean probability of its symbols."""
        encoded = self._encoder({"input": features[np.newaxis]})["output"]
        encoded = encoded.reshape(1, encoded.shape[1], -1).transpose(0, 2, 1)
        hidden = np.zeros(self._decoder.shape("prev_hidden"), np.float32)
        symbol, letters, probabilities = START, [], []
        for _ in range(self._parameters.max_symbols):
            previous = np.full(self._decoder.shape("prev_symbol"), symbol)
            step = self._decoder({"prev_symbol": previous, "prev_hidden": hidden, "encoder_outputs": encoded})
            shares = softmax(step["output"].reshape(-1).astype(np.float64))
            symbol, hidden = int(shares.argmax()), step["hidden"]
            if symbol == END:
                break
            letters.append(self._alphabet[symbol])
            probabilities.append(shares[symbol])
        return "".join(letters), float(np.mean(probabilities)) if probabilities else 0.0


def alphabet(name: str) -> Sequence[str]:
    """Symbols of the release that the file name tells: digits come first up to 0002, letters from 0003 on."""
    number = re.search(r"text-spotting-(\d{4})", name)
    letters_first = number is not None and int(number[1]) >= 3
    symbols = [string.ascii_lowercase, string.digits] if letters_first else [string.digits, string.ascii_lowercase]
    return ["", "", *"".join(symbols)]


def _find(folder: Path, role: str) -> Path:
    files = sorted(folder.glob(f"*{role}*.xml"))
    if len(files) != 1:
        raise UserError(
            f"{folder} holds {len(files)} files *{role}*.xml. Put the IR files of one Open Model Zoo text-spotting model there: "
            "*detector*.xml, *encoder*.xml and *decoder*.xml, each with its .bin."
        )
    return files[0]


def _image_inputs(detector: Network, file: Path) -> tuple[str, str]:
    """Names of the inputs for pixels and, where the release has it, for the size of the photo in them."""
    pixels = [name for name in detector.inputs if len(detector.shape(name)) == 4]
    others = [name for name in detector.inputs if name not in pixels]
    if len(pixels) != 1 or others not in ([], ["im_info"]):
        raise UserError(f"{file} takes {sorted(detector.inputs)}; expected im_data and im_info, or an image alone.")
    return pixels[0], "".join(others)


def _require(network: Network, file: Path, inputs: Sequence[str] = (), outputs: Sequence[str] = ()) -> None:
    missing = [name for name in inputs if name not in network.inputs] + [n for n in outputs if n not in network.outputs]
    if missing:
        raise UserError(f"{file} lacks {', '.join(missing)}. Use the files of one Open Model Zoo text-spotting model.")


def _corners(box: FloatArray, image: Image, scale: float) -> list[tuple[float, float]]:
    height, width = image.shape[:2]
    left, right = (float(np.clip(x / scale, 0, width)) for x in (box[0], box[2]))
    top, bottom = (float(np.clip(y / scale, 0, height)) for y in (box[1], box[3]))
    return [(left, top), (right, top), (right, bottom), (left, bottom)]
