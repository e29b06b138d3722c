"""A catalog that stays where somebody went back to, until somebody lets its syncs publish again."""

from __future__ import annotations

from pydantic import AwareDatetime, BaseModel, ConfigDict

from packsight.shared.catalog.manifest import PlainName


class Hold(BaseModel):
    """What a pointer says of it, for a recipe."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    gone_back_from: PlainName
    """The latest version that was gone back from: whoever points at it again, or at a later one, ends the hold."""
    since: AwareDatetime
