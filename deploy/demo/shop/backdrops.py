"""Where packages stand: a studio sweep, a table, a kitchen wall, cloth, a blurred room and a shop's shelf."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Canvas = npt.NDArray[np.float32]
"""RGB, [height, width, 3], 0 to 255."""


def of_three(plane: npt.NDArray[Any]) -> Canvas:
    """The same value, [height, width], for each of three colours: numpy is slow at spreading it over them itself."""
    return np.asarray(cv2.merge((plane, plane, plane)), np.float32)


def _colour(rng: np.random.Generator, low: float, high: float, saturation: float) -> npt.NDArray[np.float32]:
    level = rng.uniform(low, high)
    return np.asarray(np.clip(level * (1 + saturation * rng.uniform(-1, 1, 3)), 8, 252), np.float32)


def _noise(
    rng: np.random.Generator, size: tuple[int, int], cells: tuple[int, int], depth: int = 1
) -> npt.NDArray[np.float32]:
    """Smooth noise of about -1 to 1 over `size` (height, width) with so many cells down and across."""
    grid = rng.standard_normal((cells[0], cells[1], depth)).astype(np.float32)
    smooth = cv2.resize(grid, (size[1], size[0]), interpolation=cv2.INTER_CUBIC)
    return np.asarray(smooth.reshape(size[0], size[1], depth), np.float32) * 0.5


def _sweep(rng: np.random.Generator, height: int, width: int) -> Canvas:
    """A studio's paper sweep, nearly white."""
    tint = _colour(rng, 215, 250, 0.03)
    fall = np.linspace(1.03, 0.86, height, dtype=np.float32)[:, None, None]
    return np.tile(tint * fall, (1, width, 1))


def _wood(rng: np.random.Generator, height: int, width: int) -> Canvas:
    """A table of planks under a plain or busy wall."""
    tone = np.array([1.0, rng.uniform(0.68, 0.8), rng.uniform(0.42, 0.62)], np.float32) * rng.uniform(110, 215)
    planks = int(rng.integers(4, 8))
    rows = []
    size = (height // planks + 1, width)
    for _ in range(planks):
        grain = _noise(rng, size, (14, 3)) * 0.13 + _noise(rng, size, (40, 5)) * 0.05
        rows.append(tone * rng.uniform(0.88, 1.08) * (1 + grain))
        rows[-1][:2] *= 0.55
    table = np.concatenate(rows)[:height]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), float(rng.uniform(-30, 30)), 1.35)
    table = np.asarray(cv2.warpAffine(table, turn, (width, height), borderMode=cv2.BORDER_REFLECT), np.float32)
    horizon = round(height * rng.uniform(0.25, 0.6))
    table[:horizon] = _room(rng, height, width)[:horizon]
    return table


def _room(rng: np.random.Generator, height: int, width: int) -> Canvas:
    """A room far out of focus: soft patches and a few discs of light; drawn small, since nothing in it is sharp."""
    full = (width, height)
    height, width = height // 4, width // 4
    patches = 0.5 * _noise(rng, (height, width), (5, 6)) + 0.14 * _noise(rng, (height, width), (4, 4), 3)
    room: Canvas = np.asarray(_colour(rng, 60, 180, 0.25) * (1 + patches), np.float32)
    for _ in range(int(rng.integers(4, 12))):
        disc = np.zeros((height, width), np.float32)
        centre = (int(rng.integers(width)), int(rng.integers(height)))
        cv2.circle(disc, centre, int(rng.integers(3, 12)), float(rng.uniform(0.2, 0.5)), -1, cv2.LINE_AA)
        room += (_colour(rng, 150, 250, 0.3) - room) * cv2.blur(disc, (2, 2))[..., None]
    return np.asarray(cv2.resize(np.clip(room, 5, 250), full, interpolation=cv2.INTER_CUBIC), np.float32)


def _tiles(rng: np.random.Generator, height: int, width: int) -> Canvas:
    """A kitchen: wall of tiles above a speckled worktop."""
    colour, step = _colour(rng, 120, 230, 0.2), int(rng.integers(70, 150))
    wall = colour * (1 + 0.03 * _noise(rng, (height, width), (30, 30)))
    joint = _colour(rng, 90, 200, 0.05)
    wall[::step] = wall[1::step] = wall[:, ::step] = wall[:, 1::step] = joint
    top = round(height * rng.uniform(0.55, 0.78))
    speckle = rng.standard_normal((height - top, width, 1)).astype(np.float32)
    wall[top:] = _colour(rng, 50, 190, 0.12) * (1 + 0.10 * cv2.blur(speckle, (2, 2))[..., None])
    return wall


def _cloth(rng: np.random.Generator, height: int, width: int) -> Canvas:
    """A cloth with checks or stripes and soft folds."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    turn, step = rng.uniform(0, np.pi), rng.uniform(30, 80)
    bands = np.sign(np.sin((x * np.cos(turn) + y * np.sin(turn)) / step))
    if rng.random() < 0.5:
        bands = bands + np.sign(np.sin((x * np.sin(turn) - y * np.cos(turn)) / step))
    one, other = _colour(rng, 90, 230, 0.3), _colour(rng, 60, 200, 0.4)
    share = cv2.blur(((bands + 2) / 4).astype(np.float32), (3, 3))[..., None]
    folds = 1 + 0.16 * _noise(rng, (height, width), (4, 5))
    return np.asarray((one * share + other * (1 - share)) * folds, np.float32)


def _shelf(rng: np.random.Generator, height: int, width: int) -> Canvas:
    """A shop's shelf: back panel, board, price rail with tags, and the dark gap below."""
    panel = _colour(rng, 120, 225, 0.12) * np.linspace(0.55, 1.0, height, dtype=np.float32)[:, None, None]
    shelf = panel * (1 + 0.02 * _noise(rng, (height, width), (8, 40)))
    board = round(height * 0.90)
    shelf[board:] = _colour(rng, 150, 235, 0.08)
    rail = round(height * 0.935)
    shelf[rail:] = _colour(rng, 60, 220, 0.5)
    for x in range(int(rng.integers(10, 80)), width, int(rng.integers(150, 230))):
        shelf[rail + 6 : height - 6, x : x + 92] = 245
        for bar in range(4):
            y = rail + 14 + bar * 9
            shelf[y : y + 4, x + 8 : x + int(rng.integers(40, 84))] = 40
    return shelf


BACKDROPS: dict[str, Callable[[np.random.Generator, int, int], Canvas]] = {
    "studio": _sweep, "table": _wood, "room": _room, "kitchen": _tiles, "cloth": _cloth, "shelf": _shelf,
}  # fmt: skip
"""Backgrounds by name: random numbers, height, width."""
