"""What a run of a sync works with."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Protocol

from packsight.indexer.build.fingerprint import fit_fingerprint
from packsight.indexer.build.parameters import FIT, FitParameters
from packsight.indexer.build.prior import read_prior
from packsight.indexer.completion import Progress
from packsight.indexer.examination import Examination
from packsight.indexer.extraction import Extractor
from packsight.indexer.fleet import Fleet
from packsight.indexer.report import SyncRequest
from packsight.indexer.version_report.keeping import Reports
from packsight.shared.catalog.decision_model import Model
from packsight.shared.catalog.recipe import Recipe
from packsight.shared.catalog.trust import Trust
from packsight.shared.catalog.versions import CatalogStore
from packsight.shared.settings import Settings
from packsight.shared.storage.feature_store import FeatureStore
from packsight.shared.storage.objects import ObjectStore


class Lease(Protocol):
    """The right to publish, which may be lost."""

    def check(self) -> None:
        """Raise UserError when it is lost."""


@dataclass(frozen=True)
class Run:
    """One run of a sync: what it is to do, and what it works with; the caller holds the catalog's lock."""

    request: SyncRequest
    settings: Settings
    store: ObjectStore
    fleet: Fleet
    extractor: Extractor
    lease: Lease
    progress: Progress = lambda *_: None
    clock: Callable[[], float] = time.time

    @cached_property
    def catalogs(self) -> CatalogStore:
        """The catalog's versions."""
        return CatalogStore(self.store, self.request.catalog, Trust.of_publisher(self.settings), remembers=True)

    @property
    def prior(self) -> Model:
        """What its versions start from."""
        return read_prior(self.settings.catalog.prior)

    @property
    def parameters(self) -> FitParameters:
        """How its versions are fitted."""
        return parameters_of(self.settings)

    @property
    def state_file(self) -> Path:
        """Where the state of the catalog is kept."""
        return self.settings.home / "indexer" / f"{self.request.catalog}.db"

    @property
    def gate(self) -> Examination:
        """What its versions have to pass."""
        reports = Reports(self.store, self.request.catalog)
        return Examination(self.catalogs, reports, self.settings.catalog, self.parents)

    @property
    def folder(self) -> Path:
        """Where its versions are built."""
        return self.settings.home / "indexer" / self.request.catalog

    @property
    def parents(self) -> Path:
        """Folder of the versions that are built upon."""
        return self.settings.home / "parents" / self.request.catalog

    @property
    def fit(self) -> str:
        """Name of how its versions are fitted."""
        return fit_fingerprint(parameters=self.parameters, prior=self.prior)

    def features(self, recipe: Recipe) -> FeatureStore:
        """Features of photos as workers of a recipe describe them."""
        return FeatureStore(self.store, recipe.parts, self.settings.home)


def parameters_of(settings: Settings) -> FitParameters:
    """How the settings want versions fitted."""
    return replace(FIT, made=replace(FIT.made, photos=settings.catalog.made_photos))
