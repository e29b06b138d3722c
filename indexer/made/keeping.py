"""Have photos made of products' only photos, kept, and described by the workers like any other, each once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from packsight.indexer.completion import Progress, extract
from packsight.indexer.extraction import Extractor
from packsight.indexer.made.choice import behind, chosen
from packsight.indexer.made.cutout import Pixels
from packsight.indexer.made.parameters import MadeParameters
from packsight.indexer.made.photo import MAKING, made_photo
from packsight.shared.catalog.manifest import PhotoRow
from packsight.shared.catalog.recipe import Recipe
from packsight.shared.contract.errors import ImageError, ObjectMissing, PacksightError, UserError
from packsight.shared.parameters import digest
from packsight.shared.settings import Decode
from packsight.shared.storage import layout
from packsight.shared.storage.feature_store import FeatureStore, FeatureView
from packsight.shared.storage.objects import ObjectStore
from packsight.shared.vision.features import Features
from packsight.shared.vision.small import reduced


@dataclass(frozen=True, slots=True)
class Made:
    """Features of what was made, by the hash of the photo that it was made of; how many of them are new."""

    features: dict[str, Features] = field(default_factory=dict)
    described: int = 0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Maker:
    """Makes photos in one way, and keeps them in object storage."""

    parameters: MadeParameters
    store: ObjectStore
    limits: Decode

    def describe(
        self,
        photos: Sequence[PhotoRow],
        recipe: Recipe,
        *,
        features: FeatureStore,
        extractor: Extractor,
        progress: Progress,
    ) -> Made:
        """Features of a photo made of each that is chosen. One that cannot be made or described is left out, with a note."""
        sources = chosen(photos, self.parameters.photos)
        if not sources:
            return Made()
        made, failures = dict[str, str](), list[str]()
        progress("made", 0, len(sources))
        for source, sha in self._kept(sources, sorted({photo.sha256 for photo in photos}), failures):
            made[source] = sha
            progress("made", len(made), len(sources))
        view = FeatureView(features, made.values())
        places = {sha: self._address(source) for source, sha in made.items() if sha not in view}
        if places:
            try:
                failures += [failure.message for failure in extract(places, view, recipe, extractor, progress).values()]
            except UserError as error:  # no worker is up: what they are for is worth less than a version
                failures.append(str(error))
            view.refresh()
        found = {source: view[sha] for source, sha in made.items() if sha in view}
        lacking = len(sources) - len(found)
        note = f"{lacking} photos of products' only ones could not be made and described, so these are not asked about"
        first = f" (first: {failures[0]})" if failures else ""
        return Made(found, sum(sha in view for sha in places), (note + first,) if lacking else ())

    @property
    def name(self) -> str:
        """Names the way in which they are made; it changes with everything that their pixels depend on."""
        return f"made-{MAKING}-{digest(replace(self.parameters, photos=0))}"

    def _kept(self, sources: Sequence[str], photos: Sequence[str], failures: list[str]) -> Iterator[tuple[str, str]]:
        """Each source with the hash of what was made of it, now or before; failures are added to the list."""
        there = set(self.store.list(layout.made(self.name)))
        for source in sources:
            key = layout.made(self.name, source)
            try:
                if key in there:
                    data = self.store.read(key).data
                else:
                    data = self._make(source, photos)
                    self.store.write(key, data)
            except PacksightError as error:
                if not _is_about_the_photo(error):
                    raise
                failures.append(error.message)
                continue
            yield source, hashlib.sha256(data).hexdigest()

    def _make(self, source: str, photos: Sequence[str]) -> bytes:
        return made_photo(source, self._pixels(source), self._background(source, photos), self.parameters)

    def _background(self, source: str, photos: Sequence[str]) -> Pixels | None:
        other = behind(source, photos)
        try:
            return self._pixels(other) if other is not None else None
        except PacksightError as error:
            if not _is_about_the_photo(error):
                raise
            return None  # then it is drawn

    def _pixels(self, sha256: str) -> Pixels:
        data = self.store.read(layout.photo(sha256)).data
        return np.asarray(reduced(data, self.limits, self.parameters.scene.source), np.uint8)

    def _address(self, source: str) -> str:
        return layout.address(self.store.bucket, layout.made(self.name, source))


def _is_about_the_photo(error: PacksightError) -> bool:
    """Whether a photo is damaged or gone, of which the features may be known for long; else the store is broken."""
    return isinstance(error, ImageError | ObjectMissing)
