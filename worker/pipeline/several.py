"""Several products on one photo.

The photo is answered as ever first. Then, again and again, what explains the place last looked at is taken away, key points and
lines of text, and of what is left the catalog photo is sought that most key points lay over it; where none does, the lines that
speak most for one product. The part of the photo that it covers is asked about like a photo of its own, by the same model and the
same thresholds: what stands elsewhere is no rival of what stands here. Key points are made anew of that part, which costs little,
and nothing is embedded: how it looks is not known.

A product counts once, at its surest place, however many of its packs are on the photo.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np

from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.contract.outcomes import Status
from packsight.shared.matching.candidates import Frame, Query
from packsight.shared.matching.close import NOT_LAID, lay_by_votes
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
    """Where something stands, as polygons of shares: what may be a pack, and what of it was seen, which may be less."""

    pack: FloatArray
    seen: FloatArray


def find_several(whole: Asked, snapshot: Snapshot, look: Look, most: int) -> Several:
    """Find up to `most` products on a photo of which details are known, or everything."""
    asked, rest = [], replace(whole.query, barcodes=())
    if whole.matched:
        asked, rest = [whole], _without(rest, [_explained(whole, snapshot)], snapshot)
    for _ in range(most + snapshot.parameters.several.further):
        enough = len({one.product for one in asked if one.matched}) >= most
        if enough or (place := _next_place(rest, snapshot)) is None:
            break
        part = _ask(_part(rest, place.pack, snapshot, look), snapshot)
        asked.append(part)
        explained = rest.frame.shares(part.query.frame.pixels(_explained(part, snapshot)))
        rest = _without(rest, [place.seen, explained], snapshot)
    surest_last = sorted((one for one in asked if one.matched), key=lambda one: one.probability)
    by_product = {one.product: one for one in surest_last}
    found = sorted(by_product.values(), key=lambda one: -one.probability)
    # A further place of a product that was found changes nothing, however doubtful.
    open_ = [one for one in asked if one.status is not Status.NO_MATCH and by_product.get(one.product, one) is one]
    return Several(whole, tuple(found), bool(found) and all(one.sure for one in open_))


def _next_place(rest: Query, snapshot: Snapshot) -> Place | None:
    """Where most key points lay a catalog photo over the rest, of the products that most vote for; else where words speak."""
    votes = rest.votes(snapshot)
    laid = lay_by_votes(rest, votes, votes.products[: snapshot.parameters.votes.candidates], snapshot)
    best = max(laid, key=lambda one: one.match.inliers, default=NOT_LAID)
    if best is not NOT_LAID:
        return Place(outline(best, snapshot), best.match.hull)
    ranking = rank_by_all(rest, snapshot) if rest.lines else None
    if ranking is None or not len(ranking.order):
        return None
    words = region(rest, ranking.compared, int(ranking.rows[0]), snapshot, None)
    return Place(words, words) if len(words) else None


def _ask(query: Query, snapshot: Snapshot) -> Asked:
    """Details first; what they leave open, by words too where these are known."""
    ranking = rank_by_details(query, snapshot)
    if query.lines and not is_confident(ranking, snapshot):
        ranking = rank_by_all(query, snapshot)
    return Asked.of(query, ranking, snapshot)


def _part(rest: Query, pack: FloatArray, snapshot: Snapshot, look: Look) -> Query:
    """What a polygon, somewhat grown, holds of a photo, as a photo of its own."""
    middle, whole = pack.mean(axis=0), rest.frame
    polygon = np.clip(middle + snapshot.parameters.several.growth * (pack - middle), 0, 1).astype(np.float32)
    corner, extent = polygon.min(axis=0), np.ptp(polygon, axis=0)
    frame = Frame(*whole.pixels(corner).tolist(), *(extent * whole[2:]).tolist())
    local, thumbnail = look(frame)
    inside = holds(frame.shares(whole.pixels(polygon)), local.points)
    part = Query.of_details(LocalFeatures(local.points[inside], local.descriptors[inside]), thumbnail, snapshot, frame=frame)
    lines = [line for line, here in zip(rest.lines, holds(polygon, rest.places), strict=True) if here]
    return part.with_words(lines, frame, snapshot)


def _explained(asked: Asked, snapshot: Snapshot) -> FloatArray:
    """What of a photo its likeliest product explains: where key points agree, not its whole outline, of which another pack may
    hide a part; else where its words are."""
    if not len(asked.ranking.order):
        return np.zeros((0, 2), np.float32)
    row = int(asked.ranking.rows[0])
    hull = asked.ranking.laid.get(row, NOT_LAID).match.hull
    return hull if len(hull) else region(asked.query, asked.ranking.compared, row, snapshot, None)


def _without(rest: Query, polygons: Iterable[FloatArray], snapshot: Snapshot) -> Query:
    """A photo without the key points and the lines that polygons hold."""
    gone, read = np.zeros(len(rest.local.points), bool), np.zeros(len(rest.lines), bool)
    for polygon in polygons:
        gone |= holds(polygon, rest.local.points)
        read |= holds(polygon, rest.places)
    left = LocalFeatures(rest.local.points[~gone], rest.local.descriptors[~gone])
    lines = [line for line, out in zip(rest.lines, read, strict=True) if not out]
    return Query.of_details(left, rest.thumbnail, snapshot, frame=rest.frame).with_words(lines, rest.frame, snapshot)
