"""Several products on one photo.

The photo is answered as ever first. Then, again and again, what explains the place last looked at is taken away, key points and
lines of text, and of what is left the catalog photo is sought that most key points lay over it; where none does, the lines that
speak most for one product. The part of the photo that it covers is asked about like a photo of its own, by the same model and the
same thresholds: what stands elsewhere is no rival of what stands here. Key points are made anew of that part, which costs little,
and nothing is embedded: how it looks is not known.

A product counts once, at its surest place, however many of its packs are on the photo.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.contract.outcomes import Status
from packsight.shared.matching.candidates import Frame, Query
from packsight.shared.matching.close import NOT_LAID, Laid, lay_by_votes
from packsight.shared.matching.decision import Decision, by_barcodes, decision, status_of
from packsight.shared.matching.ranking import Ranking
from packsight.shared.matching.region import holds, outline, region
from packsight.shared.matching.stages import rank_by_all, rank_by_details
from packsight.shared.matching.stopping import is_confident
from packsight.shared.vision.features import FloatArray, LocalFeatures

Look = Callable[[Frame], tuple[LocalFeatures, bytes]]
"""Makes key points and thumbnail of a part of the photo from its pixels."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A photo or a part of it, and what the catalog says to that. sure: whether more evidence would hardly change it."""

    query: Query
    ranking: Ranking
    status: Status
    sure: bool

    @classmethod
    def of(cls, query: Query, ranking: Ranking, snapshot: Snapshot) -> Asked:
        """What a ranking means."""
        return cls(query, ranking, status_of(ranking, snapshot), is_confident(ranking, snapshot))

    @property
    def matched(self) -> bool:
        """Whether it is a product."""
        return self.status is Status.MATCHED

    @property
    def product(self) -> int:
        """Number of the likeliest product; there must be candidates."""
        return int(self.ranking.order[0])

    @property
    def probability(self) -> float:
        """Of that product."""
        return float(self.ranking.probability[0])


