"""What a catalog version was made with and a worker answers with: a worker serves the versions of its own recipe only."""

from __future__ import annotations

import hashlib

from pydantic import BaseModel, ConfigDict

from packsight.shared.contract.messages import MAKERS, Part


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
    def parts(self) -> dict[Part, str]:
        """Fingerprint of what makes each part of a photo's features."""
        return {part: getattr(self, maker) for part, maker in MAKERS.items()}

    @property
    def key(self) -> str:
        """16 hex digits that name the recipe in the catalog's pointer."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]

    @property
    def is_former(self) -> bool:
        """True when it comes from a release that did not name its matching: what differs cannot be told then."""
        return not self.matching

    def differences(self, other: Recipe) -> str:
        """What sets this recipe apart, in words: `embedder a instead of b, matching c instead of d`; empty for nothing."""
        return ", ".join(
            f"{name} {mine or 'of an older release'} instead of {theirs or 'that of an older release'}"
            for (name, mine), (_, theirs) in zip(self, other, strict=True)
            if mine != theirs
        )

    @classmethod
    def of(cls, made: BaseModel) -> Recipe:
        """Recipe of what carries its fields among others: a manifest, a worker's entry in the registry."""
        return cls.model_validate(made, from_attributes=True)
