"""Small ornaments, drawn once per family so that siblings carry exactly the same picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from packsight.deploy.demo.shop.lettering import Pixels
from packsight.deploy.demo.shop.products import Colour

Points = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Place:
    """Where an ornament goes: its centre and half its width, in pixels."""

    x: float
    y: float
    size: float


def _fill(face: Pixels, points: Points, colour: Colour) -> None:
    cv2.fillPoly(face, [np.round(points * 8).astype(np.int32)], colour, cv2.LINE_AA, 3)


def _leaf(face: Pixels, root: tuple[float, float], stalk: tuple[float, float], colour: Colour) -> None:
    length, angle = stalk
    t = np.linspace(0, 1, 24)
    half = 0.24 * length * np.sin(np.pi * t) ** 0.8
    outline = np.concatenate([np.stack([t * length, half], 1), np.stack([t * length, -half], 1)[::-1]])
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    _fill(face, outline @ turn + np.array(root), colour)


def _leaves(face: Pixels, place: Place, colours: tuple[Colour, Colour], rng: np.random.Generator) -> None:
    x, y, size = place.x, place.y, place.size
    for number in range(7):
        angle = -np.pi * (0.08 + 0.14 * number) + rng.uniform(-0.1, 0.1)
        _leaf(face, (x, y + size * 0.35), (size * rng.uniform(0.6, 0.9), angle), colours[number % 2])


def _waves(face: Pixels, place: Place, colours: tuple[Colour, Colour], rng: np.random.Generator) -> None:
    x, y, size = place.x, place.y, place.size
    t = np.linspace(-1, 1, 60)
    phase = rng.uniform(0, 6)
    for number in range(4):
        crest = 0.22 * number - 0.4 + 0.12 * np.sin(4 * t + phase + number * 0.7)
        upper = np.stack([x + t * size, y + size * crest], 1)
        lower = upper[::-1] + np.array([0, size * (0.11 - 0.016 * number)])
        _fill(face, np.concatenate([upper, lower]), colours[number % 2])


def _drops(face: Pixels, place: Place, colours: tuple[Colour, Colour], rng: np.random.Generator) -> None:
    x, y, size = place.x, place.y, place.size
    t = np.linspace(0, 2 * np.pi, 40)
    for number in range(5):
        scale = size * rng.uniform(0.16, 0.34)
        shift = (x + size * 0.38 * (number - 2) * 0.9, y + rng.uniform(-0.25, 0.25) * size)
        outline = np.stack([np.sin(t) * np.sin(t / 2) ** 1.5, -np.cos(t)], 1)
        _fill(face, outline * scale + np.array(shift), colours[number % 2])


def _hills(face: Pixels, place: Place, colours: tuple[Colour, Colour], rng: np.random.Generator) -> None:
    x, y, size = place.x, place.y, place.size
    t = np.linspace(-1, 1, 60)
    for number in range(3):
        height = size * (0.34 - 0.2 * number)
        ridge = y - height * np.exp(-((t - rng.uniform(-0.6, 0.6)) ** 2) * 4) + size * 0.14 * number
        ground = np.array([[x + size, y + size * 0.4], [x - size, y + size * 0.4]])
        _fill(face, np.concatenate([np.stack([x + t * size, ridge], 1), ground]), colours[number % 2])


def _arcs(face: Pixels, place: Place, colours: tuple[Colour, Colour], rng: np.random.Generator) -> None:
    x, y, size = place.x, place.y, place.size
    tilt = float(rng.uniform(-20, 20))
    for number in range(5):
        radius = round(size * (0.85 - 0.15 * number))
        width, foot = max(2, round(size * 0.05)), (round(x), round(y + size * 0.3))
        cv2.ellipse(face, foot, (radius, radius), tilt, 185, 355, colours[number % 2], width, cv2.LINE_AA)


def _suns(face: Pixels, place: Place, colours: tuple[Colour, Colour], rng: np.random.Generator) -> None:
    x, y, size = place.x, place.y, place.size
    turn = rng.uniform(0, 0.3)
    for number in range(16):
        angle = turn + number * np.pi / 8
        turns, reach = angle + np.array([-0.09, 0, 0.09]), size * np.array([0.5, 0.85, 0.5])
        _fill(face, np.stack([x + np.cos(turns) * reach, y + np.sin(turns) * reach], 1), colours[1])
    cv2.circle(face, (round(x), round(y)), round(size * 0.42), colours[0], -1, cv2.LINE_AA)


def _beans(face: Pixels, place: Place, colours: tuple[Colour, Colour], rng: np.random.Generator) -> None:
    x, y, size = place.x, place.y, place.size
    for _ in range(6):
        centre = (round(x + size * 0.6 * rng.uniform(-1, 1)), round(y + size * 0.35 * rng.uniform(-1, 1)))
        axes, turn = (round(size * 0.2), round(size * 0.13)), float(rng.uniform(0, 180))
        cv2.ellipse(face, centre, axes, turn, 0, 360, colours[0], -1, cv2.LINE_AA)
        slit = (axes[0], round(axes[1] * 0.25))
        cv2.ellipse(face, centre, slit, turn, 20, 160, colours[1], max(2, round(size * 0.02)), cv2.LINE_AA)


Motif = Callable[[Pixels, Place, tuple[Colour, Colour], np.random.Generator], None]
MOTIFS: dict[str, Motif] = {
    "leaves": _leaves, "waves": _waves, "drops": _drops, "hills": _hills, "arcs": _arcs, "suns": _suns, "beans": _beans,
}  # fmt: skip
"""Ornaments by name."""
