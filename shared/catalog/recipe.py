"""What a catalog version was made with and a worker answers with: a worker serves the versions of its own recipe only."""

from __future__ import annotations

import hashlib

from pydantic import BaseModel, ConfigDict


class Recipe(BaseModel):
    """Fingerprints of everything that an answer depends on beside the catalog's own photos and words."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    embedder: str
    """Of the network behind the embeddings."""
    spotter: str
    """Of the networks behind the words."""
    details: str
    """Of how key points and thumbnails are made."""
    matching: str
    """Of word rules, evidence and every parameter that decides."""

    @property
    def key(self) -> str:
        """16 hex digits that name the recipe in the catalog's pointer."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]
