"""The counts and the verdict of a report."""

from __future__ import annotations

from enum import StrEnum

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from packsight.indexer.gate.rules import Refusal
from packsight.indexer.gate.tables import Levels

TITLES = {
    "failed": "Photos that could not be used",
    "gone": "Products that are gone",
    "reidentified": "Products that came back under another id",
    "renamed": "Products with another name",
    "photoless": "Products that lost all photos",
    "repictured": "Products of which no photo stayed",
    "answers": "Stored queries that are answered otherwise",
    "forgotten": "Own photos that are recognised no longer",
    "confirmed": "Photos that people confirmed, new in this version",
    "left_out": "Confirmed photos that were left out, and why",
    "twins": "Products that are hard to tell apart",
    "shared_pictures": "Pictures of several products",
    "no_photo": "Products without a photo",
    "one_photo": "Products with one photo",
    "contradicted": "Products whose names are not on their packs",
    "unreadable_names": "Products whose names have letters that no worker reads",
    "unread": "Products on whose photos no word in the alphabet of their name was read",
    "added": "New products",
    "changed": "Products with changed fields",
    "photos": "Products with other photos",
}
"""Of the lists, in the order in which they are shown: what wants looking at first."""


class Verdict(StrEnum):
    """What the gate said."""

    ACCEPTED = "accepted"
    FORCED = "forced"
    REFUSED = "refused"
    EMPTY = "refused before anything was built"


class Summary(BaseModel):
    """Of one version, or of one that was refused before it was built."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    catalog: str
    version: str
    parent: str | None = None
    made_at: AwareDatetime
    verdict: Verdict
    reasons: tuple[Refusal, ...] = ()
    """Why it was refused, or what was overridden."""
    case: str = ""
    """Of one that was refused, or was tried as a canary, all that this depends on (packsight.indexer.gate.case)."""
    levels: Levels
    counts: dict[str, int] = Field(default_factory=dict)
    """Rows of the lists, by the names of TITLES."""
    compared: tuple[str, ...] = ()
    """One line for each comparison that was made, or could not be."""
    notes: tuple[str, ...] = ()
