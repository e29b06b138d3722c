"""Key points of photos that were never taken: as many as wanted, made of those of real photos when they are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from packsight.shared.catalog.arrays import IntArray, Ragged
from packsight.shared.vision.features import ByteArray

AXES = 14
"""Principal axes by whose signs descriptors are called alike: some ten thousand groups."""
REACH = 20
"""How far, in the order of the groups, what a descriptor is mixed with may stand."""


@dataclass(frozen=True)
class Crowd:
    """Descriptors [points, 128] of made-up photos by slice or by rising numbers, always the same.

    Each photo is a real one in the mirror. What a mirror shows is as likely a print as any, and none of the catalog's; a mirrored
    histogram is again one that SIFT could have made. So that a photo can be there many times, each of its descriptors is mixed
    with another like it, by a third at most. photos: how many; each: key points of one.
    """

    mirrored: Ragged
    alike: IntArray
    """Numbers of the descriptors so that like stand together; place: where each stands."""
    place: IntArray
    photos: int
    each: int

    @classmethod
    def of(cls, real: Ragged, photos: int, each: int) -> Crowd:
        """Made of the descriptors of real photos, those without key points left out."""
        starts = real.starts[np.concatenate([[True], np.diff(real.starts) > 0])]
        mirrored = np.asarray(real.values)[:, mirror()]
        centred = mirrored - mirrored.mean(axis=0)
        _, axes = np.linalg.eigh(centred.T @ centred)
        group = (centred @ axes[:, : -AXES - 1 : -1] > 0) @ (1 << np.arange(AXES)[::-1])
        alike = np.argsort(group, kind="stable")
        place = np.empty_like(alike)
        place[alike] = np.arange(len(alike))
        return cls(Ragged(starts, mirrored), alike, place, photos, each)

    @property
    def shape(self) -> tuple[int, int]:
        """Points, and values of a descriptor."""
        return self.photos * self.each, self.mirrored.values.shape[1]

    def __getitem__(self, rows: slice | IntArray) -> ByteArray:
        number = np.arange(*rows.indices(self.shape[0])) if isinstance(rows, slice) else rows
        chance = [_random(number, draw) for draw in range(3)]
        starts = self.mirrored.starts
        photo = (number // self.each) % (len(starts) - 1)
        own = starts[photo] + (chance[0] * (starts[photo + 1] - starts[photo])).astype(np.int64)
        step = 1 + (chance[1] * REACH).astype(np.int64)
        other = self.alike[(self.place[own] + step) % len(self.alike)]
        share = (chance[2] / 3)[:, None].astype(np.float32)
        a, b = (self.mirrored.values[one].astype(np.float32) for one in (own, other))
        mixed = (1 - share) * a + share * b
        # What was clipped as a byte or lost by mixing is made up for: a histogram's length is 512.
        mixed *= 512 / np.maximum(np.linalg.norm(mixed, axis=1, keepdims=True), 1)
        made: ByteArray = np.minimum(np.rint(mixed), 255).astype(np.uint8)
        return made


def mirror() -> IntArray:
    """Where the mirrored histogram takes each value from: 4 rows of 4 cells with 8 directions; rows and directions turn round."""
    place = np.arange(128).reshape(4, 4, 8)[::-1]
    return np.asarray(place[:, :, -np.arange(8) % 8].ravel(), np.int64)


def _random(number: IntArray, draw: int) -> npt.NDArray[Any]:
    """A number from 0 to 1 that follows from each number (splitmix64, Steele, Lea & Flood, OOPSLA 2014)."""
    value = (number.astype(np.uint64) * np.uint64(4) + np.uint64(draw)) * np.uint64(0x9E3779B97F4A7C15)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (value ^ (value >> np.uint64(31))).astype(np.float64) / 2.0**64
