"""One photo on its way through the pipeline: each stage adds what it has extracted, or why there is nothing more."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np

from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.contract.errors import ErrorCode, ImageError
from packsight.shared.contract.outcomes import Failure, WordRead
from packsight.shared.matching.candidates import Frame, Query
from packsight.shared.matching.ranking import Ranking
from packsight.shared.matching.stages import rank_by_details
from packsight.shared.vision.features import Features, FloatArray, LocalFeatures, as_packed, make_features
from packsight.worker.pipeline.decode import Photo
from packsight.worker.pipeline.local_features import catalog_features, query_features, thumbnail
from packsight.worker.pipeline.long_photos import LONG_PHOTOS, parts
from packsight.worker.pipeline.several import Several


@dataclass(slots=True, eq=False)
class Extracted:
    """What is known of one photo so far. It is worked on by one thread at a time."""

    reference: str
    sha256: str = ""
    """Of the file's bytes, once they are here."""
    decode: Callable[[], Photo] | None = None
    """What makes the pixels of the bytes that were fetched; let go of as soon as nobody needs them any more."""
    decoded: Photo | None = None
    barcodes: tuple[int, ...] | None = None
    """GTINs on it; None when nobody looked."""
    embedding: FloatArray = field(default_factory=lambda: np.zeros(0, np.float32))
    middle: FloatArray = field(default_factory=lambda: np.zeros(0, np.float32))
    """What the networks saw of the whole photo, and of its middle where it is asked about."""
    words: Sequence[WordRead] = ()
    """As the spotter saw them: boxes in pixels of its, possibly reduced, copy."""
    cut: Sequence[WordRead] = ()
    """The same of lines that were cut out where those of the catalog tell."""
    query: Query | None = None
    """The photo laid against the catalog that answers it, as soon as that was searched."""
    ranking: Ranking | None = None
    """Of the catalog's products by that photo's details, as soon as they were asked."""
    early: Ranking | None = None
    """The one that decided, once its lines that tell were read: by them or by its details."""
    several: Several | None = None
    """What was found on it, where several products are looked for."""
    decided: bool = False
    """Whether the evidence so far was enough for that catalog, so that no further stage was asked."""
    features: Features | None = None
    """All of it in the form that is compared, stored and remembered."""
    failure: Failure | None = None
    outage: str = ""
    """Why it could not be fetched, where the photo is not to blame."""
    timings: dict[str, float] = field(default_factory=dict)
    """Seconds per stage; a stage that photos go through together is shared out evenly, one that was spared is missing."""

    def photo(self) -> Photo:
        """Pixels, decoded when they are first asked for; raises ImageError when the file holds none."""
        if self.decoded is None:
            if self.decode is None:
                raise ValueError(f"the pixels of {self.reference} are gone")
            self.decoded = self.decode()
        return self.decoded

    def described(self) -> Features:
        """Features of what the networks saw so far, without details."""
        photo = self.photo()
        lines, cut = in_original_pixels(self.words, photo), in_original_pixels(self.cut, photo)
        size = (photo.width, photo.height)
        complete = not self.decided
        return make_features(
            self.sha256, size, self.embedding, lines, complete=complete, barcodes=self.barcodes, middle=self.middle, cut=cut
        )

    def ask(self, snapshot: Snapshot, barcodes: tuple[int, ...] | None) -> Query:
        """Lay the photo's key points against a catalog, of a long one the part whose details are surest of a product, with the
        others beside it.

        Raises ImageError when the file cannot be decoded.
        """
        photo = self.photo()
        size = (photo.width, photo.height)
        frames = list(dict.fromkeys([Frame(0.0, 0.0, *size), *parts(size, LONG_PHOTOS.seen)]))
        asked = [Query.of_details(*self.look(frame), snapshot, barcodes or (), frame) for frame in frames]
        best = asked[0] if len(asked) == 1 else max(asked, key=lambda query: _surest(rank_by_details(query, snapshot)))
        if len(asked) > 1:
            beside = tuple(replace(one, whole=frames[0]) for one in asked if one is not best)
            best = replace(best, whole=frames[0], beside=beside)
        best.votes(snapshot)  # kept with it: the time that they take is that of details
        return best

    def look(self, frame: Frame) -> tuple[LocalFeatures, bytes]:
        """Key points and thumbnail of a part of the photo as queries have them, made anew at each call."""
        photo = part_of(self.photo(), frame)
        return as_packed(query_features(photo)), thumbnail(photo)

    def add_details(self) -> None:
        """Put key points and thumbnail to the features as a catalog keeps them; raises ImageError as `ask` does."""
        if self.features is not None:
            photo = self.photo()
            self.features = replace(self.features, local=as_packed(catalog_features(photo)), thumbnail=thumbnail(photo))

    def release(self) -> None:
        """Let go of file and pixels: a large photo takes 12 MB."""
        self.decode = self.decoded = None

    @contextmanager
    def limited(self, stage: str, limit: float) -> Iterator[None]:
        """Raise ImageError TIME_LIMIT when a stage took longer than `limit` seconds.

        Of these count as many as this process worked: while it stands still, as on a machine that is put to sleep, no photo
        is to blame.
        """
        started, worked = time.perf_counter(), time.process_time()
        yield
        spent = min(time.perf_counter() - started, time.process_time() - worked)
        if spent > limit:
            message = f"Its stage “{stage}” took {spent:.0f} s, more than {limit:g}"
            remedy = "Send a smaller photo, or the same again when the machine is less busy."
            raise ImageError(ErrorCode.TIME_LIMIT, message, remedy=remedy)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Note how long a stage takes for this photo."""
        with timed(stage, [self]):
            yield


def _surest(ranking: Ranking) -> float:
    """Probability of the first candidate."""
    return float(ranking.probability[0]) if len(ranking.order) else 0.0


@contextmanager
def timed(stage: str, photos: Sequence[Extracted]) -> Iterator[None]:
    """Share the seconds of a stage out to the photos that go through it together."""
    started = time.perf_counter()
    try:
        yield
    finally:
        share = (time.perf_counter() - started) / max(1, len(photos))
        for photo in photos:
            photo.timings[stage] = share


def part_of(photo: Photo, frame: Frame) -> Photo:
    """The part of a photo that a frame in pixels of its original holds, at least one pixel of it."""
    height, width = photo.pixels.shape[:2]
    (left, right), (top, bottom) = (
        _span(start * side / whole, length * side / whole, side)
        for start, length, side, whole in (
            (frame.left, frame.width, width, photo.width), (frame.top, frame.height, height, photo.height),
        )
    )  # fmt: skip
    return Photo(photo.pixels[top:bottom, left:right], round(frame.width), round(frame.height))


def _span(start: float, length: float, side: int) -> tuple[int, int]:
    first = min(max(int(start), 0), side - 1)
    return first, min(max(math.ceil(start + length), first + 1), side)


def in_original_pixels(words: Sequence[WordRead], photo: Photo) -> list[WordRead]:
    """Words as features keep them: boxes in pixels of the original, whose reduced copy the spotter saw."""
    height, width = photo.pixels.shape[:2]
    sx, sy = photo.width / width, photo.height / height
    return [
        WordRead(
            text=word.text,
            confidence=round(word.confidence, 4),
            box=[(round(x * sx, 1), round(y * sy, 1)) for x, y in word.box],
        )
        for word in words
    ]
