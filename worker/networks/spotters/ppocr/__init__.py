"""PP-OCR: the networks of the `rapidocr` wheel with a pipeline of packsight's own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from packsight.shared.contract.errors import UserError
from packsight.shared.parameters import digest
from packsight.shared.settings import Models
from packsight.shared.storage.files import hash_file
from packsight.shared.vision.models import SpotterDescription
from packsight.shared.vision.scripts import scripts
from packsight.worker.networks.compile import Compiler
from packsight.worker.networks.heads import head_file
from packsight.worker.networks.model_files import ModelFile, network_sha256, packaged
from packsight.worker.networks.quantised import NetworkFile
from packsight.worker.networks.spotters.ppocr import head as heads
from packsight.worker.networks.spotters.ppocr.detector import Detector
from packsight.worker.networks.spotters.ppocr.parameters import SPOTTING, SpottingParameters
from packsight.worker.networks.spotters.ppocr.readings import Readers
from packsight.worker.networks.spotters.ppocr.recogniser import Recogniser
from packsight.worker.networks.spotters.ppocr.spotter import PpOcrSpotter

NAME = "ppocr"
DETECTOR, RECOGNISER = "detector", "recogniser"
PREPROCESSING = 4
"""Raised whenever the same parameters read a photo in another way."""
_UNNAMED = "108c543544f4"
"""Digest of the parameters that read a whole photo as those did that were in force before they entered the description: what was
read so keeps its name, so that no photo is described again."""


def load(models: Models, compiler: Compiler, parameters: SpottingParameters = SPOTTING) -> PpOcrSpotter:
    """Build it from the files in the wheel and from the further recogniser that the settings name.

    Raises UserError when a file is missing or does not fit.
    """
    networks = {role: compiler.choose(file.path, file.sha256) for role, file in carried().items()}
    return build(models, compiler, networks, parameters)


def carried() -> dict[str, ModelFile]:
    """The networks in the wheel, by role. Raises UserError when one is missing."""
    return {
        DETECTOR: packaged("rapidocr", "rapidocr/models/PP-OCRv6_det_small.onnx"),
        RECOGNISER: packaged("rapidocr", "rapidocr/models/PP-OCRv6_rec_small.onnx"),
    }


def second_head(models: Models) -> heads.Head | None:
    """The head for a further alphabet that the settings name; None where they name none.

    Raises UserError when it is missing, damaged, or does not fit the recogniser.
    """
    return heads.load(head_file(models.alphabet), carried()[RECOGNISER].sha256) if models.alphabet else None


def build(
    models: Models,
    compiler: Compiler,
    networks: Mapping[str, NetworkFile],
    parameters: SpottingParameters = SPOTTING,
) -> PpOcrSpotter:
    """Build it from a detector and a recogniser, whose source is the wheel; otherwise as `load`."""
    files, own = {role: network.sha256 for role, network in networks.items()}, carried()
    head = second_head(models)
    if models.alphabet:
        files["head"] = hash_file(head_file(models.alphabet))
    readers = [Recogniser(networks[RECOGNISER].path, compiler, parameters=parameters.strips, head=head)]
    strips = [(parameters.strips.height, width) for width in parameters.strips.widths]
    shapes = {DETECTOR: [*parameters.detector.shapes, *parameters.detector.enlarged], RECOGNISER: strips}
    if models.recogniser:
        file, dictionary = Path(models.recogniser), models.recogniser_dictionary
        readers.append(_further(file, Path(dictionary) if dictionary else None, compiler, parameters))
        files["further_recogniser"] = network_sha256(file)
        shapes["further_recogniser"] = strips
        if dictionary:
            files["further_dictionary"] = hash_file(Path(dictionary))
    elif models.recogniser_dictionary:
        raise UserError("PACKSIGHT_MODELS__RECOGNISER_DICTIONARY is set without PACKSIGHT_MODELS__RECOGNISER. Set both or none.")
    # Which of the two is in int8, the hashes tell.
    quantised = [network.precision for network in networks.values() if network.int8]
    description = SpotterDescription(
        name=NAME,
        source=own[DETECTOR].source,
        sha256=files,
        licence="Apache-2.0" if len(readers) == 1 else "Apache-2.0, and that of the further recogniser",
        precision=quantised[0] if quantised else compiler.precision.value,
        shapes=shapes,
        preprocessing=PREPROCESSING,
        scripts=scripts(character for reader in readers for character in reader.characters),
        parameters=None if (made := digest(parameters)) == _UNNAMED else made,
    )
    detector = Detector(networks[DETECTOR].path, compiler, parameters)
    reader = readers[0] if len(readers) == 1 else Readers(readers, parameters.readings)
    return PpOcrSpotter(description, detector, reader, parameters)


def _further(file: Path, dictionary: Path | None, compiler: Compiler, parameters: SpottingParameters) -> Recogniser:
    try:
        return Recogniser(file, compiler, dictionary, parameters.strips)
    except UserError as error:
        raise UserError(f"PACKSIGHT_MODELS__RECOGNISER: {error}") from None
