"""Image embedders: what each one is, and what runs it."""

from __future__ import annotations

from shared.settings import Models
from worker.compile import Compiler
from worker.embedders import bundled
from worker.networks import Embedder


def load(models: Models, threads: int) -> Embedder:
    """Build the embedder that the settings name. Raises UserError when a part of it is missing."""
    return bundled.load(Compiler(models, threads))
