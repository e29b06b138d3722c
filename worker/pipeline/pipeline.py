"""One photo's way: fetch, look up, decode, read barcodes, compare details, read the lines that tell, embed, read words, decide.

A batch flows through in groups: while one group is in the networks, threads fetch files and decode the next photos, and another
thread decides about those before. Few are in flight at a time, since a large photo takes 12 MB.

No content goes through the networks twice: what they saw is kept for the rest of the batch and in the cache of all workers.
Of a photo that is known from there only the details are looked at again, and what no catalog has asked for yet: its barcodes,
which are looked for only where the catalog has some, and the lines that tell in this catalog version.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from typing import TypeVar

from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.contract.errors import CatalogError, Dependency, ImageError, Outage, StorageError
from packsight.shared.contract.messages import PARTS, Part, RecognizeRequest
from packsight.shared.contract.outcomes import Failure, Outcome
from packsight.shared.contract.references import plain, shown
from packsight.shared.matching.decision import by_barcode, decision
from packsight.shared.matching.stages import rank_by_all, rank_by_details
from packsight.shared.matching.stopping import as_served, with_evidence
from packsight.shared.overlap import postprocess, prefetch, started
from packsight.shared.settings import Decode
from packsight.shared.storage.fetch import Fetcher
from packsight.shared.vision.features import Features
from packsight.worker.catalogs.snapshots import Catalogs
from packsight.worker.networks.base import Embedder, Spotter
from packsight.worker.pipeline.answer import Answer
from packsight.worker.pipeline.barcodes import read_barcodes
from packsight.worker.pipeline.decode import decode
from packsight.worker.pipeline.early_stop import EarlyStop
from packsight.worker.pipeline.extracted import Extracted, timed
from packsight.worker.pipeline.feature_cache import FeatureCache
from packsight.worker.pipeline.middle import middle
from packsight.worker.pipeline.parameters import FLOW, FlowParameters
from packsight.worker.pipeline.patience import Patience
from packsight.worker.pipeline.reading import read_in_parts
from packsight.worker.pipeline.several import Asked, Several, find_several

log = logging.getLogger(__name__)

T = TypeVar("T")
Watched = Callable[[Sequence[str]], AbstractContextManager[None]]


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
        flow: FlowParameters = FLOW,
        watched: Watched = lambda _: nullcontext(),
        aside: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        """watched: the context in which photos of these references are before a stage that may never end; aside: the one in
        which all of them wait for something else."""
        self._fetcher = fetcher
        self._embedder = embedder
        self._spotter = spotter
        self._catalogs = catalogs
        self._cache = cache
        self._limits = limits
        self._flow = flow
        self._watched = watched
        self._aside = aside
        self._fetchers = ThreadPoolExecutor(threads, thread_name_prefix="fetch")
        self._loaders = ThreadPoolExecutor(flow.ahead, thread_name_prefix="load")
        self._finisher = ThreadPoolExecutor(1, thread_name_prefix="finish")
        self.embedder_name = embedder.description.fingerprint()
        self.spotter_name = spotter.description.fingerprint()
        self.images = 0
        """Photos that have passed the networks or were known to them."""

    def recognize(self, request: RecognizeRequest, message: str = "") -> list[Outcome]:
        """Answer a batch from one catalog version: one outcome per reference, in order, whatever is wrong with some.

        message: id of the message that the batch came in, by which it is answered from a canary or not.

        Raises Outage when object storage is away, with the outcomes of what was fetched before, and when the catalog is
        published but this worker cannot answer from it.
        """
        answer = Answer(request.catalog, self.embedder_name, self.spotter_name)
        try:
            with self._aside():
                snapshot = self._catalogs.get(request.catalog, message)
        except StorageError as error:
            raise Outage(Dependency.STORE, error.message) from error
        except CatalogError as error:
            if error.retryable:
                raise Outage(Dependency.CATALOG, error.message) from error
            failure = Failure.of(error)
            return [answer.failed(Extracted(reference, failure=failure)) for reference in request.images]
        answer = answer.by(snapshot)
        photos = self.extract(
            dict.fromkeys(request.images), snapshot,
            barcodes=bool(snapshot.barcodes), products=request.max_products, read_all=request.read_all,
        )  # fmt: skip
        away: dict[str, str] = {}
        decide = partial(self._decide, snapshot=snapshot, answer=answer, request=request)
        finish = partial(self._watching, decide)
        outcomes = postprocess(self._finisher, finish, _noting_outages(photos, away), most=self._flow.ahead)
        answers = {outcome.image: outcome for outcome in outcomes}
        if away:
            finished = {image: outcome for image, outcome in answers.items() if image not in away}
            raise Outage(Dependency.STORE, next(iter(away.values())), finished)
        return [answers[reference] for reference in request.images]

    def require_networks(self) -> None:
        """Raise an Outage where the networks do not answer any more, as on a device that was lost."""
        try:
            self._embedder.warm_up()
            self._spotter.warm_up()
        except Exception as error:
            raise Outage(Dependency.NETWORKS, f"{type(error).__name__}: {plain(str(error))}") from error

    def describe(self, references: Sequence[str], parts: Collection[Part] = PARTS) -> Iterator[Extracted]:
        """Extract the wanted parts of photos, in order, and let go of their pixels.

        They go into the feature store, so they do not take the place of others in the cache.
        """
        photos = self.extract(references, parts=parts, asked=False)
        complete = partial(self._complete, parts=parts)
        return postprocess(self._finisher, partial(self._watching, complete), photos, most=self._flow.ahead)

    def extract(
        self,
        references: Iterable[str],
        snapshot: Snapshot | None = None,
        *,
        parts: Collection[Part] = PARTS,
        asked: bool = True,
        barcodes: bool = False,
        products: int = 1,
        read_all: bool = False,
    ) -> Iterator[Extracted]:
        """Extract embedding and words of photos, in order; queries and catalog photos both come through here.

        snapshot: extract no more of a photo than this catalog version needs to decide. asked: they are asked about, so that their
        middles are looked at too, and what was seen is kept in the cache. barcodes: look for them too. products: how many are
        looked for on a photo. read_all: read every line, whatever decides.
        """
        version = _version(snapshot, products)
        kept_as = "" if read_all else version
        enough = EarlyStop(snapshot, products, read_all=read_all)
        known: dict[str, Features] = {}  # by content, in this batch
        flow = self._flow
        patience = Patience(flow.patience * (flow.ahead + flow.fetching), flow.least_patience)
        fetched = started(self._fetchers, partial(self._fetch, patience=patience), references, most=flow.fetching)

        def lacking(photo: Features) -> bool:
            return (barcodes and photo.barcodes is None) or enough.lacks_lines(photo, version)

        load = partial(self._load, known=known, version=kept_as, lacking=lacking)
        for group in prefetch(self._loaders, load, fetched, most=flow.ahead, group=flow.group):
            usable = [photo for photo in group if photo.failure is None]
            new = {photo.sha256: photo for photo in usable if photo.sha256 not in known}
            old = {photo.sha256: photo for photo in usable if photo.sha256 in known and lacking(known[photo.sha256])}
            for sha256, photo in old.items():
                photo.barcodes = known[sha256].barcodes
            with self._watched([photo.reference for photo in (*new.values(), *old.values())]):
                if barcodes:
                    self._read_barcodes(photo for photo in (*new.values(), *old.values()) if photo.barcodes is None)
                self._look(list(new.values()), enough, parts, asked=asked)
                known |= {sha256: replace(photo.described(), cut_for=version) for sha256, photo in new.items()}
                known |= self._look_again(old, known, enough, version)
            for photo in usable:
                photo.features = known[photo.sha256]
                if products == 1 and photo.query is not None:
                    photo.release()  # it is decided about without its pixels, while the next ones are looked at
            if asked:  # before these photos are decided about, so that whoever has an answer finds them kept
                self._finisher.submit(self._cache.put, [known[sha256] for sha256 in new | old], kept_as)
            self.images += len(group)
            yield from group

    def _fetch(self, reference: str, patience: Patience) -> Extracted:
        """Fetch a photo's file."""
        photo = Extracted(reference)
        with self._noting_failure(photo):
            with photo.timed("fetch"), patience.fetching(reference):
                data = self._fetcher.fetch(reference)
            photo.sha256 = hashlib.sha256(data).hexdigest()
            photo.decode = partial(decode, data, self._limits)
        return photo

    def _load(
        self, fetched: Future[Extracted], known: dict[str, Features], version: str, lacking: Callable[[Features], bool]
    ) -> Extracted:
        """Decode a photo unless what is wanted of it is known."""
        photo = fetched.result()
        if photo.failure is not None:
            return photo
        with self._noting_failure(photo):
            with photo.timed("cache"):
                if photo.sha256 not in known and (found := self._cache.get(photo.sha256, version)):
                    known[photo.sha256] = found
            if photo.sha256 not in known or lacking(known[photo.sha256]):
                with self._watched([photo.reference]), photo.timed("decode"), photo.limited("decode", self._limits.seconds):
                    photo.photo()
        return photo

    @contextmanager
    def _noting_failure(self, photo: Extracted) -> Iterator[None]:
        try:
            yield
        except ImageError as error:
            photo.failure = Failure.of(error)
            photo.outage = error.message if self._fetcher.is_outage(photo.reference, error) else ""
        except Exception as error:
            log.exception("loading %s failed", shown(photo.reference))
            photo.failure = Failure.unexpected(error)

    def _look(self, photos: Sequence[Extracted], enough: EarlyStop, parts: Collection[Part], *, asked: bool) -> None:
        """Let the stages add their evidence, cheapest first; a photo that is decided goes no further."""
        open_ = self._ask_details([photo for photo in photos if not enough.by_barcode(photo)], enough)
        if open_ and "embedding" in parts:
            self._embed(open_, middles=asked)
        if open_ and "words" in parts:
            self._read(open_, enough)

    def _look_again(
        self, photos: Mapping[str, Extracted], known: Mapping[str, Features], enough: EarlyStop, version: str
    ) -> dict[str, Features]:
        """Features of photos that are known, with what this catalog version asks beyond what others did."""
        found = {sha256: replace(known[sha256], barcodes=photo.barcodes) for sha256, photo in photos.items()}
        unread = [sha256 for sha256, features in found.items() if enough.lacks_lines(features, version)]
        self._ask_details([photos[sha256] for sha256 in unread], enough)
        return found | {
            sha256: replace(found[sha256], cut=photos[sha256].described().cut, cut_for=version) for sha256 in unread
        }

    def _ask_details(self, photos: Sequence[Extracted], enough: EarlyStop) -> list[Extracted]:
        """Let details and the lines that tell add their evidence; returns the photos that they leave open."""
        if not enough.asks:
            return list(photos)
        self._compare_details(photos, enough)
        self._read_telling(photos, enough)
        return [photo for photo in photos if not photo.decided]

    def _read_barcodes(self, photos: Iterable[Extracted]) -> None:
        for photo in photos:
            with photo.timed("barcode"):
                photo.barcodes = read_barcodes(photo.photo().pixels)

    def _compare_details(self, photos: Iterable[Extracted], enough: EarlyStop) -> None:
        """Let the key points vote and lay what they vote for over the photo, and ask whether that decides."""
        for photo in photos:
            with photo.timed("details"):
                enough.by_details(photo)

    def _read_telling(self, photos: Sequence[Extracted], enough: EarlyStop) -> None:
        """Read the few lines by which the likeliest products differ, where catalog photos say that they are.

        They decide, or overrule what details decided: a product that is not listed may share all but its name.
        """
        places = [(photo, enough.telling(photo)) for photo in photos]
        asked = [(photo, corners) for photo, corners in places if len(corners)]
        with timed("lines", [photo for photo, _ in asked]):
            read = self._spotter.read_at([photo.photo().pixels for photo, _ in asked], [corners for _, corners in asked])
            for (photo, _), words in zip(asked, read, strict=True):
                photo.cut = words
                if enough.by_lines(photo):
                    photo.words = words

    def _embed(self, photos: Sequence[Extracted], *, middles: bool) -> None:
        """Embed the scene, and where wanted what is in its middle: the pack that somebody holds up."""
        with timed("embed", photos):
            wholes = [photo.photo().pixels for photo in photos]
            seen = self._embedder.embed([*wholes, *(map(middle, wholes) if middles else ())])
        for photo, embedding in zip(photos, seen[: len(photos)], strict=True):
            photo.embedding = embedding
        for photo, embedding in zip(photos if middles else (), seen[len(photos) :], strict=True):
            photo.middle = embedding

    def _read(self, photos: Sequence[Extracted], enough: EarlyStop) -> None:
        """Read lines by prominence, and ask after each whether the photo is decided."""
        with timed("spot", photos):
            # With a question in between, lines of all widths are read in turn, which costs more than reading them at once.
            ask = (lambda index, words: enough.by_words(photos[index], words)) if enough.may_stop_reading else None
            lines = read_in_parts(self._spotter, [photo.photo() for photo in photos], ask)
        for photo, words in zip(photos, lines, strict=True):
            photo.words = words

    def _watching(self, work: Callable[[Extracted], T], photo: Extracted) -> T:
        """Finish a photo."""
        with self._watched([photo.reference]):
            return work(photo)

    def _decide(self, photo: Extracted, snapshot: Snapshot, answer: Answer, request: RecognizeRequest) -> Outcome:
        """Decide by what was enough, or by everything."""
        try:
            if photo.features is not None:
                if request.max_products > 1:
                    several = self._find_several(photo, photo.features, snapshot, request)
                    return answer.of(photo, *several.decisions(snapshot, top_k=request.top_k, most=request.max_products))
                with photo.timed("match"):
                    coded = by_barcode(photo.features.barcodes, snapshot)
                if coded is not None:
                    return answer.of(photo, coded)
                if photo.query is None:  # known before, or all of it was asked for
                    with photo.timed("details"):
                        photo.query = photo.ask(snapshot, photo.features.barcodes)
                with photo.timed("match"):
                    query = photo.query.with_rest(photo.features, snapshot)
                    if photo.early is not None:
                        ranking = with_evidence(photo.early, query, snapshot)
                    else:
                        ranking = as_served(query, snapshot, by_details=photo.ranking)
                return answer.of(photo, decision(query, ranking, snapshot, top_k=request.top_k))
        except ImageError as error:  # a known photo is decoded here, possibly by a decoder that accepts less
            photo.failure = Failure.of(error)
        except Exception as error:
            log.exception("matching %s failed", shown(photo.reference))
            photo.failure = Failure.unexpected(error)
        return answer.failed(photo)

    def _find_several(
        self, photo: Extracted, features: Features, snapshot: Snapshot, request: RecognizeRequest
    ) -> Several:
        """Find products by details if they are enough, else by all that was extracted."""
        if photo.several is None and not request.read_all:  # known before
            with photo.timed("details"):
                query = photo.ask(snapshot, features.barcodes)
                whole = Asked.of(query, rank_by_details(query, snapshot), snapshot)
                photo.several = find_several(whole, snapshot, photo.look, request.max_products)
        if photo.several is None or (features.complete and not photo.several.settled):
            with photo.timed("match"):
                query = photo.several.whole.query if photo.several else photo.ask(snapshot, features.barcodes)
                query = query.with_rest(features, snapshot)
                whole = Asked.of(query, rank_by_all(query, snapshot), snapshot)
                photo.several = find_several(whole, snapshot, photo.look, request.max_products)
        return photo.several

    def _complete(self, photo: Extracted, parts: Collection[Part]) -> Extracted:
        """Add the details of a photo that is described."""
        try:
            if "details" in parts:
                photo.add_details()
        except ImageError as error:
            photo.features, photo.failure = None, Failure.of(error)
        photo.release()
        return photo


def _noting_outages(photos: Iterable[Extracted], away: dict[str, str]) -> Iterator[Extracted]:
    for photo in photos:
        if photo.outage:
            away[photo.reference] = photo.outage
        yield photo


def _version(snapshot: Snapshot | None, products: int) -> str:
    """What a photo that was not read completely is known under: it was enough for so many products."""
    if snapshot is None:
        return ""
    return f"{snapshot.manifest.catalog}/{snapshot.manifest.version}" + (f"/{products}" if products > 1 else "")
