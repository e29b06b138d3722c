"""One image's way: fetch, decode, embed, spot, search, decide.

A batch flows through in groups: while one group is in the networks, threads fetch and decode the next images and another
thread decides about those before. Few are in flight at a time, since a large photo takes 12 MB.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TypeVar

from shared.decode import Photo, decode
from shared.errors import CatalogError, ImageError
from shared.features import Features, make_features
from shared.fetch import Fetcher
from shared.local_features import PhotoFeatures
from shared.matching.matcher import match
from shared.matching.snapshot import Snapshot
from shared.messages import RecognizeRequest
from shared.outcomes import Failure, Outcome, Provenance, Status, WordRead
from shared.settings import Decode
from worker.catalogs import Catalogs
from worker.networks import Embedder, Spotter

log = logging.getLogger(__name__)

T = TypeVar("T")

_GROUP = 4
"""Photos in the networks at once: enough to keep them fed, few enough that little is left to decide when the last end."""
_AHEAD = 8
"""Photos loaded before their turn, and photos waiting for their decision."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A decoded photo, or why there is none."""

    reference: str
    sha256: str | None = None
    photo: Photo | None = None
    failure: Failure | None = None
    timings: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Seen:
    """What the networks saw on a photo, or why they saw nothing."""

    reference: str
    features: Features | None
    failure: Failure | None
    sha256: str | None
    timings: dict[str, float]
    """Seconds per stage; a stage that a group goes through together is shared out evenly."""


