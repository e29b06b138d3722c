"""One image's way: fetch, recall, decode, embed, spot, search, decide.

A batch flows through in groups: while one group is in the networks, threads fetch and decode the next images and another
thread decides about those before. Few are in flight at a time, since a large photo takes 12 MB.

No content goes through the networks twice: what they saw is kept for the rest of the batch and in the cache of all workers,
and a photo that is known from there is not even decoded, unless the matcher asks for its local features.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial

from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.contract.errors import CatalogError, ImageError
from packsight.shared.contract.messages import RecognizeRequest
from packsight.shared.contract.outcomes import Failure, Outcome, Provenance, Status
from packsight.shared.matching.matcher import match
from packsight.shared.settings import Decode
from packsight.shared.storage.fetch import Fetcher
from packsight.shared.vision.decode import Photo, decode
from packsight.shared.vision.features import Features
from packsight.shared.vision.local_features import PhotoFeatures
from packsight.worker.catalogs.snapshots import Catalogs
from packsight.worker.networks.base import Embedder, Spotter
from packsight.worker.pipeline.early_stop import Enough, features_of
from packsight.worker.pipeline.feature_cache import FeatureCache
from packsight.worker.pipeline.overlap import Clock, ahead, behind, rounded

log = logging.getLogger(__name__)

_GROUP = 4
"""Photos in the networks at once: enough to keep them fed, few enough that little is left to decide when the last end."""
_AHEAD = 4
"""Photos loaded before their turn, and photos waiting for their decision."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A photo, or why there is none: decoded, or what decodes it when the features of its content are known."""

    reference: str
    sha256: str = ""
    photo: Photo | Callable[[], Photo] | None = None
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
    """Seconds per stage; a stage that a group goes through together is shared out evenly, one that was spared is missing."""


