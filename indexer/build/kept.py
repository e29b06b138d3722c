"""What a version keeps of a photo for laying it over another: as many key points as there is room for, and its colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from packsight.indexer.build.parameters import FIT, FitParameters
from packsight.shared.catalog.descriptor_codes import CODE_BYTES, CODEBOOK, DESCRIPTOR, decode
from packsight.shared.matching.worthiest import worthiest
from packsight.shared.parameters import DETAILS, MATCHING
from packsight.shared.vision.features import ByteArray, LocalFeatures


def point_bytes(parameters: FitParameters = FIT) -> int:
    """What a key point weighs: its code, two half floats of its place, its code in the index and its number there."""
    return CODE_BYTES + 4 + parameters.details.bytes + 8


def room(photos: int, parameters: FitParameters = FIT) -> int:
    """Key points of a photo that a catalog of so many photos keeps."""
    affordable = parameters.local_bytes // (point_bytes(parameters) * max(photos, 1))
    return min(max(affordable, parameters.min_points), parameters.points)


def fewer_points(photos: int, parameters: FitParameters) -> Sequence[str]:
    """What is to be noted where a catalog is so large that it keeps fewer key points of a photo than a smaller one would."""
    most = room(photos, parameters)
    if most >= parameters.points:
        return ()
    return (
        f"of up to {parameters.points} key points of a photo {most} are kept: a catalog of {photos:,} photos has room for "
        f"no more ({parameters.local_bytes / 1e9:.3g} GB of them), so that small and half hidden packs are known less often",
    )


def kept_points(local: LocalFeatures, photos: int, parameters: FitParameters = FIT) -> LocalFeatures:
    """Key points for which a catalog of so many photos has room, spread over the photo; those of the first scale first."""
    most = room(photos, parameters)
    if len(local.points) <= most:
        return local
    own, further = len(local.as_query().points), len(DETAILS.further_scales)
    # The strongest of each copy, then the second of each: strengths of different copies do not compare.
    turn = np.concatenate([np.arange(own), np.arange(len(local.points) - own) // further])
    strongest = np.argsort(turn, kind="stable")
    rows = np.sort(strongest[worthiest(local.points[strongest], local.descriptors[strongest], MATCHING.spread)[:most]])
    return LocalFeatures(local.points[rows], local.descriptors[rows], int(np.searchsorted(rows, own)))


def encode(descriptors: ByteArray) -> ByteArray:
    """Codes [n, 32] of descriptors [n, 128]: of equally near quadruples the first, so that all processors make the same ones."""
    codes = np.empty((len(descriptors), CODE_BYTES), np.uint8)
    parts = descriptors.reshape(-1, CODE_BYTES, CODEBOOK.shape[2]).transpose(1, 0, 2).astype(np.float32, order="C")
    for number, (own, quadruples, squares) in enumerate(zip(parts, _DOUBLED, _SQUARES, strict=True)):
        # Small whole numbers, whose sums are exact in whatever order they are made.
        nearness = own @ quadruples
        nearness -= squares
        codes[:, number] = nearness.argmax(axis=1)
    return codes


_DOUBLED = np.ascontiguousarray(2 * CODEBOOK.astype(np.float32).transpose(0, 2, 1))
_SQUARES = (CODEBOOK.astype(np.float32) ** 2).sum(axis=2)
"""|a - b|² is least where 2ab - b² is most; both of each part, [32, 4, 256] and [32, 256]."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """Descriptors [points, 128] of codes [points, 32], made where they are asked for."""

    codes: npt.NDArray[np.uint8]

    @property
    def shape(self) -> tuple[int, int]:
        """How many there are, and how long they are."""
        return len(self.codes), DESCRIPTOR

    def __getitem__(self, rows: Any, /) -> ByteArray:
        """Some of them: a slice, or numbers in rising order."""
        return decode(self.codes[rows])


def colours_only(thumbnail: bytes, quality: int) -> bytes:
    """A thumbnail as colours are compared, a square; as it is where it cannot be read."""
    image = cv2.imdecode(np.frombuffer(thumbnail, np.uint8), cv2.IMREAD_COLOR) if thumbnail else None
    if image is None:
        return thumbnail
    side = MATCHING.colours.side
    square = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
    sampling = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    return cv2.imencode(".jpg", square, [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_OPTIMIZE, 1, *sampling])[1].tobytes()
