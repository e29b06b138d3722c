"""What a photo lacks on which a product could not have been seen: stable codes, each with what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Lack(StrEnum):
    """Stable codes; they are part of the message contract."""

    RESOLUTION = "resolution"
    SHARPNESS = "sharpness"
    LIGHT = "light"
    OVEREXPOSED = "overexposed"
    NOTHING_FOUND = "nothing_found"


@dataclass(frozen=True, slots=True)
class Want:
    """Why a photo does not do, as the end of a sentence, and the one that would."""

    cause: str
    remedy: str


WANTED: dict[Lack, Want] = {
    Lack.RESOLUTION: Want("has too few pixels", "Send a larger photo."),
    Lack.SHARPNESS: Want("is blurred", "Send a sharp photo."),
    Lack.LIGHT: Want("is too dark", "Send a photo with more light."),
    Lack.OVEREXPOSED: Want("is overexposed", "Send a photo with less light."),
    Lack.NOTHING_FOUND: Want("shows neither text nor a known pack", "Send a photo of the front, with the pack large on it."),
}