class Pipeline:
    """The networks of one child with everything that feeds them."""

    def __init__(
        self,
        fetcher: Fetcher,
        embedder: Embedder,
        spotter: Spotter,
        catalogs: Catalogs,
        cache: FeatureCache,
        limits: Decode,
        threads: int,
    ) -> None:
        self._fetcher = fetcher
        self._embedder = embedder
        self._spotter = spotter
        self._catalogs = catalogs
        self._cache = cache
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
        decide = partial(self._decide, snapshot=snapshot, top_k=request.top_k)
        seen = self.see(dict.fromkeys(request.images), None if request.read_all else snapshot)
        answers = {outcome.image: outcome for outcome in behind(self._finisher, decide, seen, most=_AHEAD)}
        return [answers[reference] for reference in request.images]

    def describe(self, references: Sequence[str]) -> Iterator[Seen]:
        """Describe photos in order and whole, local features included, and let go of their pixels.

        They go into the feature store, so they do not take the place of others in the cache.
        """
        return behind(self._finisher, _whole, self.see(references, keep=False), most=_AHEAD)

    def see(
        self, references: Iterable[str], snapshot: Snapshot | None = None, *, keep: bool = True
    ) -> Iterator[Seen]:
        """Describe photos in order; queries and catalog photos both come through here.

        Local features are made when they are first asked for; until then a photo's pixels or its file are held.
        snapshot: read no more of a photo than this catalog version needs to decide.
        """
        known: dict[str, Features] = {}  # by content, in this batch
        load = partial(self._load, known=known, snapshot=snapshot)
        for group in ahead(self._loaders, load, references, most=_AHEAD, group=_GROUP):
            yield from self._look(group, known, snapshot, keep=keep)
            self.images += len(group)

    def _load(self, reference: str, known: dict[str, Features], snapshot: Snapshot | None) -> Loaded:
        clock = Clock()
        sha256 = ""
        try:
            data = self._fetcher.fetch(reference)
            clock.lap("fetch")
            sha256 = hashlib.sha256(data).hexdigest()
            if sha256 not in known and (found := self._cache.get(sha256, _version(snapshot))) is not None:
                known[sha256] = found
            clock.lap("recall")
            if sha256 in known:
                return Loaded(reference, sha256, partial(decode, data, self._limits), timings=clock.laps)
            photo = decode(data, self._limits)
            clock.lap("decode")
        except ImageError as error:
            return Loaded(reference, sha256, failure=Failure.of(error), timings=clock.laps)
        except Exception as error:
            log.exception("loading %s failed", reference)
            return Loaded(reference, sha256, failure=Failure.unexpected(error), timings=clock.laps)
        return Loaded(reference, sha256, photo, timings=clock.laps)

    def _look(
        self, group: Sequence[Loaded], known: dict[str, Features], snapshot: Snapshot | None, *, keep: bool
    ) -> Iterator[Seen]:
        new = {item.sha256: item.photo for item in group if isinstance(item.photo, Photo) and item.sha256 not in known}
        clock = Clock(share=max(1, len(new)))
        if new:
            photos = list(new.values())
            embeddings = self._embedder.embed([photo.pixels for photo in photos])
            clock.lap("embed")
            enough = Enough(photos, embeddings, snapshot) if snapshot is not None else None
            lines = self._spotter.spot([photo.pixels for photo in photos], enough)
            clock.lap("spot")
            for index, ((sha256, photo), embedding, words) in enumerate(zip(new.items(), embeddings, lines, strict=True)):
                complete = enough is None or index not in enough.decided
                known[sha256] = features_of(photo, embedding, words, sha256, complete=complete)
            if keep:  # before these photos are decided about, so that whoever has an answer finds them kept
                self._finisher.submit(self._cache.put, [known[sha256] for sha256 in new], _version(snapshot))
        for item in group:
            if item.photo is None:
                yield Seen(item.reference, None, item.failure, item.sha256 or None, item.timings)
                continue
            looked_at = new.get(item.sha256) is item.photo
            timings = {**item.timings, **clock.laps} if looked_at else item.timings
            features = PhotoFeatures(known[item.sha256], item.photo)
            yield Seen(item.reference, features, None, item.sha256, timings)

    def _decide(self, seen: Seen, snapshot: Snapshot, top_k: int) -> Outcome:
        name = snapshot.manifest.catalog
        if seen.features is None:
            return self._failed(seen, name, snapshot.manifest.version)
        clock = Clock()
        try:
            decision = match(seen.features, snapshot, top_k=top_k)
        except ImageError as error:  # a known photo is decoded here, possibly by a decoder that accepts less
            return self._failed(replace(seen, failure=Failure.of(error)), name, snapshot.manifest.version)
        except Exception as error:
            log.exception("matching %s failed", seen.reference)
            return self._failed(replace(seen, failure=Failure.unexpected(error)), name, snapshot.manifest.version)
        clock.lap("match")
        return Outcome(
            image=seen.reference,
            status=decision.status,
            product=decision.product,
            confidence=decision.confidence,
            candidates=decision.candidates,
            reason=decision.reason,
            words=list(seen.features.words),
            words_complete=seen.features.complete,
            size=(seen.features.width, seen.features.height),
            sha256=seen.sha256,
            provenance=self._provenance(name, snapshot.manifest.version),
            timings=rounded({**seen.timings, **clock.laps}),
        )

    def _failed(self, seen: Seen, catalog: str, version: str | None = None) -> Outcome:
        return Outcome(
            image=seen.reference,
            status=Status.FAILED,
            reason=seen.failure.message if seen.failure else "",
            sha256=seen.sha256,
            failure=seen.failure,
            provenance=self._provenance(catalog, version),
            timings=rounded(seen.timings),
        )

    def _provenance(self, catalog: str, version: str | None) -> Provenance:
        return Provenance(
            catalog=catalog, catalog_version=version, embedder=self.embedder_name, spotter=self.spotter_name
        )


def _whole(seen: Seen) -> Seen:
    features = seen.features
    return replace(seen, features=features.whole()) if isinstance(features, PhotoFeatures) else seen


def _version(snapshot: Snapshot | None) -> str:
    return f"{snapshot.manifest.catalog}/{snapshot.manifest.version}" if snapshot is not None else ""
