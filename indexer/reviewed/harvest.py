"""What one sync makes of people's verdicts.

A confirmed photo is one that shows a product by a verdict that counts and that nobody disputes. Its bytes are kept with the
catalog's photos, whatever becomes of the job that it came with, and it is a photo of its product from then on: the newest few of
each product, unless it is nearly one that is there, or the catalog knows its own photos worse with it. What is left out is told,
and written beside the catalog, so that it is not tried again at every sync. A verdict that is taken back takes its photo along.
A product that comes back under another id keeps its photos.
"""

from __future__ import annotations

import hashlib
import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pyarrow as pa

from packsight.indexer.completion import Progress, extract
from packsight.indexer.extraction import Extractor
from packsight.indexer.reviewed.moved import LOST
from packsight.indexer.reviewed.nearly import nearly_same
from packsight.indexer.reviewed.pairs import Pair, Pairs, digest_of, pairs_of
from packsight.indexer.reviewed.parameters import REVIEWED, ReviewedParameters
from packsight.indexer.state.database import State
from packsight.indexer.state.intake import take_in_reviewed
from packsight.indexer.state.resolution import NO_VERSION, ReviewedRow, reviewed_rows
from packsight.shared.catalog.recipe import Recipe
from packsight.shared.contract.errors import PacksightError, UserError
from packsight.shared.contract.references import shown
from packsight.shared.settings import Settings
from packsight.shared.storage import layout
from packsight.shared.storage.feature_store import FeatureStore, FeatureView
from packsight.shared.storage.fetch import Fetcher
from packsight.shared.storage.objects import ObjectStore
from packsight.shared.storage.review_figure import figure
from packsight.shared.storage.review_use import KnownProduct, LeftPhoto, ReviewUse, TakenPhoto, read_use, write_use
from packsight.shared.storage.reviews import ReviewStore
from packsight.shared.storage.verdicts import Kind, Verdict
from packsight.shared.vision.features import Features

log = logging.getLogger(__name__)

_KEPT = "reviewed_kept"
"""Name under which the state knows whose bytes are kept, so that an unchanged sync asks for none of them."""
_TAKEN = pa.schema([(name, pa.string()) for name in ("id", "sha256", "photo", "by")])
_LEFT = pa.schema([(name, pa.string()) for name in ("id", "sha256", "photo", "by", "why")])


@dataclass(frozen=True, slots=True)
class _Choice:
    """Confirmed photos by the id of the product that each shows, newest first."""

    photos: dict[str, list[Verdict]]
    left: dict[str, LeftPhoto]


