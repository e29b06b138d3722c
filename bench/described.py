"""Sets described in this process, without servers: their catalogs as the indexer reads them, and all their photos' features."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.photos import PhotoSet
from packsight.indexer.build.parameters import FIT
from packsight.indexer.build.version import build_version
from packsight.indexer.feed.extra_photos import extra_photos
from packsight.indexer.feed.source import open_feed, operator_settings, reference_of, root_of
from packsight.indexer.state import database
from packsight.indexer.state.intake import take_in, take_in_extras
from packsight.indexer.state.resolution import NO_VERSION, PhotoRows, ProductRows, put_in_order, resolve
from packsight.indexer.state.schedule import agenda, draw_up
from packsight.shared.catalog.decision_model import Model
from packsight.shared.catalog.manifest import PhotoRow, ProductRow
from packsight.shared.catalog.recipe import Recipe
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.contract.messages import PARTS
from packsight.shared.matching.candidates import Query
from packsight.shared.matching.exclusion import Exclusion
from packsight.shared.matching.fingerprint import recipe
from packsight.shared.settings import Settings
from packsight.shared.storage.feature_store import encode, join
from packsight.shared.storage.fetch import Fetcher
from packsight.shared.storage.objects import ObjectStore
from packsight.shared.vision.features import NO_LOCAL, Features, as_packed, make_features
from packsight.worker.networks.base import Embedder, Spotter
from packsight.worker.pipeline.decode import decode
from packsight.worker.pipeline.extracted import in_original_pixels
from packsight.worker.pipeline.local_features import catalog_features, thumbnail
from packsight.worker.pipeline.middle import middle
from packsight.worker.pipeline.reading import read_in_parts


@dataclass(frozen=True, slots=True)
class Question:
    """A photo, what the catalog is asked without, and the product that is right (None: none of them).

    product: that the photo shows, listed or not; -1 for a stranger. labelled: False where a listed product is left out.
    whole: False where a part of what was seen is withheld.
    """

    query: Query
    exclusion: Exclusion | None
    truth: int | None
    product: int
    labelled: bool
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Rows:
    """Products and photos of a version."""

    products: Sequence[ProductRow]
    photos: Sequence[PhotoRow]


@dataclass(frozen=True)
class Described:
    """A set with the features of all its photos, by sha256. asked: sha256 and product id (empty: absent) of labelled photos."""

    name: str
    rows: Rows
    features: dict[str, Features]
    asked: Sequence[tuple[str, str]]
    recipe: Recipe

    def snapshot(self, prior: Model, folder: Path) -> Snapshot:
        """Its catalog as a version that nothing was fitted for."""
        nothing = replace(FIT, examples=replace(FIT.examples, max_photos=0))
        build_version(
            folder, catalog=self.name, parent=None, products=self.rows.products, photos=self.rows.photos,
            features=self.features, recipe=self.recipe, prior=prior, parameters=nothing,
        )  # fmt: skip
        return Snapshot.open(folder)

    def questions(self, snapshot: Snapshot) -> list[Question]:
        """Every labelled photo as it is, and those of listed products as if their product had never been listed.

        Then the same without words, and the same without key points, as of photos that are blurred or of packs that bend: no set
        shows every way in which one kind of evidence is silent.
        """
        number = {product.id: index for index, product in enumerate(snapshot.products)}
        found = []
        for sha256, product_id in self.asked:
            seen, product = self.features[sha256], number.get(product_id, -1)
            for one in (seen, replace(seen, words=()), replace(seen, local=NO_LOCAL)):
                query, whole = Query.of(one, snapshot), one is seen
                found.append(Question(query, None, product if product >= 0 else None, product, labelled=True, whole=whole))
                if product >= 0 and len(number) > 1:
                    without = Exclusion.of_product(snapshot, product)
                    found.append(Question(query, without, None, product, labelled=False, whole=whole))
        return found


def described(sets: Iterable[PhotoSet], embedder: Embedder, spotter: Spotter, keep: Path) -> list[Described]:
    """Describe all photos of sets, or take what is kept in a folder below the fingerprints of what made it."""
    made_by = recipe(embedder.description.fingerprint(), spotter.description.fingerprint())
    folder = keep / hashlib.sha256("".join(made_by.parts.values()).encode()).hexdigest()[:12]
    return [_described(one, embedder, spotter, made_by, folder) for one in sets]


def _described(photos: PhotoSet, embedder: Embedder, spotter: Spotter, made_by: Recipe, keep: Path) -> Described:
    settings = Settings()
    store = ObjectStore(settings.s3)  # nothing of a local feed is asked of it
    rows, data = _listed(photos, settings, store)
    usable = set(photos.usable())
    paths = [(photos.path(label), label.product_id) for label in photos.labels]
    asked = [(path.read_bytes(), product) for path, product in paths if path in usable]
    files = {_sha256(one): one for one in [*data, *(one for one, _ in asked)]}
    kept = sorted(keep.glob("*.parquet"))
    known = join(kept)
    new = [seen(sha256, one, embedder, spotter, settings) for sha256, one in files.items() if sha256 not in known]
    if new:
        keep.mkdir(parents=True, exist_ok=True)
        for part in PARTS:
            (keep / f"{photos.name}-{len(kept)}.{part}.parquet").write_bytes(encode(part, new))
        known |= join(keep.glob(f"{photos.name}-{len(kept)}.*.parquet"))
    features = {sha256: known[sha256] for sha256 in files}
    for one in dict.fromkeys(data for data, _ in asked):  # which is nothing that is kept of a photo
        features[_sha256(one)] = _asked_about(features[_sha256(one)], one, embedder, settings)
    return Described(photos.name, rows, features, [(_sha256(one), product) for one, product in asked], made_by)


def _listed(photos: PhotoSet, settings: Settings, store: ObjectStore) -> tuple[Rows, list[bytes]]:
    """Products and photos of a set's feed as a first version would have them, and the photos' bytes."""
    feed = str(photos.feed)
    roots = {False: root_of(feed), True: Path(photos.extra) if photos.extra else None}
    fetchers = {extra: Fetcher(operator_settings(settings, feed, root), store) for extra, root in roots.items()}
    data: list[bytes] = []
    with database.opened() as state, state.transaction():
        with open_feed(feed, settings, store) as read:
            assert read is not None
            take_in(state, read)
        take_in_extras(state, extra_photos(photos.extra, store) if photos.extra else (), photos.extra)
        draw_up(state, settings.catalog, 0.0, everything=True)
        for [asked] in agenda(state, 1):
            data.append(fetchers[asked.extra].fetch(asked.source if asked.extra else reference_of(asked.source, feed)))
            state.run("UPDATE pictures SET sha256 = ? WHERE number = ?", _sha256(data[-1]), asked.number)
        resolve(state, NO_VERSION)
        put_in_order(state)
        return Rows(list(ProductRows(state)), list(PhotoRows(state))), data


def seen(sha256: str, data: bytes, embedder: Embedder, spotter: Spotter, settings: Settings) -> Features:
    """Features of a photo from its bytes, as a catalog keeps them."""
    photo = decode(data, settings.decode)
    [embedding], [words] = embedder.embed([photo.pixels]), read_in_parts(spotter, [photo])
    lines = in_original_pixels(words, photo)
    local = as_packed(catalog_features(photo))
    return make_features(sha256, (photo.width, photo.height), embedding, lines, local, thumbnail(photo))


def _asked_about(features: Features, data: bytes, embedder: Embedder, settings: Settings) -> Features:
    """The same with what is seen of a photo only when it is asked about."""
    [seen] = embedder.embed([middle(decode(data, settings.decode).pixels)])
    whole = make_features("", (features.width, features.height), features.embedding, (), middle=seen)
    return replace(features, middle=whole.middle)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def opened(sets: Iterable[Described], prior: Model) -> Iterator[tuple[Snapshot, list[Question]]]:
    """The sets' catalogs and questions, one after the other."""
    for one in sets:
        with tempfile.TemporaryDirectory(prefix="packsight-prior-") as folder:
            snapshot = one.snapshot(prior, Path(folder) / "version")
            yield snapshot, one.questions(snapshot)
