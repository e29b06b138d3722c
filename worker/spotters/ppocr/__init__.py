"""PP-OCR: the networks of the `rapidocr` wheel with a pipeline of packsight's own."""

from __future__ import annotations

from pathlib import Path

from shared.errors import UserError
from shared.models import SpotterDescription
from shared.settings import Models
from worker.compile import Compiler
from worker.model_files import network_sha256, packaged, sha256
from worker.spotters.ppocr import detector, recogniser
from worker.spotters.ppocr.detector import Detector
from worker.spotters.ppocr.readings import Readers
from worker.spotters.ppocr.recogniser import Recogniser
from worker.spotters.ppocr.spotter import PpOcrSpotter

NAME = "ppocr"


def load(models: Models, compiler: Compiler) -> PpOcrSpotter:
    """Build it from the files in the wheel and from the further recogniser that the settings name.

    Raises UserError when a file is missing or does not fit.
    """
    det = packaged("rapidocr", "rapidocr/models/PP-OCRv6_det_small.onnx")
    rec = packaged("rapidocr", "rapidocr/models/PP-OCRv6_rec_small.onnx")
    files = {"detector": det.sha256, "recogniser": rec.sha256}
    readers = [Recogniser(rec.path, compiler)]
    strips = [(recogniser.HEIGHT, width) for width in recogniser.WIDTHS]
    shapes = {"detector": [*detector.SHAPES, *detector.ENLARGED], "recogniser": strips}
    if models.recogniser:
        file, dictionary = Path(models.recogniser), models.recogniser_dictionary
        readers.append(_further(file, Path(dictionary) if dictionary else None, compiler))
        files["further_recogniser"] = network_sha256(file)
        shapes["further_recogniser"] = strips
        if dictionary:
            files["further_dictionary"] = sha256(Path(dictionary))
    elif models.recogniser_dictionary:
        raise UserError("PACKSIGHT_MODELS__RECOGNISER_DICTIONARY is set without PACKSIGHT_MODELS__RECOGNISER. Set both or none.")
    description = SpotterDescription(
        name=NAME,
        source=det.source,
        sha256=files,
        licence="Apache-2.0" if len(readers) == 1 else "Apache-2.0, and that of the further recogniser",
        precision=compiler.precision.value,
        shapes=shapes,
        preprocessing=3,
    )
    return PpOcrSpotter(description, Detector(det.path, compiler), readers[0] if len(readers) == 1 else Readers(readers))


def _further(file: Path, dictionary: Path | None, compiler: Compiler) -> Recogniser:
    try:
        return Recogniser(file, compiler, dictionary)
    except UserError as error:
        raise UserError(f"PACKSIGHT_MODELS__RECOGNISER: {error}") from None
