"""How the networks are built in the process that uses them."""

from __future__ import annotations

from packsight.shared.settings import Models
from packsight.worker.networks.base import Embedder, Spotter


def load_embedder(models: Models, threads: int) -> Embedder:
    """Build the embedder that the settings name, for this process alone.

    threads: CPU threads of one inference.

    Raises UserError that says which file or package is missing and where to put it.
    """
    from packsight.worker.networks import embedders  # noqa: PLC0415 - the networks' libraries load in the process that uses them

    return embedders.load(models, threads)


def load_spotter(models: Models, threads: int) -> Spotter:
    """Build the spotter that the settings name, for this process alone.

    threads: CPU threads of one inference.

    Raises UserError that says which file or package is missing and where to put it.
    """
    from packsight.worker.networks import spotters  # noqa: PLC0415 - the networks' libraries load in the process that uses them

    return spotters.load(models, threads)
