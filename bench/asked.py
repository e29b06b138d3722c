"""Labelled photos asked over the queue, and what each way of answering them costs the processor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.photos import PhotoSet
from bench.testbed import Running, Testbed
from bench.usage import Usage
from bench.whole_queue import BATCH, groups
from packsight.producer.client import Client
from packsight.producer.evaluation.document import Results, document
from packsight.producer.evaluation.labels import TOP_K, answers
from packsight.producer.evaluation.metrics import Answer
from packsight.producer.evaluation.recognise import submit
from packsight.producer.evaluation.stages import FAILED, stages_of
from packsight.shared.contract.messages import RecognizeOptions
from packsight.shared.tables.labels import Label

Way = dict[str, Any]
"""Photos that the same stages answered, as the document of an evaluation has them."""


@dataclass(frozen=True)
class Asker:
    """Who asks a set's photos of which catalog; the worker must remember no photo, so that each costs what a new one does."""

    on: Testbed
    by: Running
    client: Client
    photos: PhotoSet
    catalog: str

    def ask(self, labels: Sequence[Label], *, read_all: bool = False) -> tuple[list[Answer], dict[str, float]]:
        """Recognise labelled photos as a job; the answers in order, and the processor seconds of each kind of process.

        read_all: everything is asked about each, also where less decides.
        """
        options = RecognizeOptions(catalog=self.catalog, top_k=TOP_K, read_all=read_all)
        job = submit(self.client, labels, self.photos.root, options, batch_size=BATCH)
        with Usage(groups(self.on, self.by)) as usage:
            rows = sorted(self.client.run(job), key=lambda row: row.index)
        return answers(labels, [row.outcome for row in rows]), usage.cpu

    def ways(self, labels: Sequence[Label]) -> list[Way]:
        """Which stages answered how many photos, at what price."""
        asked, _ = self.ask(labels)
        found: list[Way] = document(Results(asked))["stages"]
        return self.priced(found, labels, asked)

    def priced(self, ways: Sequence[Way], labels: Sequence[Label], asked: Sequence[Answer]) -> list[Way]:
        """The ways with the children's processor seconds per photo; None for photos that failed.

        The photos of each way are asked once more by themselves: the processor's time is counted by process, not by photo.
        """
        together: dict[tuple[str, ...], list[Label]] = {}
        for label, answer in zip(labels, asked, strict=True):
            if (way := stages_of(answer)) != (FAILED,):
                together.setdefault(way, []).append(label)
        spent = {way: self.ask(again)[1]["children"] / len(again) for way, again in together.items()}
        return [{**way, "processor_seconds": spent.get(tuple(way["answered_by"]))} for way in ways]
