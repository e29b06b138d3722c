"""Labelled photos through the queue, as a job like any other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from packsight.producer.client import Client
from packsight.producer.evaluation.labels import items, unreadable
from packsight.producer.sources import in_words
from packsight.shared.contract.messages import RecognizeOptions
from packsight.shared.storage.jobs import BATCH_SIZE, Job, JobAbout, JobKind
from packsight.shared.tables.labels import Label


def submit(
    client: Client,
    labels: Sequence[Label],
    root: Path,
    options: RecognizeOptions,
    *,
    batch_size: int = BATCH_SIZE,
) -> Job:
    """Upload the labelled photos, paths from `root` on, and write the job; raises UserError when one cannot be read."""
    about = JobAbout(kind=JobKind.EVALUATION, source=in_words({str(root): len(labels)}))
    job = client.submit(items(labels, root), options, batch_size=batch_size, about=about)
    for one in job.unopened:
        raise unreadable(one)
    return job
