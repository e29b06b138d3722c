"""Every number by which verdicts are used, as values, each with its reason."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ReviewedParameters:
    """Bounds on what verdicts do; all chosen by hand unless it says otherwise."""

    photos: int = 10
    """Confirmed photos of a product at most, the newest: a pack has some six views, and what a version weighs grows with them."""
    nearly: float = 0.95
    """Correlation of two photos' thumbnails from which they are nearly the same, and one of them adds nothing. Of 450 pairs of
    photos of one boxed film, by four phones and the shop, none is above 0.74."""
    shape: float = 0.05
    """Share by which the shapes of two such photos may differ."""
    pairs: int = 300
    """Reviewed photos of either kind, unsure and sampled, by which a version is calibrated, the newest: as many as photos of its
    own that are left out."""
    enough: int = 20
    """Pairs more, or fewer, than a version was calibrated by, for which alone another one is built: while people review, each
    sync would build one."""
    absent_days: float = 180.0
    """How long `not in the catalog` is believed: the shop may have listed the product since."""


REVIEWED = ReviewedParameters()
