"""Text spotters: a detector that finds lines and a recogniser that reads them."""

from __future__ import annotations

from pathlib import Path

from packsight.shared.contract.errors import UserError
from packsight.shared.settings import Models
from packsight.worker.networks.base import Spotter
from packsight.worker.networks.compile import Compiler
from packsight.worker.networks.spotters import ppocr


def load(models: Models, threads: int) -> Spotter:
    """Build the spotter that the settings name. Raises UserError when a part of it is missing."""
    compiler = Compiler(models, threads)
    if models.spotter == ppocr.NAME:
        return ppocr.load(models, compiler)
    if models.recogniser:
        raise UserError(
            f"PACKSIGHT_MODELS__RECOGNISER belongs to the spotter ppocr, but PACKSIGHT_MODELS__SPOTTER is {models.spotter}. "
            "Remove one of the two."
        )
    folder = Path(models.spotter)
    if not folder.is_dir():
        raise UserError(
            f"PACKSIGHT_MODELS__SPOTTER: {models.spotter} is neither ppocr nor a folder. Give ppocr or the folder with the IR "
            "files of an Open Model Zoo text-spotting model."
        )
    from packsight.worker.networks.spotters.omz import OmzSpotter  # noqa: PLC0415 - loads SciPy, of no use to the other spotter

    return OmzSpotter(folder, compiler)