class Harvest:
    """What is there to be used when a sync begins; it learns what is left out while that goes on."""

    def __init__(
        self,
        store: ObjectStore,
        catalog: str,
        settings: Settings,
        now: float,
        *,
        again: bool = False,
        parameters: ReviewedParameters = REVIEWED,
    ) -> None:
        """again: whether photos that were left out are tried once more. Raises StorageError when verdicts cannot be read."""
        self._store, self._catalog, self._settings, self._parameters = store, catalog, settings, parameters
        self._reviews = ReviewStore(store, catalog)
        self.found = self._reviews.reviewed()
        self._before = read_use(store, catalog)
        settled = {verdict.id: verdict for verdict in self.found.settled}
        self._left = {
            one.verdict: one for one in self._before.left_out if one.lasting and one.verdict in settled and not again
        }
        standing = [one for review in self.found.photos.values() for one in (review.verdict, *review.against)]
        said = {one.id: KnownProduct(id=one.product, name=one.called) for one in standing if one.product}
        self.said_in = {one.id: one.answered.version for one in standing if one.kind is Kind.RIGHT and one.called}
        """The version in which the first product had its name, by verdict."""
        # Also of verdicts that were replaced, which may stand again.
        before = {verdict: one for verdict, one in self._before.products.items() if verdict in self.found.verdicts}
        self._known = said | before
        self._by_photo = {verdict.sha256: verdict for verdict in settled.values()}
        self._gone = set() if again else settled.keys() & self._before.gone
        self._now = datetime.fromtimestamp(now, UTC)
        self._said_pairs = pairs_of(self.found, self._now, parameters)
        self.pairs = self._moved_pairs()

    @property
    def followed_until(self) -> str:
        """The version up to which it is known where products are; empty for none."""
        return self._before.version

    @property
    def known_products(self) -> dict[str, KnownProduct]:
        """What a sync before found of the products that people said photos show, by verdict."""
        return {verdict: one for verdict, one in self._known.items() if verdict in self._before.products}

    @property
    def new_products(self) -> dict[str, KnownProduct]:
        """What was said since, as it was said, by verdict."""
        return {verdict: one for verdict, one in self._known.items() if verdict not in self._before.products}

    def follow(self, products: Mapping[str, KnownProduct]) -> None:
        """Go along with products to where they are now, by verdict."""
        self._known |= products
        self.pairs = self._moved_pairs()
        # With another product a photo is tried anew.
        self._left = {
            verdict: one for verdict, one in self._left.items() if self._known[verdict].id in {LOST, one.product}
        }

    def _shows(self, verdict: Verdict) -> str:
        """The id, now, of the product that a verdict says, or LOST."""
        return self._known[verdict.id].id

    def _moved_pairs(self) -> tuple[Pair, ...]:
        """The pairs by the ids that their products have now; without those of which that is not known: they may be listed."""
        shown = {pair.sha256: self._shows(self._by_photo[pair.sha256]) for pair in self._said_pairs if pair.product}
        return tuple(
            replace(pair, product=shown.get(pair.sha256, "")) for pair in self._said_pairs if shown.get(pair.sha256) != LOST
        )

    @property
    def digest(self) -> str:
        """Name of the pairs."""
        return digest_of(self.pairs, self._parameters)

    def asks_for_a_version(self, pairs: int, digest: str) -> bool:
        """Whether verdicts alone are worth another version than one that was calibrated by so many pairs of this name."""
        return digest != self.digest and abs(len(self.pairs) - pairs) >= self._parameters.enough

    def keep(self, state: State) -> None:
        """Bring the bytes of photos that are used into the catalog's; what cannot be had is left out, with its cause."""
        used = {pair.sha256: pair.image for pair in self.pairs}
        used |= {one.sha256: one.image for photos in self._chosen().photos.values() for one in photos}
        kept = set(state.get(_KEPT) or ()) & used.keys()
        lacking = {sha: image for sha, image in used.items() if sha not in kept}
        if lacking:
            with closing(Fetcher(self._settings, self._store)) as fetcher:
                kept |= {sha for sha, image in lacking.items() if self._is_kept(fetcher, sha, image)}
            state.set(_KEPT, sorted(kept))
        gone = lacking.keys() - kept
        if gone:
            self.remember()  # before the feed is judged: where that is refused, the next sync need not ask for them again
        self.pairs = tuple(pair for pair in self.pairs if pair.sha256 not in gone)

    def _is_kept(self, fetcher: Fetcher, sha256: str, image: str) -> bool:
        """Keep the bytes of a photo, or leave it out; tell which."""
        key, verdict = layout.photo(sha256), self._by_photo[sha256].id
        if self._store.exists(key):
            return True
        if verdict in self._gone:
            return False
        try:
            data = fetcher.fetch(image, retries=0)
        except PacksightError as error:
            why, lasting = f"its bytes are not to be had: {error.message}", not error.retryable
        else:
            if hashlib.sha256(data).hexdigest() == sha256:
                self._store.write(key, data)
                return True
            why, lasting = "other bytes lie where it was than those that were reviewed", True
        if lasting:
            self._gone.add(verdict)
        if not self._is_left(sha256):  # else the reason for which it was left out stays the one that is told
            self.leave_out(sha256, why, lasting=lasting)
        return False

    def take_in(self, state: State) -> None:
        """Bring the confirmed photos of products in step with the verdicts; the caller holds the transaction."""
        bucket = self._store.bucket
        wanted = {
            product: [layout.address(bucket, layout.photo(one.sha256)) for one in photos]
            for product, photos in self._chosen().photos.items()
        }
        take_in_reviewed(state, wanted)

    def leave_out(self, sha256: str, why: str, *, lasting: bool = True) -> None:
        """Do without a photo, and say why."""
        if (verdict := self._by_photo.get(sha256)) is not None and verdict.product:
            self._left[verdict.id] = self._left_photo(verdict, why, lasting=lasting)

    def remember(self) -> None:
        """Write down what is gone or left out for good, also if the version is refused: it is not tried again."""
        lasting = tuple(one for one in self._left.values() if one.lasting)
        passing = tuple(one for one in self._before.left_out if not one.lasting and one.verdict not in self._left)
        known = self._before.model_copy(update={"left_out": _in_order((*lasting, *passing)), "gone": tuple(sorted(self._gone))})
        if known != self._before:
            self._before = known
            write_use(self._store, self._catalog, known)

    def _chosen(self) -> _Choice:
        photos: dict[str, list[Verdict]] = defaultdict(list)
        left = dict(self._left)
        for verdict in reversed(self.found.settled):  # the newest first
            if not verdict.product or verdict.id in left:
                continue
            product = self._shows(verdict)
            if product == LOST:
                why = "its product is not offered any more, or nobody knows under which id"
                left[verdict.id] = self._left_photo(verdict, why)
            elif len(photos[product]) < self._parameters.photos:
                photos[product].append(verdict)
            else:
                left[verdict.id] = self._left_photo(verdict, f"its product has {self._parameters.photos} newer ones")
        return _Choice(dict(photos), left)

    def drop_what_is_there(self, state: State, parent: int, features: Mapping[str, Features]) -> bool:
        """Leave out new photos that are there already, or nearly so; tell whether there are such.

        parent: number of the version before; features: of all photos, by sha256.
        """
        rows = self._rows(state, parent)
        for row in rows:
            if row.new and (why := self._nearly(row, features)):
                self.leave_out(row.sha256, why)
        return any(self._is_left(row.sha256) for row in rows)

    def _nearly(self, row: ReviewedRow, features: Mapping[str, Features]) -> str:
        if row.elsewhere:
            return f"it is the catalog's photo of {row.elsewhere}"
        for other in row.others:
            if not self._is_left(other) and nearly_same(features[row.sha256], features[other], self._parameters):
                return f"nearly the same as the product's photo {other[:12]}"
        return ""

    def _is_left(self, sha256: str) -> bool:
        verdict = self._by_photo.get(sha256)
        return verdict is not None and verdict.id in self._left

    def new(self, state: State, parent: int) -> dict[str, list[str]]:
        """Hashes of confirmed photos that the version before does not have, by the id of their product."""
        found: dict[str, list[str]] = defaultdict(list)
        for row in self._rows(state, parent):
            if row.new:
                found[row.product].append(row.sha256)
        return dict(found)

    def _rows(self, state: State, parent: int = NO_VERSION) -> list[ReviewedRow]:
        return reviewed_rows(state, list(self._chosen().photos), parent)

    def described(
        self, recipe: Recipe, *, features: FeatureStore, extractor: Extractor, progress: Progress
    ) -> tuple[Pairs, tuple[str, ...]]:
        """The pairs with their features, those that lack them described; with notes on what could not be."""
        if not self.pairs:
            return Pairs(), ()
        view = FeatureView(features, [pair.sha256 for pair in self.pairs])
        places = {
            pair.sha256: layout.address(self._store.bucket, layout.photo(pair.sha256))
            for pair in self.pairs
            if pair.sha256 not in view
        }
        notes: tuple[str, ...] = ()
        if places:
            try:
                failed = extract(places, view, recipe, extractor, progress)
            except UserError as error:  # no worker is up: a version may be worth more than what it could learn
                notes = (f"reviewed photos that were not described: {len(places)}: {error}",)
            else:
                notes = tuple(f"reviewed photo that cannot be described: {failure.message}" for failure in failed.values())[:3]
            view.refresh()
        seen = {pair.sha256: view[pair.sha256] for pair in self.pairs if pair.sha256 in view}
        return Pairs(self.pairs, seen, self.digest), notes

    def lists(self, state: State, parent: int) -> dict[str, pa.Table]:
        """For the report: photos that people confirmed which are new in this version, and those that are left out."""
        fresh = {sha for shas in self.new(state, parent).values() for sha in shas}
        use = self._use(state, "")
        taken = [one for one in use.taken if one.sha256 in fresh]
        return {
            "confirmed": _table(_TAKEN, [(one.product, one.sha256, one.name, one.by) for one in taken]),
            "left_out": _table(_LEFT, [(one.product, one.sha256, one.name, one.by, one.reason) for one in use.left_out]),
        }

    def notes(self, state: State, parent: int) -> tuple[str, ...]:
        """What a person should know of it, a line each; nothing where nobody reviewed anything."""
        if not self.found.verdicts and not self._before.taken:
            return ()
        use = self._use(state, "")
        before, now = {one.sha256 for one in self._before.taken}, {one.sha256 for one in use.taken}
        fresh, gone = sum(map(len, self.new(state, parent).values())), len(before - now)
        lines = [
            f"reviews: {len(self.found.photos)} photos; {len(use.taken)} of them are photos of products, {fresh} new, {gone} "
            f"withdrawn; {len(use.left_out)} confirmed ones are left out; {use.pairs} count for calibration, {use.absent} of "
            "them as not in the catalog"
        ]
        rules = self._settings.review
        sampled = figure(self._catalog, self.found, promised=rules.precision, days=rules.days, now=self._now)
        if sampled.wrong.n:
            lines.append(sampled.told)
        if use.left_out:
            first = use.left_out[0]
            more = f", and {len(use.left_out) - 1} more in the report" if len(use.left_out) > 1 else ""
            lines.append(f"confirmed photo left out: {shown(first.name)} of {first.product}: {first.reason}{more}")
        if self.found.disputed:
            names = ", ".join(shown(review.verdict.name) for review in self.found.disputed[:3])
            lines.append(f"{use.disputed} photos on which people disagree are not used (first: {names}): `packsight review show`")
        return tuple(lines)

    def pending(self) -> tuple[str, ...]:
        """What a sync would make of verdicts that none has seen, a line; what its photos show is not known before it."""
        chosen = {one.sha256 for photos in self._chosen().photos.values() for one in photos}
        before = {one.sha256 for one in self._before.taken}
        new, gone = len(chosen - before), len(before - chosen)
        told = f"reviews: {new} confirmed photos would be tried as photos of their products, {gone} would be withdrawn"
        return (told,) if new or gone else ()

    def settle(self, state: State, version: str, *, canary: bool) -> None:
        """Write down what was made of the verdicts, and put those together that lie by themselves.

        canary: whether that is true of a version on trial alone: then what is written stays true of the one that is served.
        """
        use = self._use(state, version)
        if not canary and use != self._before and (self.found.verdicts or self._before != ReviewUse()):
            write_use(self._store, self._catalog, use)
        self._reviews.compact()

    def _use(self, state: State, version: str) -> ReviewUse:
        taken = [
            TakenPhoto(sha256=row.sha256, name=verdict.name, product=row.product, verdict=verdict.id, by=verdict.by)
            for row in self._rows(state)
            if (verdict := self._by_photo.get(row.sha256)) is not None
        ]
        chosen = self._chosen()
        left = [*chosen.left.values()]
        return ReviewUse(
            version=version or self._before.version,
            products=self._known,
            taken=tuple(taken),
            left_out=_in_order(left),
            gone=tuple(sorted(self._gone)),
            pairs=len(self.pairs),
            absent=sum(not pair.product for pair in self.pairs),
            disputed=len(self.found.disputed),
        )

    def _left_photo(self, verdict: Verdict, why: str, *, lasting: bool = False) -> LeftPhoto:
        return LeftPhoto(
            sha256=verdict.sha256, name=verdict.name, product=self._shows(verdict) or verdict.product,
            verdict=verdict.id, by=verdict.by, reason=why, lasting=lasting,
        )  # fmt: skip


def _in_order(left: Iterable[LeftPhoto]) -> tuple[LeftPhoto, ...]:
    return tuple(sorted(left, key=lambda one: (one.product, one.sha256)))


def _table(schema: pa.Schema, rows: list[tuple[str, ...]]) -> pa.Table:
    return pa.Table.from_pylist([dict(zip(schema.names, row, strict=True)) for row in rows], schema=schema)
