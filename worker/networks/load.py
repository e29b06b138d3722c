"""How the networks are built in the process that uses them."""

from __future__ import annotations

from packsight.shared.settings import Models, Precision
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


def refuse_unusable(models: Models) -> None:
    """Build once what a user named: a worker's children would only say in their log what is wrong, again and again.

    Raises UserError that says so, also of settings that exclude each other.
    """
    refuse_unusable_embedder(models)
    refuse_unusable_spotter(models)


def refuse_unusable_embedder(models: Models) -> None:
    """The same of the network that looks."""
    from packsight.worker.networks import embedders  # noqa: PLC0415 - as above

    embedders.refuse_contradictions(models)
    # Those that are released cannot be wrong, but their weights be out of reach for a while: children ask for them again.
    if models.embedder not in {*embedders.BUNDLED, *embedders.state_dict.RELEASED}:
        load_embedder(_as_they_came(models), 1)


def refuse_unusable_spotter(models: Models) -> None:
    """The same of those that read."""
    from packsight.worker.networks.spotters import ppocr  # noqa: PLC0415 - as above

    if models.spotter != ppocr.NAME or models.recogniser or models.recogniser_dictionary:
        load_spotter(_as_they_came(models), 1)
    else:
        ppocr.second_head(models)


def _as_they_came(models: Models) -> Models:
    """Not in int8: those networks are fetched later."""
    return models.model_copy(update={"precision": Precision.AUTO}) if models.precision is Precision.INT8 else models
