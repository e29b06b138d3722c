"""What the running workers say of themselves in Redis: which models they run, which catalog versions they serve."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from packsight.shared.contract.errors import UserError
from packsight.shared.queue.connection import result_database
from packsight.shared.settings import Settings
from packsight.shared.vision.models import describe_key

NO_WORKERS = (
    "No worker is up that could describe photos. Start one with `packsight up` or `packsight worker`, then sync again."
)


@dataclass(frozen=True, slots=True)
class ModelPair:
    """Fingerprints of the two models that describe a photo."""

    embedder: str
    spotter: str

    @property
    def key(self) -> str:
        """Name under which their features are stored."""
        return describe_key(self.embedder, self.spotter)


class Fleet:
    """The registry of workers in the result database."""

    def __init__(self, settings: Settings) -> None:
        self.redis = result_database(settings)

    def _entries(self, pattern: str) -> Iterator[dict[str, Any]]:
        for key in self.redis.scan_iter(pattern, count=500):
            value = self.redis.get(key)
            if isinstance(value, str):  # it may have expired since the scan
                yield json.loads(value)

    def models(self) -> ModelPair | None:
        """Models that all workers run; None when no worker is up; raises UserError when they differ."""
        found: dict[ModelPair, str] = {}
        for child in self._entries("packsight:child:*"):
            found.setdefault(ModelPair(child["embedder"], child["spotter"]), f"{child['host']}, process {child['pid']}")
        if len(found) > 1:
            kinds = "; ".join(f"{place}: {pair.embedder} and {pair.spotter}" for pair, place in found.items())
            raise UserError(
                f"The workers run different models ({kinds}). Give all of them the same PACKSIGHT_MODELS__… settings."
            )
        return next(iter(found), None)

    def announce(self, catalog: str) -> None:
        """Hint to the replicas that CURRENT moved; they find out by themselves if nobody hears it."""
        self.redis.publish("packsight:catalogs", catalog)

    def serving(self, catalog: str) -> dict[str, str]:
        """Version of this catalog that each replica serves, empty for none."""
        return {
            entry["node"]: entry.get("catalogs", {}).get(catalog, "") for entry in self._entries("packsight:replica:*")
        }

    def wait_for(self, catalog: str, version: str, seconds: float) -> list[str]:
        """Wait until every replica serves this version; return the nodes that do not after `seconds`."""
        deadline = time.monotonic() + seconds
        while True:
            late = sorted(node for node, served in self.serving(catalog).items() if served != version)
            if not late or time.monotonic() > deadline:
                return late
            time.sleep(0.5)

    def close(self) -> None:
        """Close the connections."""
        self.redis.close()
