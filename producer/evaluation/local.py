"""Questions answered here, by the very matching that workers run, so that one look at a photo serves many of them.

A question may leave something out of the catalog: one of its photos (leave-one-out) or a whole product, as if it had
never been listed. Weights, confidence curve and projection stay those of the version.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from packsight.producer.client import Client
from packsight.producer.evaluation.baseline_2020 import Baseline
from packsight.producer.evaluation.labels import TOP_K
from packsight.producer.evaluation.metrics import Answer
from packsight.producer.evaluation.variants import Variant, rank
from packsight.shared.catalog.arrays import evenly_spread
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.catalog.trust import Trust
from packsight.shared.catalog.versions import CatalogStore, unpublished
from packsight.shared.contract.outcomes import Failure, Status
from packsight.shared.matching.candidates import Query
from packsight.shared.matching.decision import judged
from packsight.shared.matching.exclusion import NO_PHOTO, Exclusion
from packsight.shared.matching.ranking import Ranking
from packsight.shared.storage import layout
from packsight.shared.tables.labels import Label
from packsight.shared.vision.features import Features

BASELINE = "baseline-2020"
"""Name of the formula that this system began with among the ways of deciding."""
MAX_OWN = 2000
"""Catalog photos that are asked with themselves left out, evenly spread, which bounds the time."""


class Catalog:
    """A version with its products by id."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.ids: list[str] = snapshot.products.column("id")
        self._number = {product: number for number, product in enumerate(self.ids)}

    @classmethod
    def current(cls, client: Client, name: str) -> Catalog:
        """Bring the current version of a catalog here; raises UserError when nothing was ever published."""
        versions = CatalogStore(client.store, name, Trust.of_reader(client.settings))
        pointer = versions.current()
        if pointer is None:
            raise unpublished(client.store, name)
        home = client.settings.home / "evaluate" / name
        folder = versions.download(pointer.version, home)
        for other in home.iterdir():
            if other.is_dir() and other != folder and not other.name.startswith("."):
                shutil.rmtree(other, ignore_errors=True)
        return cls(Snapshot.open(folder))

    @property
    def version(self) -> str:
        """Its name."""
        return self.snapshot.manifest.version

    def name(self, product: str) -> str:
        """The product's name, or its id when the version does not have it."""
        number = self._number.get(product)
        return product if number is None else self.snapshot.products[number].name or product

    def photo(self, product: str) -> str:
        """sha256 of the product's first photo, or empty."""
        number = self._number.get(product)
        photos = range(0) if number is None else self.snapshot.photos(number)
        return self.snapshot.photo_table.sha256(photos[0]) if photos else ""

    def without(self, product: str) -> Exclusion | None:
        """As if this product had never been listed; None when it is not."""
        number = self._number.get(product)
        return None if number is None else Exclusion.of_product(self.snapshot, number)


@dataclass(frozen=True, slots=True)
class Question:
    """A photo to be recognised: what it shows, where its bytes are, and what the catalog is asked without.

    query: None when the photo could not be looked at, `failure` being why (a code).
    """

    label: Label
    reference: str
    query: Query | None
    exclusion: Exclusion | None = None
    failure: str = ""


def labelled(
    labels: Sequence[Label], references: Sequence[str], seen: Sequence[Features | Failure], catalog: Catalog
) -> list[Question]:
    """Ask what each labelled photo shows."""
    return [
        Question(label, reference, None, failure=photo.code.value)
        if isinstance(photo, Failure)
        else Question(label, reference, Query.of(photo, catalog.snapshot))
        for label, reference, photo in zip(labels, references, seen, strict=True)
    ]


def own_photos(catalog: Catalog) -> list[int]:
    """Photos that can be left out: not their product's only one; all, or an even spread."""
    photos = np.flatnonzero((np.diff(catalog.snapshot.photo_starts) > 1)[catalog.snapshot.photo_product])
    return [int(photo) for photo in photos[evenly_spread(len(photos), MAX_OWN)]]


