"""What is known of a photo from its pixels alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from packsight.shared.contract.outcomes import WordRead

FloatArray = npt.NDArray[np.float32]
ByteArray = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class LocalFeatures:
    """Key points of a photo, strongest first; of a catalog photo those of one scale first, then of others in turn.

    points: [n, 2] float32, x and y as shares of width and height, 0 to 1.
    descriptors: [n, 128] uint8, root-SIFT (Arandjelović & Zisserman, 2012) times 512, clipped at 255.
    """

    points: FloatArray
    descriptors: ByteArray
    leading: int | None = None
    """Of a catalog photo, how many stand first that it would be asked about with; None when all would."""

    def __getitem__(self, rows: slice) -> LocalFeatures:
        """Some of the points."""
        return LocalFeatures(self.points[rows], self.descriptors[rows])

    def as_query(self) -> LocalFeatures:
        """The points with which the photo would be asked about."""
        return self if self.leading is None else self[: self.leading]


NO_LOCAL = LocalFeatures(np.zeros((0, 2), np.float32), np.zeros((0, 128), np.uint8))


def joined(first: LocalFeatures, others: Sequence[LocalFeatures]) -> LocalFeatures:
    """Key points of several scales: those of the first, then of the others in turn, the strongest of each first."""
    if not others:
        return first
    rank = np.concatenate([np.arange(len(part.points)) for part in others])
    order = np.argsort(rank, kind="stable")
    rest = [np.concatenate([getattr(part, name) for part in others])[order] for name in ("points", "descriptors")]
    return LocalFeatures(
        np.concatenate([first.points, rest[0]]), np.concatenate([first.descriptors, rest[1]]), len(first.points)
    )


@dataclass(frozen=True, slots=True)
class Features:
    """Everything that matching needs of a photo; the same for a query and a catalog photo."""

    sha256: str
    """Of the file's bytes."""
    width: int
    height: int
    embedding: FloatArray
    """[dimension] raw activations of the whole photo, neither projected nor normalised."""
    words: tuple[WordRead, ...]
    local: LocalFeatures
    thumbnail: bytes
    """JPEG of the upright photo, longer side 128 pixels: colours for comparing aligned regions."""
    complete: bool = True
    """Whether all was extracted, not only as much as a catalog version needed to decide."""
    barcodes: tuple[int, ...] | None = None
    """GTINs of the EAN and UPC symbols on it; None when nobody looked for any."""
    middle: FloatArray = field(default_factory=lambda: np.zeros(0, np.float32))
    """The same as `embedding` of the photo's middle, where the pack is on most photos that are asked about; nothing of a catalog
    photo, which the pack fills."""

    cut: tuple[WordRead, ...] = ()
    """Lines that were cut out where those of a catalog tell, and read by themselves: of a photo that is asked about."""
    cut_for: str = ""
    """Which catalog version told where they lie; those of another one lie elsewhere."""

    @property
    def looks(self) -> FloatArray:
        """[looks, dimension] embeddings of the whole photo and of its middle, as far as they are known."""
        known = [one for one in (self.embedding, self.middle) if len(one)]
        return np.stack(known) if known else np.zeros((0, 0), np.float32)


def make_features(
    sha256: str,
    size: tuple[int, int],
    embedding: FloatArray,
    words: Sequence[WordRead],
    local: LocalFeatures = NO_LOCAL,
    thumbnail: bytes = b"",
    *,
    complete: bool = True,
    barcodes: tuple[int, ...] | None = None,
    middle: FloatArray | None = None,
    cut: Sequence[WordRead] = (),
) -> Features:
    """Put features together with the precision that a pack keeps, so that query and catalog photo see equal numbers.

    size: width and height in pixels.
    """
    return Features(
        sha256=sha256,
        width=size[0],
        height=size[1],
        embedding=_packed(embedding),
        words=_packed_lines(words),
        local=as_packed(local),
        thumbnail=thumbnail,
        complete=complete,
        barcodes=barcodes,
        middle=_packed(np.zeros(0, np.float32) if middle is None else middle),
        cut=_packed_lines(cut),
    )


def _packed(embedding: FloatArray) -> FloatArray:
    return embedding.astype(np.float16).astype(np.float32)


def _packed_lines(lines: Sequence[WordRead]) -> tuple[WordRead, ...]:
    return tuple(
        WordRead(
            text=line.text,
            confidence=float(np.float32(line.confidence)),
            box=[(float(np.float32(x)), float(np.float32(y))) for x, y in line.box],
        )
        for line in lines
    )


def as_packed(local: LocalFeatures) -> LocalFeatures:
    """Round key points to the precision that a pack keeps."""
    return replace(local, points=local.points.astype(np.float16).astype(np.float32))
