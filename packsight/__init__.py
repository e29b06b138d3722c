"""packsight recognises packaged products in photos, at queue volume."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from packsight.producer.client import Client

__version__ = "0.2.0"

__all__ = ["Client", "__version__"]


def __getattr__(name: str) -> Any:
    # Looked up when first used, so that the command line and the workers do not load what they have no use for.
    if name == "Client":
        from packsight.producer.client import Client  # noqa: PLC0415

        return Client
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
