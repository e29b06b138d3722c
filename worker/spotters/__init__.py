"""Text spotters: a detector that finds lines and a recogniser that reads them."""

from __future__ import annotations

from shared.settings import Models
from worker.compile import Compiler
from worker.networks import Spotter
from worker.spotters import ppocr


def load(models: Models, threads: int) -> Spotter:
    """Build the spotter that the settings name. Raises UserError when a part of it is missing."""
    return ppocr.load(Compiler(models, threads))
