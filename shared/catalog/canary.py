"""A version that is tried on a share of the messages, beside the one that answers the others."""

from __future__ import annotations

from hashlib import blake2b
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from packsight.shared.catalog.manifest import PlainName

Share = Annotated[float, Field(gt=0, lt=1)]


class Canary(BaseModel):
    """What a pointer says of it."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    version: PlainName
    share: Share
    """Of the messages."""

    def takes(self, message: str) -> bool:
        """Whether the message of this id is answered from it: on every worker alike, and again when the message comes again."""
        return lot(message) < self.share


def lot(message: str) -> float:
    """What the id of a message draws, evenly from 0 to 1; a share that is raised keeps all messages that it had."""
    return int.from_bytes(blake2b(message.encode(), digest_size=8).digest()) / 2**64
