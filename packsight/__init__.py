"""packsight recognises packaged products in photos, at queue volume."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from packsight.producer.async_client import AsyncClient
    from packsight.producer.client import Client
    from packsight.producer.evaluation.frames import read_evaluation
    from packsight.producer.frames import read_results

__version__ = "0.2.0"

__all__ = ["AsyncClient", "Client", "__version__", "read_evaluation", "read_results"]

_HOMES = {
    "AsyncClient": "packsight.producer.async_client",
    "Client": "packsight.producer.client",
    "read_evaluation": "packsight.producer.evaluation.frames",
    "read_results": "packsight.producer.frames",
}


def __getattr__(name: str) -> Any:
    # Looked up when first used, so that the command line and the workers do not load what they have no use for.
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