def leave_one_out(
    photos: Sequence[int], features: Mapping[str, Features], catalog: Catalog, bucket: str
) -> list[Question]:
    """Ask what each of the catalog's own photos shows, as if it had never been taken."""
    table, snapshot, asked = catalog.snapshot.photo_table, catalog.snapshot, []
    for photo in photos:
        row = table[photo]
        if row.sha256 in features:
            label = Label(row.source, row.product_id, row.product_id, ())
            query = Query.of(features[row.sha256], snapshot)
            exclusion = Exclusion.of_photo(snapshot, photo)
            asked.append(Question(label, layout.address(bucket, layout.photo(row.sha256)), query, exclusion))
    return asked


def dropped(questions: Sequence[Question], catalog: Catalog) -> list[Question]:
    """Ask again as if the product, or else the one that comes nearest, had never been listed: none is right then."""
    return [
        replace(
            question,
            label=replace(label, product_id="", nearest_id=""),
            exclusion=catalog.without(label.product_id or label.nearest_id),
        )
        for question in questions
        for label in (question.label,)
        if question.query is not None
    ]


def ablation(questions: Sequence[Question], catalog: Catalog, baseline: Baseline) -> dict[str, list[Answer]]:
    """Answer the questions by every way of deciding, from the least to all of the evidence."""
    return {
        Variant.APPEARANCE.value: answers(questions, catalog, Variant.APPEARANCE),
        Variant.WORDS.value: answers(questions, catalog, Variant.WORDS),
        BASELINE: by_baseline(questions, catalog, baseline),
        Variant.DETAILS.value: answers(questions, catalog, Variant.DETAILS),
        Variant.EVERYTHING.value: answers(questions, catalog, Variant.EVERYTHING),
        Variant.FITTED.value: answers(questions, catalog),
    }


def answers(questions: Sequence[Question], catalog: Catalog, variant: Variant = Variant.FITTED) -> list[Answer]:
    """Answer the questions by one way of deciding."""
    found = []
    for question in questions:
        if question.query is None:
            found.append(_failed(question))
            continue
        ranking = rank(question.query, catalog.snapshot, exclusion=question.exclusion, variant=variant)
        candidates = _candidates(ranking.order.tolist(), ranking.probability.tolist(), catalog)
        status, _ = judged(question.query, ranking, catalog.snapshot)
        nearest = _nearest(ranking, catalog.snapshot)
        found.append(_answer(question, status, *candidates, version=catalog.version, nearest_photo=nearest))
    return found


def by_baseline(questions: Sequence[Question], catalog: Catalog, baseline: Baseline) -> list[Answer]:
    """Answer the questions by the formula of 2020, which always decides for some product."""
    found = []
    for question in questions:
        if question.query is None:
            found.append(_failed(question))
            continue
        order, score = baseline(question.query, question.exclusion)
        share = np.maximum(score, 0.0) / max(float(np.maximum(score, 0.0).sum()), 1e-12)
        status = Status.MATCHED if len(order) else Status.NO_MATCH
        found.append(_answer(question, status, *_candidates(order.tolist(), share.tolist(), catalog), version=catalog.version))
    return found


def _candidates(order: Sequence[int], confidence: Sequence[float], catalog: Catalog) -> tuple[tuple[str, ...], float]:
    """Ids of the first products, and how sure the first one is."""
    return tuple(catalog.ids[number] for number in order[:TOP_K]), round(confidence[0], 6) if confidence else 0.0


def _failed(question: Question) -> Answer:
    return _answer(question, Status.FAILED, (), 0.0, version="")


def _answer(
    question: Question, status: Status, candidates: tuple[str, ...], confidence: float, *, version: str, nearest_photo: str = ""
) -> Answer:
    label = question.label
    return Answer(
        label.image,
        label.product_id,
        label.nearest_id,
        label.kinds,
        status,
        candidates,
        confidence,
        question.failure,
        question.reference,
        nearest_photo,
        version=version,
    )


def _nearest(ranking: Ranking, snapshot: Snapshot) -> str:
    """sha256 of the first candidate's photo that looks most like the question's."""
    if not len(ranking.order):
        return ""
    photo = int(ranking.compared.appearance.nearest[int(ranking.rows[0])])
    return "" if photo == NO_PHOTO else snapshot.photo_table.sha256(photo)
