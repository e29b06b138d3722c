"""A catalog as people look at it: what wants looking at in it, and one product with all that is known of it.

    with Client() as client:
        view = CatalogView(client.store, client.settings, "default")
        view.counts()                                # rows of each list of catalog health
        view.sheet("101518").advice                  # what to photograph next, and why

Everything is read from what the indexer published and told; nothing is matched here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from packsight.producer.reviews.products import Products, Shelf
from packsight.producer.rows import Row
from packsight.shared.catalog import health
from packsight.shared.catalog.manifest import PhotoRow, ProductRow
from packsight.shared.catalog.told import MADE, OWN, Asked, read_answers, read_lists
from packsight.shared.catalog.trust import Trust
from packsight.shared.catalog.versions import CatalogStore
from packsight.shared.contract.outcomes import Status
from packsight.shared.extras import Later
from packsight.shared.settings import Settings
from packsight.shared.storage.objects import ObjectStore
from packsight.shared.storage.review_use import read_use
from packsight.shared.storage.reviews import ReviewStore
from packsight.shared.storage.verdicts import Verdict

if TYPE_CHECKING:
    from packsight.shared.catalog import arrays, arrow_files
else:
    arrays = Later("packsight.shared.catalog.arrays", extra="matching")
    arrow_files = Later("packsight.shared.catalog.arrow_files", extra="matching")

_WORD_FILES = ("terms.arrow", "photo_terms.starts.npy", "photo_terms.npy")
VIEWS = 3
"""Photos from which a product is photographed well enough, unless it is confused with another one."""


@dataclass(frozen=True, slots=True)
class SheetPhoto:
    """A photo of a product. words: read on it; asked: what the version answered to it when it was left out, empty where it was
    not asked; confirmed_by: who confirmed it, of a customer's photo."""

    row: PhotoRow
    words: tuple[str, ...]
    asked: str
    confirmed_by: str = ""


@dataclass(frozen=True, slots=True)
class Confusion:
    """Another product that this one is confused with, how often, and by what that is known, in words."""

    product: str
    name: str
    times: int
    why: str


@dataclass(frozen=True, slots=True)
class ProductSheet:
    """One product of the version that is served.

    recognised: of `asked` photos of it, the catalog's own and those that people reviewed, how many were. left_out: confirmed
    photos that are no photos of it, with the reasons. advice: what to photograph next, the most useful first.
    """

    version: str
    product: ProductRow
    photos: tuple[SheetPhoto, ...]
    words: tuple[tuple[str, int], ...]
    asked: int
    recognised: int
    reviewed: int
    confused: tuple[Confusion, ...]
    left_out: tuple[tuple[str, str], ...]
    findings: tuple[str, ...]
    advice: tuple[str, ...]