class Pipeline:
    """The networks of one child with everything that feeds them."""

    def __init__(
        self, fetcher: Fetcher, embedder: Embedder, spotter: Spotter, catalogs: Catalogs, limits: Decode, threads: int
    ) -> None:
        self._fetcher = fetcher
        self._embedder = embedder
        self._spotter = spotter
        self._catalogs = catalogs
        self._limits = limits
        self._loaders = ThreadPoolExecutor(threads, thread_name_prefix="load")
        self._finisher = ThreadPoolExecutor(1, thread_name_prefix="finish")
        self.embedder_name = embedder.description.fingerprint()
        self.spotter_name = spotter.description.fingerprint()
        self.images = 0

    def recognize(self, request: RecognizeRequest) -> list[Outcome]:
        """Answer a batch from one catalog version: one outcome per reference, in order, whatever is wrong with some."""
        try:
            snapshot = self._catalogs.get(request.catalog)
        except CatalogError as error:
            failure = Failure.of(error)
            return [self._failed(Seen(ref, None, failure, None, {}), request.catalog) for ref in request.images]
        return list(
            self._finished(self.see(request.images), lambda seen: self._decide(seen, snapshot, request.top_k))
        )

    def describe(self, references: Sequence[str]) -> Iterator[Seen]:
        """Describe photos in order and whole, local features included, and let go of their pixels."""
        return self._finished(self.see(references), _whole)

    def see(self, references: Sequence[str]) -> Iterator[Seen]:
        """Describe photos in order; queries and catalog photos both come through here.

        Local features are made when they are first asked for; until then a photo's pixels are held.
        """
        for group in self._groups(references):
            yield from self._look(group)
            self.images += len(group)

    def _groups(self, references: Sequence[str]) -> Iterator[list[Loaded]]:
        """Load ahead; a group is what is ready, so that the networks never wait for more than one photo."""
        unasked = iter(references)
        waiting: deque[Future[Loaded]] = deque()
        while True:
            for reference in unasked:
                waiting.append(self._loaders.submit(self._load, reference))
                if len(waiting) >= _AHEAD:
                    break
            if not waiting:
                return
            group = [waiting.popleft().result()]
            while waiting and waiting[0].done() and len(group) < _GROUP:
                group.append(waiting.popleft().result())
            yield group

    def _finished(self, seen: Iterable[Seen], work: Callable[[Seen], T]) -> Iterator[T]:
        """Do the work on each photo while the networks look at the next ones."""
        waiting: deque[Future[T]] = deque()
        for item in seen:
            waiting.append(self._finisher.submit(work, item))
            if len(waiting) > _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    def _load(self, reference: str) -> Loaded:
        clock = _Clock()
        sha256 = None
        try:
            data = self._fetcher.fetch(reference)
            clock.lap("fetch")
            sha256 = hashlib.sha256(data).hexdigest()
            photo = decode(data, self._limits)
            clock.lap("decode")
        except ImageError as error:
            return Loaded(reference, sha256, failure=Failure.of(error), timings=clock.laps)
        except Exception as error:
            log.exception("loading %s failed", reference)
            return Loaded(reference, sha256, failure=Failure.unexpected(error), timings=clock.laps)
        return Loaded(reference, sha256, photo, timings=clock.laps)

    def _look(self, group: Sequence[Loaded]) -> list[Seen]:
        photos = [item.photo for item in group if item.photo is not None]
        clock = _Clock(share=max(1, len(photos)))
        embeddings = iter(self._embedder.embed([photo.pixels for photo in photos]))
        clock.lap("embed")
        lines = iter(self._spotter.spot([photo.pixels for photo in photos]))
        clock.lap("spot")
        seen = []
        for item in group:
            features = None
            if item.photo is not None:
                size = (item.photo.width, item.photo.height)
                words = _in_original_pixels(next(lines), item.photo)
                known = make_features(item.sha256 or "", size, next(embeddings), words)
                features = PhotoFeatures(known, item.photo)
            timings = {**item.timings, **clock.laps} if features else item.timings
            seen.append(Seen(item.reference, features, item.failure, item.sha256, timings))
        return seen

    def _decide(self, seen: Seen, snapshot: Snapshot, top_k: int) -> Outcome:
        name = snapshot.manifest.catalog
        if seen.features is None:
            return self._failed(seen, name, snapshot.manifest.version)
        clock = _Clock()
        try:
            decision = match(seen.features, snapshot, top_k=top_k)
        except Exception as error:
            log.exception("matching %s failed", seen.reference)
            failure = Failure.unexpected(error)
            return self._failed(
                Seen(seen.reference, None, failure, seen.sha256, seen.timings), name, snapshot.manifest.version
            )
        clock.lap("match")
        return Outcome(
            image=seen.reference,
            status=decision.status,
            product=decision.product,
            confidence=decision.confidence,
            candidates=decision.candidates,
            reason=decision.reason,
            words=list(seen.features.words),
            size=(seen.features.width, seen.features.height),
            sha256=seen.sha256,
            provenance=self._provenance(name, snapshot.manifest.version),
            timings=_rounded({**seen.timings, **clock.laps}),
        )

    def _failed(self, seen: Seen, catalog: str, version: str | None = None) -> Outcome:
        return Outcome(
            image=seen.reference,
            status=Status.FAILED,
            reason=seen.failure.message if seen.failure else "",
            sha256=seen.sha256,
            failure=seen.failure,
            provenance=self._provenance(catalog, version),
            timings=_rounded(seen.timings),
        )

    def _provenance(self, catalog: str, version: str | None) -> Provenance:
        return Provenance(
            catalog=catalog, catalog_version=version, embedder=self.embedder_name, spotter=self.spotter_name
        )


def _whole(seen: Seen) -> Seen:
    features = seen.features
    return replace(seen, features=features.whole()) if isinstance(features, PhotoFeatures) else seen


class _Clock:
    """Seconds between laps, divided by the number of photos that shared them."""

    def __init__(self, share: int = 1) -> None:
        self.laps: dict[str, float] = {}
        self._share = share
        self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self.laps[stage] = (now - self._last) / self._share
        self._last = now


def _rounded(timings: dict[str, float]) -> dict[str, float]:
    return {stage: round(seconds, 5) for stage, seconds in timings.items()}


def _in_original_pixels(words: Sequence[WordRead], photo: Photo) -> list[WordRead]:
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
