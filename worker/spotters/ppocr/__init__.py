"""PP-OCR: the networks of the `rapidocr` wheel with a pipeline of packsight's own."""

from __future__ import annotations

from shared.models import SpotterDescription
from worker.compile import Compiler
from worker.model_files import packaged
from worker.spotters.ppocr import detector, recogniser
from worker.spotters.ppocr.detector import Detector
from worker.spotters.ppocr.recogniser import Recogniser
from worker.spotters.ppocr.spotter import PpOcrSpotter

NAME = "ppocr"


def load(compiler: Compiler) -> PpOcrSpotter:
    """Build it from the files in the wheel. Raises UserError when they are missing."""
    det = packaged("rapidocr", "rapidocr/models/PP-OCRv6_det_small.onnx")
    rec = packaged("rapidocr", "rapidocr/models/PP-OCRv6_rec_small.onnx")
    description = SpotterDescription(
        name=NAME,
        source=det.source,
        sha256={"detector": det.sha256, "recogniser": rec.sha256},
        licence="Apache-2.0",
        precision=compiler.precision.value,
        shapes={
            "detector": [*detector.SHAPES, *detector.ENLARGED],
            "recogniser": [(recogniser.HEIGHT, width) for width in recogniser.WIDTHS],
        },
    )
    return PpOcrSpotter(description, Detector(det.path, compiler), Recogniser(rec.path, compiler))