class CatalogView:
    """What people see of one catalog; methods raise UserError where nothing is published, StorageError without storage."""

    def __init__(self, store: ObjectStore, settings: Settings, catalog: str) -> None:
        self._store, self.catalog = store, catalog
        self._shelf = Shelf(store, settings, catalog)
        self._catalogs = CatalogStore(store, catalog, Trust.of_reader(settings))
        self._words: tuple[str, Any, Any] | None = None

    def products(self) -> Products:
        """The products of the version that is served, to be searched."""
        return self._shelf.products()

    def counts(self) -> Mapping[str, int]:
        """How many rows each list of catalog health has (packsight.shared.catalog.health.LISTS)."""
        return health.counts(self._store, self.catalog, self.products().version)

    def rows(self, name: str) -> Iterator[dict[str, Any]]:
        """The rows of such a list."""
        return health.rows(self._store, self.catalog, self.products().version, name)

    def sheet(self, identity: str) -> ProductSheet:
        """All that is known of a product; raises UserError where there is none of this id."""
        products = self.products()
        product, photos = products.get(identity), products.photos(identity)
        answers = read_answers(self._store, self.catalog, products.version)
        said = [review.verdict for review in ReviewStore(self._store, self.catalog).reviewed().photos.values()]
        use = read_use(self._store, self.catalog)
        confirmed = {one.sha256: one.by for one in use.taken if one.product == identity}
        own = {one.photo.sha256: one for one in answers if one.photo.product == identity and one.photo.kind in {OWN, MADE}}
        words = self._words_of(products, [row.sha256 for row in photos])
        sheet_photos = tuple(
            SheetPhoto(row, words.get(row.sha256, ()), _told(own.get(row.sha256)), confirmed.get(row.sha256, ""))
            for row in photos
        )
        mine = [verdict for verdict in said if verdict.product == identity]
        named = self._named(identity, products.version)
        confused = tuple(self._confused(identity, products, answers, said))
        return ProductSheet(
            version=products.version,
            product=product,
            photos=sheet_photos,
            words=tuple(Counter(word for photo in sheet_photos for word in photo.words).most_common()),
            asked=len(own) + len(mine),
            recognised=sum(one.right for one in own.values()) + sum(_was_matched(verdict) for verdict in mine),
            reviewed=len(mine),
            confused=confused,
            left_out=tuple((one.sha256, one.reason) for one in use.left_out if one.product == identity),
            findings=tuple(health.LISTS[name].title for name in named),
            advice=tuple(_advice(sheet_photos, confused, named)),
        )

    def _named(self, identity: str, version: str) -> list[str]:
        """Lists of catalog health that name a product."""
        found = {str(line["list"]) for line in read_lists(self._store, self.catalog, version) if line.get("id") == identity}
        return [name for name in health.LISTS if name in found]

    def _confused(
        self, identity: str, products: Products, answers: Iterable[Asked], said: Iterable[Verdict]
    ) -> Iterator[Confusion]:
        """By the catalog's own photos, each left out, and by what people corrected, either way round."""
        counts: dict[str, Counter[str]] = {}
        for photo, answer in answers:
            pair = {photo.product, answer.first}
            if photo.product and answer.first and identity in pair and len(pair) == 2:
                counts.setdefault((pair - {identity}).pop(), Counter())["photos of the catalog"] += 1
        for verdict in said:
            pair = {verdict.product, verdict.answered.product}
            if verdict.product and verdict.answered.product and identity in pair and len(pair) == 2:
                counts.setdefault((pair - {identity}).pop(), Counter())["reviewed answers"] += 1
        for other, why in sorted(counts.items(), key=lambda item: (-item[1].total(), item[0])):
            name = products.get(other).name if other in products else ""
            yield Confusion(other, name, why.total(), ", ".join(f"{count} {what}" for what, count in why.items()))

    def _words_of(self, products: Products, photos: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """Words read on some photos, by sha256."""
        if self._words is None or self._words[0] != products.version:
            with TemporaryDirectory() as folder:
                self._catalogs.fetch(self._catalogs.manifest(products.version), Path(folder), _WORD_FILES)
                # What is mapped stays when its file's name is gone.
                texts = arrow_files.mapped(Path(folder) / "terms.arrow")["text"]
                self._words = products.version, texts, arrays.Ragged.open(Path(folder), "photo_terms")
        _, texts, terms = self._words
        places = products.places(photos)
        return {sha: tuple(texts[term].as_py() for term in terms.row(place).tolist()) for sha, place in places.items()}


def outcomes_by_product(rows: Iterable[Row]) -> dict[str, Counter[Status]]:
    """How often each product came first in these outcomes, by status: how often it was recognised, and how often nearly."""
    found: dict[str, Counter[Status]] = {}
    for row in rows:
        first = row.outcome.product or (row.outcome.candidates[0].product if row.outcome.candidates else None)
        if first is not None:
            found.setdefault(first.id, Counter())[row.outcome.status] += 1
    return found


def _told(asked: Asked | None) -> str:
    if asked is None:
        return ""
    return "recognised" if asked.right else f"taken for {asked.answer.first or 'none'}"


def _was_matched(verdict: Verdict) -> bool:
    return verdict.answered.status is Status.MATCHED and verdict.answered.product == verdict.product


def _advice(photos: tuple[SheetPhoto, ...], confused: tuple[Confusion, ...], named: list[str]) -> Iterator[str]:
    if not photos:
        yield "A photo of its front, sharp, filling the picture: it has none and is known by its words alone."
    if "contradicted" in named:
        yield "First look whether its picture shows it: the words of its name are hardly to be read on it."
    for one in confused[:2]:
        yield f"The side on which it differs from {one.product} {one.name}, close: it was confused with it {one.times} times."
    if photos and not any(photo.words for photo in photos):
        yield "The side with the text, larger and sharper: no word was read on any of its photos."
    if len(photos) == 1:
        yield "Another view, such as customers send: in the hand or on a shelf, from aside. It has one photo."
    elif 1 < len(photos) < VIEWS:
        yield f"Another view: it has {len(photos)} photos."
