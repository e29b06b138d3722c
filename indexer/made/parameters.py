"""Every number by which photos are made from catalog photos, as values; they are part of the fit's name.

They were chosen by hand, as wide as photos that people send, and looked at.
"""

from __future__ import annotations

from dataclasses import dataclass

Range = tuple[float, float]
"""Least and most; drawn evenly between."""


@dataclass(frozen=True)
class CutoutParameters:
    """How a pack is told from the margin around it (packsight.indexer.made.cutout)."""

    tolerance: int = 14
    """Of 255, by which the margin may differ from its colour: shadows and JPEG stay below."""
    uniform: float = 0.85
    """Share of the edge that must have one colour to be a margin: a pack may touch it."""
    least: float = 0.04
    """Share of the photo that must be left: of a white pack on white only its print would be."""


@dataclass(frozen=True)
class SceneParameters:
    """How a pack is laid into a scene (packsight.indexer.made.scene)."""

    source: int = 1024
    """Pixels of the longer side to which a catalog photo is reduced."""
    longer: int = 1024
    """Pixels of the longer side of what is made: as large as what the spotter looks at, or a little larger."""
    shape: Range = (0.7, 1.0)
    """Shorter ÷ longer side."""
    pack: Range = (0.4, 0.95)
    """Share of the scene that the pack takes of the side that it is nearer to."""
    turn: float = 12.0
    """Degrees either way."""
    tilt: float = 0.1
    """Share of its sides by which each corner of a pack moves: seen from some forty degrees aside."""
    hidden: float = 0.12
    """Share of the pack's sides that may lie outside the photo."""
    borrowed: float = 0.5
    """Share of scenes that are a piece of another photo of the catalog; the others are drawn."""
    behind: Range = (10.0, 30.0)
    """Blur of that, sigma in pixels: with 2 to 12 the other product itself was recognised behind two of 300 packs."""


@dataclass(frozen=True)
class CameraParameters:
    """What light and camera do to a scene (packsight.indexer.made.camera)."""

    gain: Range = (0.55, 1.15)
    """Exposure: too dark more often than too bright, which loses the print."""
    gamma: Range = (0.8, 1.3)
    warmth: float = 0.15
    """Share by which red and blue part, either way: from lamps to shade."""
    gradient: float = 0.35
    """Share by which the light falls off over the photo, at most."""
    blur: Range = (0.3, 1.8)
    """Sigma in pixels."""
    noise: Range = (1.0, 9.0)
    """Of 255, standard deviation."""
    quality: tuple[int, int] = (50, 92)
    """Of the JPEG."""


@dataclass(frozen=True)
class MadeParameters:
    """Photos made of products' only photos."""

    photos: int = 0
    """How many are made for a version, at most; a sync takes it from its settings."""
    cutout: CutoutParameters = CutoutParameters()
    scene: SceneParameters = SceneParameters()
    camera: CameraParameters = CameraParameters()


MADE = MadeParameters()