@dataclass(frozen=True, slots=True)
class Several:
    """What was found on a photo.

    found: what matched, the surest first, each of another product. settled: whether looks and words need not be asked, since
    something was found, all that was found is sure, and nothing else that was looked at may be a product.
    """

    whole: Asked
    found: tuple[Asked, ...]
    settled: bool

    def decisions(self, snapshot: Snapshot, *, top_k: int, most: int) -> list[Decision]:
        """What was found and the products of barcodes as answers, the surest first, at most `most`; else that of the whole."""
        query = self.whole.query
        found = [decision(asked.query, asked.ranking, snapshot, top_k=top_k) for asked in self.found]
        by_product = {one.candidates[0].product.id: one for one in found}
        for coded in by_barcodes(query.barcodes, snapshot):
            [only] = coded.candidates
            if (seen := by_product.get(only.product.id)) is not None:
                only = only.model_copy(update={"region": seen.candidates[0].region})
            by_product[only.product.id] = replace(coded, candidates=[only])
        surest = sorted(by_product.values(), key=lambda one: -one.confidence)[:most]
        return surest or [decision(query, self.whole.ranking, snapshot, top_k=top_k)]


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands, as polygons of shares of what is left of a photo: what may be a pack, and what of it was seen,
    which may be less."""

    rest: Query
    pack: FloatArray
    seen: FloatArray


def find_several(whole: Asked, snapshot: Snapshot, look: Look, most: int) -> Several:
    """Find up to `most` products on a photo of which details are known, or everything; on a long one in all of its parts."""
    query = whole.query
    others = [one.with_words(query.lines, one.frame, snapshot) for one in query.beside]
    asked, rests = [], [_Rest(one, snapshot) for one in (replace(query, barcodes=()), *others)]
    if whole.matched:
        asked, rests = [whole], _without(rests, [_explained(whole, snapshot)])
    for _ in range(most + snapshot.parameters.several.further * len(rests)):
        enough = len({one.product for one in asked if one.matched}) >= most
        if enough or (place := _next_place(rests, snapshot)) is None:
            break
        part = _ask(_part(place, snapshot, look), snapshot)
        asked.append(part)
        rests = _without(rests, [place.rest.frame.pixels(place.seen), _explained(part, snapshot)])
    surest_last = sorted((one for one in asked if one.matched), key=lambda one: one.probability)
    by_product = {one.product: one for one in surest_last}
    found = sorted(by_product.values(), key=lambda one: -one.probability)
    # A further place of a product that was found changes nothing, however doubtful.
    open_ = [one for one in asked if one.status is not Status.NO_MATCH and by_product.get(one.product, one) is one]
    return Several(whole, tuple(found), bool(found) and all(one.sure for one in open_))


class _Rest:
    """What is left of a photo, or of one of its parts."""

    def __init__(self, query: Query, snapshot: Snapshot) -> None:
        self.query = query
        self._snapshot = snapshot

    @cached_property
    def laid(self) -> Laid:
        """The catalog photo that most key points lay over it, of the products that most vote for."""
        votes = self.query.votes(self._snapshot)
        products = votes.products[: self._snapshot.parameters.votes.candidates]
        laid = lay_by_votes(self.query, votes, products, self._snapshot)
        return max(laid, key=lambda one: one.match.inliers, default=NOT_LAID)

    def without(self, polygons: Iterable[FloatArray]) -> _Rest:
        """The same without the key points and the lines that polygons hold, which are in pixels of the photo."""
        query = self.query
        gone, read = np.zeros(len(query.local.points), bool), np.zeros(len(query.lines), bool)
        for polygon in map(query.frame.shares, polygons):
            gone |= holds(polygon, query.local.points)
            read |= holds(polygon, query.places)
        if not (gone.any() or read.any()):
            return self
        left = LocalFeatures(query.local.points[~gone], query.local.descriptors[~gone])
        lines = [line for line, out in zip(query.lines, read, strict=True) if not out]
        less = Query.of_details(left, query.thumbnail, self._snapshot, frame=query.frame)
        return _Rest(replace(less.with_words(lines, query.frame, self._snapshot), whole=query.whole), self._snapshot)


def _without(rests: Iterable[_Rest], polygons: Sequence[FloatArray]) -> list[_Rest]:
    return [rest.without(polygons) for rest in rests]


def _next_place(rests: Sequence[_Rest], snapshot: Snapshot) -> Place | None:
    """Where most key points lay a catalog photo over a rest; else where words speak."""
    most = max(rests, key=lambda one: one.laid.match.inliers)
    rest, best = most.query, most.laid
    if best is not NOT_LAID:
        return Place(rest, outline(best, rest.edges, snapshot), best.match.hull)
    ranking = rank_by_all(rest, snapshot) if rest.lines else None
    if ranking is None or not len(ranking.order):
        return None
    words = region(rest, ranking.compared, int(ranking.rows[0]), snapshot, None)
    return Place(rest, words, words) if len(words) else None


def _ask(query: Query, snapshot: Snapshot) -> Asked:
    """Details first; what they leave open, by words too where these are known."""
    ranking = rank_by_details(query, snapshot)
    if query.lines and not is_confident(ranking, snapshot):
        ranking = rank_by_all(query, snapshot)
    return Asked.of(query, ranking, snapshot)


def _part(place: Place, snapshot: Snapshot, look: Look) -> Query:
    """What a pack's polygon, somewhat grown, holds of a photo, as a photo of its own."""
    rest, pack = place.rest, place.pack
    middle, whole = pack.mean(axis=0), rest.frame
    grown = middle + snapshot.parameters.several.growth * (pack - middle)
    polygon = np.clip(grown, rest.edges.min(axis=0), rest.edges.max(axis=0)).astype(np.float32)
    corner, extent = polygon.min(axis=0), np.ptp(polygon, axis=0)
    frame = Frame(*whole.pixels(corner).tolist(), *(extent * whole[2:]).tolist())
    local, thumbnail = look(frame)
    inside = holds(frame.shares(whole.pixels(polygon)), local.points)
    part = Query.of_details(LocalFeatures(local.points[inside], local.descriptors[inside]), thumbnail, snapshot, frame=frame)
    lines = [line for line, here in zip(rest.lines, holds(polygon, rest.places), strict=True) if here]
    return part.with_words(lines, frame, snapshot)


def _explained(asked: Asked, snapshot: Snapshot) -> FloatArray:
    """What of a photo its likeliest product explains, in pixels of the photo: where key points agree, not its whole outline, of
    which another pack may hide a part; else where its words are."""
    if not len(asked.ranking.order):
        return np.zeros((0, 2), np.float32)
    row = int(asked.ranking.rows[0])
    hull = asked.ranking.laid.get(row, NOT_LAID).match.hull
    found = hull if len(hull) else region(asked.query, asked.ranking.compared, row, snapshot, None)
    return asked.query.frame.pixels(found)
